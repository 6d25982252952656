"""From images and labels to a manifest."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.checks import InputError
from common.data import load_datalist, read_manifest
from common.label import Model, Sample, read_label, write_training_set
from common.label.labels import label_for, parse_label, target_of
from common.label.parts import by_class
from common.label.patients import patients_of
from common.label.training import check_settings, epoch_of, offered, train
from tests.models import BRAINS, FILMS
from tests.synthetic import ramp, write_dicom

PARTS = ("training", "validation", "test")


def films(studies: Path, labelled: int = 24) -> list[Sample]:
    """The films of the studies: two for each of twelve patients, every second with a lesion."""
    paths = sorted((studies / "films").glob("p*.png"))
    names = ("no lesion", "lesion")
    return [
        Sample(path.stem, path, {"label": names[k // 2 % 2]} if k < labelled else None)
        for k, path in enumerate(paths)
    ]


def test_patients_are_kept_together_and_unlabelled_images_train(
    studies: Path, trained: dict[str, Model], tmp_path: Path
) -> None:
    counts = write_training_set(trained[FILMS], films(studies, 16), tmp_path / "data")
    manifest = read_manifest(tmp_path / "data")
    of = [{entry["patient"] for entry in manifest[part]} for part in PARTS]
    assert sum(map(len, of)) == len(set().union(*of)) == 12
    assert counts == {"training": 16, "validation": 4, "test": 4, "labelled": 16, "left_out": 0}
    assert sum(entry["label"] == -1 for entry in manifest["training"]) == 8
    assert sorted(entry["label"] for entry in manifest["test"]) == [0, 0, 1, 1]
    assert {entry["fold"] for entry in manifest["test"]} == {0}
    assert manifest["classes"] == {"label": ["no lesion", "lesion"]}


def test_patients_who_have_images_of_both_classes_are_shared_out(
    trained: dict[str, Model],
) -> None:
    entries = [{"patient": f"p{k // 2}", "value": k % 2} for k in range(20)]
    parts = by_class(trained[FILMS], entries, seed=0)
    of = {part: {entry["patient"] for entry in parts[part]} for part in PARTS}
    assert [len(of[part]) for part in PARTS] == [7, 1, 2]
    assert len(set().union(*of.values())) == 10
    assert [entry["value"] for entry in parts["test"]] == [0, 1, 0, 1]


def test_no_name_of_a_file_reaches_the_training_set(
    studies: Path, trained: dict[str, Model], tmp_path: Path
) -> None:
    write_training_set(trained[FILMS], films(studies), tmp_path / "data")
    written = [path.name for path in (tmp_path / "data").rglob("*")]
    text = (tmp_path / "data" / "manifest.json").read_text()
    assert not [name for name in (*written, text) if "p03" in name.replace("p0000", "")]


def test_volumes_become_stacks_and_the_rarest_site_tests(
    studies: Path, trained: dict[str, Model], tmp_path: Path
) -> None:
    paths = sorted((studies / "brains").glob("*.nii.gz"))
    label = [{"age": 20 + k, "site": "ab"[k % 2] if k < 26 else "c"} for k in range(30)]
    samples = [Sample(path.name, path, label[k]) for k, path in enumerate(paths)]
    counts = write_training_set(trained[BRAINS], samples, tmp_path / "data")
    test = load_datalist(tmp_path / "data", "test")
    outside = [entry["age"] for entry in test if entry["split"] == "external"]
    assert (sorted(outside), counts["labelled"]) == ([46, 47, 48, 49], 30)
    stack = np.load(tmp_path / "data" / "training.npy")
    assert stack.shape == (counts["training"], 16, 16, 16)


@pytest.mark.bad_input("label")
def test_too_few_labels_are_refused_with_their_counts(
    studies: Path, trained: dict[str, Model], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"3 patients or more, got 2 no lesion, 1 lesion\."):
        write_training_set(trained[FILMS], films(studies, 6), tmp_path / "data")
    brains = [Sample("b", next((studies / "brains").iterdir()), {"age": 30})]
    with pytest.raises(InputError, match="must name 3 sites or more"):
        write_training_set(trained[BRAINS], brains, tmp_path / "data")


@pytest.mark.bad_input("label")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"overlays": ["../x"]}, "overlays must be a name"),
        ({"overlays": ["nix"]}, "must be overlays"),
        ({"learning_rate": "$open('x', 'w')"}, "learning_rate: must be a finite number"),
        ({"image_size": [32, "$1 + 1"]}, "image_size: must be"),
        ({"head_fitted_on": "[$1]"}, "head_fitted_on: must be"),
        ({"strategy": "@epochs"}, "strategy: must be"),
        ({"temperature": {"_target_": "os.system"}}, "temperature: must be"),
        ({"learning_rate": float("inf")}, "learning_rate: must be a finite number"),
        ({"max_epochs": "abc"}, r'epochs: must be int >= 1, got "abc"'),
        ({"epohcs": 5}, "epohcs: is no dial of .* Did you mean 'epochs'"),
        ({"batch_size": 2.5}, "batch_size: must be int >= 1, got 2.5"),
        ({"overlays": ["evaluate"]}, "must be overlays"),
        ({"dataset_dir": "x"}, "dataset_dir: is no dial"),
        (
            {"policy_channels": [2], "overlays": ["strategy_random"]},
            "the request: .* has no effect",
        ),
    ],
)
def test_what_a_client_asks_for_is_data_and_known(
    studies: Path, trained: dict[str, Model], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        train(trained[FILMS], films(studies), settings)


def test_a_patient_is_known_by_label_header_manifest_folder_or_name(
    tmp_path: Path, trained: dict[str, Model]
) -> None:
    path = write_dicom(tmp_path / "x_1.dcm", ramp(20, 20), PatientID="Doe")
    film = tmp_path / "p07_2.png"
    samples = [
        Sample("a", path, {"patient": "P9"}),
        Sample("b", path),
        Sample("c", tmp_path / "c.png", patient="m1"),
        Sample("p0001/00", film),
        Sample("p07_2", film),
        Sample("films/scan", tmp_path / "scan.png"),
    ]
    found = patients_of(trained[FILMS], samples)
    assert list(found.of.values()) == ["P9", "P9", "m1", "p0001", "p07", "films"]
    own = patients_of(Model(FILMS, tmp_path, "films"), samples[-1:])
    assert (list(own.of.values()), own.rules) == (["films/scan"], {"image": 1})
    named = patients_of(Model(FILMS, tmp_path, folders=False), samples[3:])
    assert list(named.of.values()) == ["p07", "p07", "films/scan"]


def test_images_of_a_sub_folder_never_train_and_test(
    studies: Path, trained: dict[str, Model], tmp_path: Path
) -> None:
    source = [one.path for one in films(studies)]
    names = [f"p{k // 2:04d}/{k % 2:02d}" for k in range(24)]
    label = [{"label": ("no lesion", "lesion")[k // 2 % 2]} for k in range(24)]
    label[5]["patient"] = "Jane Doe"  # of one image of p0002: the other is hers too
    samples = [Sample(*one) for one in zip(names, source, label)]
    found = patients_of(trained[FILMS], samples)
    assert found.said.startswith(
        "12 patients of 24 images: 1 named by their label, 23 by their sub"
    )
    write_training_set(trained[FILMS], samples, tmp_path / "data")
    manifest = read_manifest(tmp_path / "data")
    of = [{entry["patient"] for entry in manifest[part]} for part in PARTS]
    assert sum(map(len, of)) == len(set().union(*of)) == 12
    assert "Jane" not in found.said


def test_a_label_teaches_the_bundle_it_is_for(trained: dict[str, Model]) -> None:
    path = Path("a.png")
    assert target_of(Sample("a", path, {"label": "lesion"}), trained[FILMS]) == 1
    assert target_of(Sample("a", path, {"label": "tumour"}), trained[FILMS]) is None
    assert target_of(Sample("a", path, {"label": "lesion", "bundle": "x"}), trained[FILMS]) is None
    assert target_of(Sample("a", path, {"age": 31}), trained[BRAINS]) == 31.0
    assert target_of(Sample("a", path), trained[BRAINS]) is None


@pytest.mark.bad_input("label")
@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"label": ["a"]},
        {"age": "old"},
        {"age": -1},
        {"age": True},
        {"label": "a", "site": []},
    ],
)
def test_what_is_no_label_is_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^label"):
        parse_label(content)
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"^label"):
        read_label(tmp_path / "x.json")


@pytest.mark.parametrize("bundle", [FILMS, BRAINS])
def test_what_the_server_offers_and_what_monai_label_sends_pass(
    bundle: str, trained: dict[str, Model]
) -> None:
    model = trained[bundle]
    own = {"device": "cuda", "pretrained": True, "val_split": 0.2, "gpus": "all", "name": "x"}
    asked = {**offered(model), **own, "overlays": [], "max_epochs": 7}
    assert check_settings(model, asked) == ([], {"epochs": 7})


def test_a_label_is_kept_by_the_name_of_its_class(trained: dict[str, Model]) -> None:
    films_, brains = trained[FILMS], trained[BRAINS]
    assert label_for({"label": 1, "site": "a"}, [films_, brains]) == {
        "label": "lesion",
        "site": "a",
    }
    assert label_for({"label": "lesion", "age": 3}, [films_]) == {"label": "lesion", "age": 3}
    assert label_for({"age": 40}, [films_, brains]) == {"age": 40}
    numbered = Model(FILMS, films_.work, classes=["1", "2"])
    assert label_for({"label": 1}, [numbered])["label"] == "1"


@pytest.mark.bad_input("label")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"label": "tumour"}, "must be no lesion, lesion, got 'tumour'"),
        ({"label": 2}, "must be no lesion, lesion, got '2'"),
        ({"label": True}, "must be no lesion, lesion, got 'True'"),
        ({"age": 3}, "must name a class, got an age alone"),
        ({"label": "lesion", "bundle": BRAINS}, "bundle must be one that the image is for"),
        ({"label": None}, "must be a JSON object with"),
    ],
)
def test_a_label_that_no_bundle_learns_is_refused(
    content: Any, said: str, trained: dict[str, Model]
) -> None:
    with pytest.raises(InputError, match=said):
        label_for(content, [trained[FILMS]])
    with pytest.raises(InputError, match=r"^label"):
        label_for(content, [])


def test_the_epoch_of_a_training_is_told_once_it_has_begun(tmp_path: Path) -> None:
    model = Model(FILMS, tmp_path)
    folder = model.work / "training"
    assert epoch_of(model) == (0, 0)
    (folder / "eval" / "run").mkdir(parents=True)
    (folder / "train.json").write_text('{"epochs": 5}')
    (folder / "eval" / "run" / "history.json").write_text('{"epoch": [1, 2], "terms": {}}')
    assert epoch_of(model) == (2, 5)
