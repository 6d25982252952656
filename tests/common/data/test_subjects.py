"""Batches of subjects, and values as they are stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import NormalizeIntensity

from common.checks import InputError
from common.data import LoadStoredd, StackDataset, SubjectBatch, image_datalist, write_manifest
from tests.synthetic import write_nifti


def volumes(count: int = 3, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, 4, 5, 6))
    return (drawn + 2.0).astype(np.float16)


def prepared(folder: Path, masked: bool) -> np.ndarray:
    """A folder with one stack of three volumes, or of their voxels in a mask; returns the mask."""
    folder.mkdir(exist_ok=True)
    mask = np.ones((4, 5, 6), bool)
    mask[:2, 1:] = not masked
    rows = volumes()[:, mask] if masked else volumes()
    np.save(folder / "stack.npy", rows)
    np.save(folder / "mask.npy", mask)
    items = [
        {"image": "stack.npy", "index": i, "patient": f"s{i}", "age": 20.0 + 10 * i, "label": 0}
        for i in range(3)
    ]
    facts: dict[str, Any] = {k: {} for k in ("arguments", "versions", "counts", "sha256")}
    facts |= {"source": "test", "licence": "none", "skipped": []}
    parts = {"training": [], "validation": [], "test": items}
    write_manifest(folder, {**facts, **parts, **({"mask": "mask.npy"} if masked else {})})
    return mask


def test_images_are_standardised_as_monai_does_one_by_one() -> None:
    x = torch.tensor(volumes()[:, None]).float()
    out = SubjectBatch(standardize=True)({"image": x})["image"]
    for image, result in zip(x, out):
        torch.testing.assert_close(result, NormalizeIntensity()(image).as_tensor())
    assert not torch.allclose(out[0].mean(), x[0].mean())


def test_a_constant_image_becomes_zeros_and_the_batch_stays_as_it_was() -> None:
    batch = {"image": torch.full((1, 1, 2, 2), 3.0)}
    assert torch.equal(
        SubjectBatch(standardize=True)(batch)["image"], torch.zeros_like(batch["image"])
    )
    assert torch.equal(batch["image"], torch.full((1, 1, 2, 2), 3.0))
    assert torch.equal(SubjectBatch()(batch)["image"], batch["image"])


@pytest.mark.parametrize(("years", "groups"), [(0.0, [0, 0, 0]), (5.0, [4, 11, -1])])
def test_ages_are_grouped(years: float, groups: list[int]) -> None:
    batch = {"image": torch.zeros(3, 1), "age": torch.tensor([24.9, 55.0, torch.nan])}
    assert SubjectBatch(age_group=years)(batch)["age_group"].tolist() == groups


def test_a_column_may_be_handed_on_as_the_label() -> None:
    batch = {"image": torch.zeros(1, 1), "age": torch.tensor([24.0]), "label": torch.tensor([1])}
    assert SubjectBatch(label="age")(batch)["label"] is batch["age"]
    assert SubjectBatch()(batch)["label"] is batch["label"]


@pytest.mark.parametrize("masked", [False, True])
def test_inference_reads_a_stack_as_training_does(masked: bool, tmp_path: Path) -> None:
    prepared(tmp_path, masked)
    load = LoadStoredd("image", mask=tmp_path / "mask.npy" if masked else "")
    dataset = StackDataset(tmp_path, "test", columns=["age"])
    for i, entry in enumerate(image_datalist(tmp_path / "manifest.json")):
        loaded = load(entry)
        assert torch.equal(loaded["image"], dataset[i]["image"])
        assert loaded["name"] == f"s{i}"
        assert loaded["age"] == 20.0 + 10 * i


def test_a_volume_keeps_its_values_and_loses_what_is_outside_the_mask(tmp_path: Path) -> None:
    mask = prepared(tmp_path, masked=True)
    volume = volumes()[0].astype(np.float32)
    path = write_nifti(tmp_path / "brain.nii.gz", volume)
    entry = {"image": str(path), "name": "brain.nii.gz"}
    plain = LoadStoredd("image")(entry)
    np.testing.assert_array_equal(plain["image"][0].numpy(), volume)
    assert plain["name"] == "brain.nii.gz"
    inside = LoadStoredd("image", mask=tmp_path / "mask.npy")(entry)["image"][0].numpy()
    np.testing.assert_array_equal(inside, volume * mask)


def test_a_table_is_a_row_of_features(tmp_path: Path) -> None:
    np.save(tmp_path / "roi.npy", np.arange(6.0).reshape(1, 6))
    loaded = LoadStoredd("image", table=True)({"image": str(tmp_path / "roi.npy")})
    assert torch.equal(loaded["image"], torch.arange(6.0))


def test_unfit_files_are_told_in_one_line(tmp_path: Path) -> None:
    prepared(tmp_path, masked=True)
    row = {"image": str(tmp_path / "stack.npy"), "index": 0}
    with pytest.raises(InputError, match=r"stack.npy: must hold volumes, got rows of .* --mask"):
        LoadStoredd("image")(row)
    with pytest.raises(InputError, match=r"index must lie in 0..2, got 7"):
        LoadStoredd("image", mask=tmp_path / "mask.npy")({**row, "index": 7})
    path = write_nifti(tmp_path / "small.nii.gz", np.arange(8.0).reshape(2, 2, 2))
    with pytest.raises(InputError, match=r"small.nii.gz: must have the mask's shape \(4, 5, 6\)"):
        LoadStoredd("image", mask=tmp_path / "mask.npy")({"image": str(path)})
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(InputError, match=r"text.npy: must be a whole .npy file of numbers"):
        LoadStoredd("image", table=True)({"image": str(tmp_path / "text.npy")})
    for values in (np.array([1.0, np.nan]), np.array(["a", "b"])):
        np.save(tmp_path / "row.npy", values)
        with pytest.raises(InputError, match=r"row.npy: (values must be finite|must be a whole)"):
            LoadStoredd("image", table=True)({"image": str(tmp_path / "row.npy")})
    with pytest.raises(InputError, match="age_group must not be negative, got -1"):
        SubjectBatch(age_group=-1)
