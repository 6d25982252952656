"""The manifest is checked on reading, and labels are kept by patient."""

import json
from pathlib import Path
from typing import Any

import pytest
from monai.data import load_decathlon_datalist

from common.checks import InputError
from common.data import (
    fingerprint,
    image_datalist,
    keep_labels,
    labelled_only,
    load_datalist,
    read_manifest,
    seeded_order,
    write_manifest,
)


def manifest_of(folder: Path, **changes: Any) -> dict[str, Any]:
    for name in ("a.png", "b.png", "c.png", "m.png"):
        (folder / name).write_bytes(b"")
    return {
        "training": [{"image": "a.png", "label": 1, "patient": "p1", "mask": "m.png"}],
        "validation": [{"image": "b.png", "label": 0, "patient": "p2"}],
        "test": [{"image": "c.png", "label": 0, "patient": "p3", "fold": 0}],
        **{key: {} for key in ("arguments", "versions", "counts", "sha256")},
        "source": "test",
        "licence": "none",
        "skipped": [],
        **changes,
    }


def test_datalist_has_absolute_paths_of_image_and_mask(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest_of(tmp_path))
    (entry,) = load_datalist(tmp_path, "training")
    assert entry["image"] == str(tmp_path / "a.png")
    assert entry["mask"] == str(tmp_path / "m.png")
    assert entry["label"] == 1


def test_image_may_be_a_list_of_channels(tmp_path: Path) -> None:
    training = [{"image": ["a.png", "m.png"], "label": 1, "patient": "p1"}]
    write_manifest(tmp_path, manifest_of(tmp_path, training=training))
    (entry,) = load_datalist(tmp_path, "training")
    assert entry["image"] == [str(tmp_path / "a.png"), str(tmp_path / "m.png")]


def test_monai_reads_the_manifest_as_a_datalist(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, manifest_of(tmp_path))
    (entry,) = load_decathlon_datalist(str(path), False, "test", str(tmp_path))
    assert Path(entry["image"]) == tmp_path / "c.png"
    assert entry["fold"] == 0


def test_same_manifest_gives_the_same_bytes(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path)
    first = write_manifest(tmp_path, manifest).read_bytes()
    second = write_manifest(tmp_path, dict(reversed(manifest.items()))).read_bytes()
    assert first == second
    assert first.endswith(b"}\n")


def test_the_fingerprint_is_of_the_data_and_of_nothing_else(tmp_path: Path) -> None:
    def printed(name: str, **changes: Any) -> str:
        folder = tmp_path / name
        folder.mkdir()
        write_manifest(folder, manifest_of(folder, **changes))
        return fingerprint(folder)

    first = printed("first", sha256={"a.png": "0"})
    assert len(first) == 12
    assert printed("moved", sha256={"a.png": "0"}, versions={"numpy": "9"}) == first
    relabelled = [{"image": "b.png", "label": 1, "patient": "p2"}]
    others = {
        printed("other_pixels", sha256={"a.png": "1"}),
        printed("other_label", sha256={"a.png": "0"}, validation=relabelled),
        printed("other_part", sha256={"a.png": "0"}, validation=[]),
    }
    assert len(others - {first}) == 3


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"test": [{"image": "c.png", "label": 0, "patient": "p1"}]},
            "patient p1 in training and test",
        ),
        ({"test": [{"image": "a.png", "label": 0, "patient": "p3"}]}, "a.png twice"),
        ({"test": [{"image": "c.png", "label": 0}]}, "must hold patient"),
        ({"test": None}, "test must be a list of entries"),
        ({"test": [3]}, "test must be a list of entries"),
        ({"test": [{"image": None, "label": 0, "patient": "p3"}]}, "test must be a list of entr"),
        ({"test": [{"image": [], "label": 0, "patient": "p3"}]}, "test must be a list of entries"),
        ({"test": [{"image": "c.png", "label": None, "patient": "p3"}]}, "label that is not null"),
        ({"test": [{"image": "gone.png", "label": 0, "patient": "p3"}]}, "no gone.png"),
    ],
    ids=[
        *("patient in two splits", "duplicate image", "missing key"),
        *("null", "numbers", "image null", "image empty", "label null", "absent file"),
    ],
)
def test_bad_manifest_is_one_line_that_names_the_fault(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest_of(tmp_path, **changes)))
    with pytest.raises(InputError) as error:
        read_manifest(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_folder_without_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"python -m data_prep"):
        read_manifest(tmp_path)


