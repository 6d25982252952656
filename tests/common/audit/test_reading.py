"""Images are read from prepared and plain folders; what cannot be is told in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from common.audit import audit
from common.audit.images import AuditImages, from_arrays
from common.audit.reading import read_images
from common.checks import InputError
from common.data import write_manifest
from common.transforms import Composition
from data_prep.__main__ import main as prepare

BLUR = Composition(["blur"])
ABOUT: dict[str, Any] = {
    **{"source": "", "licence": "", "arguments": {}, "versions": {}, "counts": {}},
    **{"sha256": {}, "skipped": []},
}


def pictures(folder: Path, count: int = 6, side: int = 16) -> Path:
    rng = np.random.default_rng(0)
    for kind in ("ill", "well"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (side, side + number % 2), np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"mrs_smith_{number}.png")
    return folder


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("phantom")
    words = [
        "--kind",
        "brain",
        "--patients",
        "20",
        "--size",
        "32",
        "--slices",
        "4",
        "--workers",
        "1",
        "--target",
        str(target),
    ]
    assert prepare(["phantom", *words]) == 0
    return target


def test_of_a_prepared_folder_the_training_part_is_read_with_masks(phantom: Path) -> None:
    read = read_images(phantom)
    assert (len(read), tuple(read.x.shape[1:])) == (48, (1, 32, 32))
    assert read.mask is not None
    assert int(read.mask.flatten(1).any(dim=1).sum()) == 24
    assert read.names["label"] == ["no lesion", "lesion"]


def test_folders_of_a_plain_folder_name_the_label(tmp_path: Path) -> None:
    read = read_images(pictures(tmp_path))
    assert read.names["label"] == ["ill", "well"]
    assert read.columns["label"].tolist() == [0] * 6 + [1] * 6


def test_whole_patients_are_drawn_and_the_draw_is_told(phantom: Path) -> None:
    read = read_images(phantom, max_images=14)
    assert (len(read), len(set(read.patient)), read.found, read.sampled) == (12, 3, 48, True)


@pytest.mark.bad_input("audit")
def test_a_damaged_file_among_many_is_left_out_without_its_name(tmp_path: Path) -> None:
    (pictures(tmp_path) / "ill" / "mrs_smith_1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    read = read_images(tmp_path)
    assert (len(read), [one.number for one in read.skipped]) == (11, [2])
    assert "smith" not in read.skipped[0].reason
    assert "ill/mrs_smith_1.png (must be " in read.left_out[0]


@pytest.mark.bad_input("audit")
def test_pictures_of_several_sizes_are_brought_to_one(tmp_path: Path) -> None:
    read = read_images(pictures(tmp_path), size=16)
    assert tuple(read.x.shape) == (12, 1, 16, 16)


@pytest.mark.bad_input("audit")
def test_a_folder_without_images_ends_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold images"):
        read_images(tmp_path)
    with pytest.raises(InputError, match="must exist"):
        read_images(tmp_path / "nowhere")


def gray(**columns: list[int]) -> AuditImages:
    x = np.random.default_rng(0).integers(0, 255, (12, 1, 16, 16), np.uint8)
    return from_arrays(x, columns)


@pytest.mark.bad_input("audit")
@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: audit(gray(), []), "must name at least one set"),
        (lambda: audit(gray(), [Composition(["blur"], 3)]), "must be for 2D images"),
        (lambda: audit(gray(), [Composition(["color_jitter"])]), "must have images of 3 channels"),
        (lambda: audit(gray(), [3]), "transforms must be names"),
        (lambda: audit(gray(), [BLUR], keep=0), "keep must lie"),
        (lambda: from_arrays(np.full((4, 1, 8, 8), 2.0)), "must be finite and in"),
        (lambda: from_arrays(np.zeros((4, 1, 8, 8)), {"label": [0]}), "one value for each of 4"),
        (lambda: from_arrays(np.zeros((4, 1, 8, 8)), mask=np.zeros((4, 8, 9))), "mask must have"),
        (lambda: from_arrays(np.zeros((4, 8))), "images must be"),
    ],
)
def test_what_cannot_be_audited_ends_in_one_line(call: Callable[[], object], line: str) -> None:
    with pytest.raises(InputError, match=line):
        call()


@pytest.mark.bad_input("audit")
def test_one_class_and_no_masks_are_told_as_notes() -> None:
    found = audit(gray(label=[1] * 12), [BLUR])
    assert found.sets[0].label is None
    assert found.sets[0].lesions is None
    assert [note.split()[0] for note in found.notes[:2]] == ["No", "The"]
    assert json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.bad_input("audit")
@pytest.mark.parametrize(
    ("folders", "each", "beside", "got"),
    [(21, 5, 0, "21 folders"), (2, 4, 0, "2 folders with fewer"), (2, 5, 1, "1 image beside them")],
)
def test_folders_that_are_no_label_are_told(
    folders: int, each: int, beside: int, got: str, tmp_path: Path
) -> None:
    names = [f"{k}/{n}" for k in range(folders) for n in range(each)] + ["x"] * beside
    for name in names:
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(path)
    read = read_images(tmp_path)
    assert "label" not in read.columns
    assert (
        f"must be 2 to 20 with 5 images or more each and no image beside them, got {got}."
        in (read.notes[0])
    )


def test_names_of_folders_that_are_the_label_are_told(tmp_path: Path) -> None:
    for name in (f"{kind}/{n}" for kind in ("a", "b") for n in range(5)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(path)
    read = read_images(tmp_path)
    assert "label" in read.columns
    assert "name of the folder that an image lies in, of 2; the names stand on" in read.notes[0]


def volume(path: Path, voxels: NDArray[np.uint8]) -> str:
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path.name


def test_volumes_without_a_lesion_are_kept_and_every_label_of_a_mask_counts(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), []
    for number in range(4):
        mask = np.zeros((8, 8, 8), np.uint8)
        mask[2:4, 2:4, 2:4] = [0, 1, 2, 4][number]
        mask[5, 5, 5] = number and 4
        image = volume(tmp_path / f"{number}.nii.gz", rng.integers(1, 255, (8, 8, 8), np.uint8))
        mask_name = volume(tmp_path / f"m{number}.nii.gz", mask)
        rows.append({"image": image, "mask": mask_name, "label": number, "patient": f"{number}"})
    (tmp_path / "m3.nii.gz").write_bytes(b"broken")
    parts = {"training": rows, "validation": [], "test": []}
    write_manifest(tmp_path, {**parts, **ABOUT})
    read = read_images(tmp_path)
    assert read.mask is not None
    assert read.mask.flatten(1).sum(dim=1).tolist() == [0, 9, 9]
    assert [one.number for one in read.skipped] == [4]
    assert "m3" not in read.skipped[0].reason
