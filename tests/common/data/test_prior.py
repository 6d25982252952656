"""Tables of priors: what is written is joined to its images, whatever their order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset

from common.checks import InputError
from common.data import (
    StackDataset,
    as_batch,
    fingerprint,
    median_distance,
    read_prior,
    save_prior,
    with_prior,
)
from common.data.prior import image_key
from tests.common.data.test_stack import prepared

KEYS = ["a.png", "sub/b.png", "c.png"]
ROWS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "prior.npz"
    save_prior(path, KEYS, ROWS)
    return path


def refused(path: Path, keys: list[str] = KEYS) -> str:
    with pytest.raises(InputError) as error:
        read_prior(path, keys)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value)


def test_the_key_is_the_path_in_the_manifest_with_the_row_of_a_stack(tmp_path: Path) -> None:
    assert image_key({"image": "images/1.png"}) == "images/1.png"
    assert image_key({"image": ["t1.nii", "t2.nii"], "slice": 4}) == "t1.nii[4]"
    assert image_key({"image": "a.npy", "index": 0, "slice": 4}) == "a.npy[0]"
    assert image_key({"image": "a.nii", "slice": -1}) == "a.nii"
    absolute = {"image": str(tmp_path.resolve() / "sub" / "1.png")}
    assert image_key(absolute, tmp_path) == "sub/1.png"


def test_a_table_is_read_in_the_order_that_is_asked_for(table: Path) -> None:
    rows = read_prior(table, KEYS[::-1])
    assert rows.dtype == np.float32
    assert rows.tolist() == ROWS[::-1].tolist()


def test_a_datalist_becomes_batches_with_the_prior(table: Path, tmp_path: Path) -> None:
    data: list[dict[str, Any]] = [
        {"image": str(tmp_path / key), "label": i} for i, key in enumerate(KEYS)
    ]
    entries = with_prior(data, tmp_path, table)
    assert "prior" not in data[0]
    (batch,) = DataLoader(Dataset(entries), batch_size=3)
    assert batch["image_key"] == KEYS
    assert batch["prior"].dtype == torch.float32
    assert batch["prior"].tolist() == ROWS.tolist()
    assert "prior" not in with_prior(data, tmp_path)[0]


def test_a_stack_gives_the_prior_of_its_rows(tmp_path: Path) -> None:
    folder = prepared(tmp_path, np.zeros((6, 4, 4), np.uint8))
    keys = [f"images/training.npy[{row}]" for row in range(6)]
    save_prior(tmp_path / "prior.npz", keys, np.arange(12.0).reshape(6, 2))
    dataset = StackDataset(folder, "training", ["image_key"], prior=tmp_path / "prior.npz")
    (batch,) = DataLoader(dataset, batch_size=6, collate_fn=as_batch)
    rows = [entry["index"] for entry in dataset.entries]
    assert rows == [5, 4, 3, 2, 1, 0]
    assert batch["image_key"] == [keys[row] for row in rows]
    assert batch["prior"].tolist() == [[2 * row, 2 * row + 1] for row in rows]
    assert dataset[0]["prior"].tolist() == [10, 11]


def test_missing_and_extra_images_are_counted_and_the_first_named(table: Path) -> None:
    lacking = refused(table, [*KEYS, "d.png", "e.png", "f.png", "g.png"])
    assert "must hold every image of the data, lacks 4 of 7: d.png, e.png, f.png, …." in lacking
    more = refused(table, KEYS[:1])
    assert "must hold no image but those of the data, has 2 more: c.png, sub/b.png." in more
    save_prior(table, [*KEYS, "a.png"], np.ones((4, 2)))
    assert "must be listed once, got a.png more than once." in refused(table)


def test_a_table_with_holes_names_the_images(table: Path) -> None:
    save_prior(table, KEYS, np.where(ROWS == 4, np.nan, ROWS))
    assert "must be finite, got NaN or infinite for 1: sub/b.png." in refused(table)


@pytest.mark.parametrize("kind", ["absent", "text", "pickle", "no key", "one row", "numbers"])
def test_what_is_no_table_is_told_in_one_line(kind: str, table: Path) -> None:
    if kind == "absent":
        table.unlink()
    elif kind == "text":
        table.write_text("image,embedding")
    elif kind == "pickle":
        np.savez(table, image=np.array(KEYS, object), embedding=ROWS)
    elif kind == "no key":
        np.savez(table, image=KEYS, h=ROWS)
    elif kind == "one row":
        np.savez(table, image=KEYS, embedding=ROWS[:1])
    else:
        np.savez(table, image=np.arange(3), embedding=ROWS)
    assert "must " in refused(table)


def test_the_median_distance_is_that_of_the_pairs(table: Path) -> None:
    apart = [np.hypot(2, 2), np.hypot(2, 3), np.hypot(4, 5)]
    assert median_distance(table) == pytest.approx(np.median(apart))
    save_prior(table, KEYS, np.ones((3, 2)))
    with pytest.raises(InputError, match=r"must tell images apart, got a median distance of 0.0"):
        median_distance(table)


@pytest.mark.bad_input("prior")
def test_a_table_of_other_data_with_the_same_names_is_refused(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "data", np.arange(16, dtype=np.uint8).reshape(4, 2, 2))
    count = len(StackDataset(folder, "training"))
    keys = [image_key(entry) for entry in StackDataset(folder, "training").entries]
    own = fingerprint(folder)
    save_prior(tmp_path / "own.npz", keys, np.eye(count), own)
    save_prior(tmp_path / "other.npz", keys, np.eye(count), "0123456789ab")
    assert StackDataset(folder, "training", prior=tmp_path / "own.npz")[0]["prior"].shape == (
        count,
    )
    with pytest.raises(InputError, match=f"of the data {own}, got a table of 0123456789ab"):
        StackDataset(folder, "training", prior=tmp_path / "other.npz")
