"""What is said and shown of an image, and what is kept of it."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.checks import InputError
from common.deploy import load
from common.label import Model, Sample, answer, embedded, picture, write_training_set
from common.label.__main__ import read_options
from common.label.answers import explained
from common.label.labels import target_of
from common.label.pictures import overlay
from common.label.pool import read_pool
from common.label.server.serve import listener
from common.label.server.settings import remembered
from tests.commands import ROOT, module_commands
from tests.models import BRAINS, FILMS, SLICES, deployed


def without_weights(name: str, folder: Path) -> Path:
    """A bundle as it is before any weights came with it."""
    ignored = shutil.ignore_patterns("models")
    return shutil.copytree(ROOT / "bundles" / name, folder / name, ignore=ignored)


def test_the_answer_is_the_predictors_with_both_classes(
    studies: Path, trained: dict[str, Model]
) -> None:
    path = studies / "films" / "p01_02.png"
    said = answer(trained[FILMS], path)
    value = load(FILMS, trained[FILMS].weights).predict(path)[0].values["probability_lesion"]
    first, second = said["prediction"]
    assert (first["label"], second["label"]) == ("no lesion", "lesion")
    assert (first["score"], second["score"]) == pytest.approx((1 - value, value), abs=1e-6)
    assert said["model"] == trained[FILMS].key


def test_a_newer_model_answers_as_soon_as_it_is_deployed(studies: Path, tmp_path: Path) -> None:
    model = Model(without_weights(BRAINS, tmp_path), tmp_path / "work")
    assert (model.kind, model.available) == ("embedding", False)
    path = studies / "brains" / "b00.nii.gz"
    model.deploy(deployed(tmp_path / "a", BRAINS, head_fitted=False))
    assert list(answer(model, path)) == ["embedding", "model"]
    model.deploy(deployed(tmp_path / "b", BRAINS))
    assert list(answer(model, path)["values"]) == ["age"]


@pytest.mark.bad_input("label")
def test_a_bundle_without_a_model_or_an_image_that_is_none_says_why(
    studies: Path, trained: dict[str, Model], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="must have a model to predict with"):
        answer(
            Model(without_weights(FILMS, tmp_path), tmp_path / "work"),
            studies / "films" / "p00_00.png",
        )
    with pytest.raises(InputError, match=r"broken\.png: must be a whole PNG"):
        answer(trained[FILMS], studies / "films" / "broken.png")


def test_embeddings_are_kept_by_the_models_hash_and_only_new_images_are_read(
    studies: Path, trained: dict[str, Model]
) -> None:
    paths = [studies / "films" / name for name in ("p00_00.png", "p01_02.png", "broken.png")]
    samples = [Sample(path.stem, path) for path in paths]
    model = trained[FILMS]
    first = embedded(model, samples[:1])
    pool = embedded(model, samples)
    assert (first.ids, pool.ids) == (["p00_00"], ["p00_00", "p01_02"])
    assert list(read_pool(model).left_out) == ["broken"]
    assert pool.lacks(samples) == []
    assert (model.work / "embeddings" / f"{model.key}.npz").is_file()
    expected = load(FILMS, model.weights).embed(paths[:2]).h
    np.testing.assert_allclose(pool.h, expected, atol=1e-5)


@pytest.mark.bad_input("label")
@pytest.mark.parametrize("how", ["cut", "text", "nan", "short", "narrow", "twice"])
def test_a_damaged_archive_of_embeddings_is_made_anew(
    how: str, studies: Path, trained: dict[str, Model]
) -> None:
    model = trained[FILMS]
    samples = [Sample(name, studies / "films" / f"{name}.png") for name in ("p00_00", "p01_02")]
    whole = embedded(model, samples)
    path = model.work / "embeddings" / f"{model.key}.npz"
    with np.load(path) as archive:
        held = dict(archive)
    held |= {
        "nan": {"h": np.full_like(held["h"], np.nan)},
        "short": {"stamp": held["stamp"][:1]},
        "narrow": {"scores": held["scores"][:, :1]},
        "twice": {"id": held["id"][[0] * len(held["id"])]},
    }.get(how, {})
    np.savez(path, **held)
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-90], "text": b"no archive"}.get(how, content))
    assert read_pool(model).ids == []
    np.testing.assert_allclose(embedded(model, samples).h, whole.h, atol=1e-5)


@pytest.mark.bad_input("label")
@pytest.mark.parametrize("content", [b"../../elsewhere", b"\xff\xfe", b"", b"/etc"])
def test_a_note_of_the_newest_model_that_leads_out_is_refused(
    content: bytes, trained: dict[str, Model], tmp_path: Path
) -> None:
    model = Model(FILMS, tmp_path)
    model.deploy(deployed(tmp_path / "made", FILMS))
    (model.work / "models" / "current").write_bytes(content)
    with pytest.raises(InputError, match="current, which names the newest model"):
        assert model.available


def size(content: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(content)).size


def test_pictures_are_png_of_images_volumes_and_maps(
    studies: Path, trained: dict[str, Model]
) -> None:
    assert size(picture(studies / "films" / "p00_00.png")) == (40, 40)
    assert size(picture(studies / "films" / "header.dcm")) == (36, 40)
    assert size(picture(studies / "brains" / "b00.nii.gz")) == (48, 16)
    map_ = explained(trained[FILMS], studies / "films" / "p01_02.png", "occlusion")
    assert size(overlay(map_)) == (512, 512)
    assert size(overlay(explained(trained[BRAINS], studies / "brains" / "b00.nii.gz"))) == (
        528,
        176,
    )


def test_a_bundle_may_have_a_folder_and_classes_of_its_own(studies: Path) -> None:
    words = ["--studies", str(studies), "--bundles", f"{FILMS}=films,{BRAINS}"]
    options = read_options([*words, "--classes", f"{FILMS}=clear,lesion"])
    assert (options.host, options.port, options.work) == ("127.0.0.1", 8000, studies / ".label")
    assert options.bundles == {FILMS: "films", BRAINS: ""}
    assert Model(FILMS, options.work, classes=options.classes[FILMS]).choices == ["clear", "lesion"]


def test_classes_are_remembered_and_stay_in_their_order(studies: Path, tmp_path: Path) -> None:
    words = ["--studies", str(studies), "--bundles", f"{FILMS},{BRAINS}", "--work", str(tmp_path)]
    assert remembered(read_options(words)).classes == {}
    given = read_options([*words, "--classes", f"{FILMS}=clear, lesion"])
    assert remembered(given).classes == {FILMS: ["clear", "lesion"]}
    assert remembered(read_options(words)).classes == {FILMS: ["clear", "lesion"]}
    for others in ("lesion,clear", "clear,nodule", "clear,lesion,nodule"):
        given = read_options([*words, "--classes", f"{FILMS}={others}"])
        with pytest.raises(InputError, match="must be clear,lesion, as at an earlier start"):
            remembered(given)


DAMAGED = ["no json", "[]", '{"a": "b"}', '{"a": ["one"]}', '{"a": ["b", "B "]}', '{"a": [1, 2]}']


@pytest.mark.bad_input("label")
@pytest.mark.parametrize("content", [*DAMAGED, '{"a": ["b", ""]}', '{"a": {"b": 1, "c": 2}}'])
def test_a_damaged_record_of_classes_is_named(studies: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "classes.json").write_text(content)
    words = ["--studies", str(studies), "--bundles", FILMS, "--work", str(tmp_path)]
    with pytest.raises(InputError, match=r"classes\.json.* remove it and give --classes"):
        remembered(read_options(words))


@pytest.mark.bad_input("label")
@pytest.mark.parametrize("host", ["127.0.0.1", "nohost.invalid", "a..b", "198.51.100.7"])
def test_an_address_that_is_taken_or_not_ours_ends_in_one_line(host: str) -> None:
    with listener("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match="must be a free address of this machine, got"):
            listener(host, port)


@pytest.mark.bad_input("label")
def test_a_bundle_of_several_findings_says_that_it_takes_no_labels(tmp_path: Path) -> None:
    model = Model("chest_xray_decoupled_uniformity", tmp_path)
    assert "learns several findings of an image at once" in model.no_labels
    sample = Sample("a", tmp_path / "a.png", {"label": model.choices[0]})
    assert target_of(sample, model) is None
    assert Model(FILMS, tmp_path).no_labels == ""
    with pytest.raises(InputError, match="data_prep folders --findings"):
        write_training_set(model, [sample], tmp_path / "data")


def test_the_commands_of_its_page_are_understood(studies: Path) -> None:
    shown = [
        words for words in module_commands(ROOT / "docs/label.md") if words[0] == "common.label"
    ]
    assert len(shown) >= 2
    for words in shown:
        words[words.index("--studies") + 1] = str(studies)
        assert next(iter(read_options(words[1:]).bundles)) in (FILMS, SLICES)


@pytest.mark.bad_input("label")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bundles", "nix"], "bundle: must be the folder of a bundle"),
        (["--bundles", f"{FILMS},{FILMS}"], "must name a bundle once"),
        (["--bundles", f"{FILMS}=../x"], "must name a folder below the studies"),
        (["--bundles", f"{FILMS}=labels"], "must name a folder below the studies"),
        (["--bundles", f"{FILMS}=.label"], "must name a folder below the studies"),
        (["--bundles", FILMS, "--host", ""], "--host must be an address"),
        (["--bundles", FILMS, "--work", "WORK"], "--work must be outside the studies"),
        (["--bundles", FILMS, "--classes", f"{FILMS}=a,A "], "--classes must be two or more"),
        (["--bundles", FILMS, "--dicomweb", "http://a", "--query", "=b"], "must be attributes"),
        (["--bundles", FILMS, "--dicomweb", "http://a", "--query", "a=b,a=c"], "each once"),
        (["--bundles", FILMS, "--port", "99999"], "--port must be 0 to 65535"),
        (["--bundles", FILMS, "--classes", f"{FILMS}=one"], "--classes must be two or more"),
        (["--bundles", BRAINS, "--classes", f"{BRAINS}=a,b"], "must be of a bundle that tells cl"),
        (["--bundles", FILMS, "--studies", "http://a/dicomweb"], "the archive as --dicomweb"),
        (["--bundles", FILMS, "--query", "Modality=DX"], "must be attributes of --dicomweb"),
        (["--bundles", FILMS, "--colour"], "unrecognized arguments"),
    ],
)
def test_a_wrong_argument_ends_in_one_line(studies: Path, words: list[str], said: str) -> None:
    for folder in ("labels", ".label"):
        (studies / folder).mkdir(exist_ok=True)
    words = [str(studies / "work") if word == "WORK" else word for word in words]
    with pytest.raises(InputError, match=said):
        read_options(["--studies", str(studies), *words])