def test_manifest_that_is_not_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"training": [')
    with pytest.raises(InputError, match="must be JSON"):
        read_manifest(tmp_path)


def test_missing_top_level_key_is_named(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path)
    del manifest["licence"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="licence"):
        read_manifest(tmp_path)


def test_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training, validation, test"):
        load_datalist(tmp_path, "train")


def patients(count: int, images: int = 2) -> list[dict[str, Any]]:
    return [
        {"image": f"{p}-{i}", "label": i % 2, "patient": f"p{p}"}
        for p in range(count)
        for i in range(images)
    ]


def test_labels_are_kept_for_that_share_of_whole_patients() -> None:
    data = patients(20)
    kept = keep_labels(data, 0.1, seed=0)
    labelled = {entry["patient"] for entry in kept if entry["label"] >= 0}
    assert len(labelled) == 2
    assert sum(entry["label"] >= 0 for entry in kept) == 4
    assert [entry["image"] for entry in kept] == [entry["image"] for entry in data]
    assert all(entry["label"] >= 0 for entry in data), "the input must stay as it was"


def test_only_the_images_that_kept_their_label_are_left() -> None:
    kept = [entry for entry in keep_labels(patients(20), 0.1, seed=0) if entry["label"] >= 0]
    assert labelled_only(patients(20), 0.1, seed=0) == kept


def test_whole_fraction_keeps_every_label() -> None:
    assert keep_labels(patients(5), 1.0, seed=3) == patients(5)


def test_larger_fraction_keeps_the_patients_of_the_smaller() -> None:
    few, many = (
        {e["patient"] for e in keep_labels(patients(30), share, seed=1) if e["label"] >= 0}
        for share in (0.1, 0.5)
    )
    assert few < many


def test_seeds_draw_different_patients() -> None:
    draws = {
        frozenset(e["patient"] for e in keep_labels(patients(30), 0.1, seed) if e["label"] >= 0)
        for seed in range(5)
    }
    assert len(draws) > 1


@pytest.mark.parametrize("seed", range(5))
def test_both_classes_are_kept_when_patients_have_one_each(seed: int) -> None:
    data = [{"image": str(i), "label": int(i == 7), "patient": f"p{i}"} for i in range(20)]
    kept = [entry["label"] for entry in keep_labels(data, 0.05, seed) if entry["label"] >= 0]
    assert set(kept) == {0, 1}
    assert len(kept) == 2 or kept == [1, 0]


def test_fraction_outside_its_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(0, 1\]"):
        keep_labels(patients(2), 0.0, seed=0)


def test_seeded_order_keeps_relative_places_when_names_are_added() -> None:
    short = seeded_order("abcd", seed=5)
    long = seeded_order("abcdefgh", seed=5)
    assert [name for name in long if name in "abcd"] == short


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("image", ["../x.png", "{}/x.png", "c:\\x.png", "out.png", "away/x.png"])
def test_a_manifest_and_a_datalist_lead_to_no_file_outside_their_folder(
    tmp_path: Path, image: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "x.png").touch()
    (folder / "out.png").symlink_to(tmp_path / "x.png")
    (folder / "away").symlink_to(tmp_path)
    training = [{"image": image.format(tmp_path), "label": 1, "patient": "p1"}]
    write_manifest(folder, manifest_of(folder, training=training))
    with pytest.raises(InputError, match=r"must (lie below|exist)"):
        read_manifest(folder)
    with pytest.raises(InputError, match="must be a file below"):
        image_datalist(folder / "manifest.json")
