"""Stacks give the rows that were written, a batch at a time, and hold none of them."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from common.checks import InputError
from common.data import (
    LoadMedicalImaged,
    StackDataset,
    as_batch,
    read_image,
    read_manifest,
    write_manifest,
    write_stack,
)

RNG = np.random.default_rng(0)


def prepared(folder: Path, stack: np.ndarray, **changes: Any) -> Path:
    """A folder whose training part is `stack`, in reverse order so that index is not position."""
    write_stack(folder / "images" / "training.npy", stack, stack.shape[1:], stack.dtype)
    count = len(stack)
    entries = [
        {
            "image": "images/training.npy",
            "index": count - 1 - i,
            "label": i % 2,
            "age": 20 + i,
            "site": -1 if i == 0 else i % 3,
            "patient": f"p{i}",
        }
        for i in range(count)
    ]
    empty: dict[str, Any] = {key: {} for key in ("arguments", "versions", "counts", "sha256")}
    manifest = {"training": entries, "validation": [], "test": [], "skipped": [], **empty}
    (folder / "manifest.json").write_text(
        json.dumps({**manifest, "source": "test", "licence": "none", **changes})
    )
    return folder


def masked(folder: Path, dtype: str = "float16") -> tuple[Path, np.ndarray, np.ndarray]:
    mask = RNG.random((3, 4, 5)) > 0.4
    rows = RNG.standard_normal((6, int(mask.sum()))).astype(dtype)
    np.save(folder / "mask.npy", mask)
    return prepared(folder, rows, mask="mask.npy"), mask, rows


def test_masked_rows_become_volumes_without_a_transpose(tmp_path: Path) -> None:
    folder, mask, rows = masked(tmp_path)
    dataset = StackDataset(folder, "training")
    for i in range(6):
        expected = np.zeros(mask.shape, np.float32)
        expected[mask] = rows[5 - i]
        image = dataset[i]["image"]
        assert image.dtype == torch.float32
        assert torch.equal(image, torch.from_numpy(expected)[None])


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (np.full((2, 4, 6), 51, np.uint8), torch.full((2, 1, 4, 6), 0.2)),
        (np.full((2, 4, 6, 3), 255, np.uint8), torch.ones(2, 3, 4, 6)),
        (np.full((2, 4, 5, 6), 51, np.uint8), torch.full((2, 1, 4, 5, 6), 0.2)),
        (np.full((2, 4, 5, 6), 7.5, np.float16), torch.full((2, 1, 4, 5, 6), 7.5)),
        (np.full((2, 4), 7.5, np.float32), torch.full((2, 4), 7.5)),
    ],
    ids=["grey", "colour", "uint8 volume", "float volume", "features"],
)
def test_shape_and_scale_follow_the_stored_type(
    tmp_path: Path, stack: np.ndarray, expected: torch.Tensor
) -> None:
    dataset = StackDataset(prepared(tmp_path, stack), "training")
    images = dataset.__getitems__([0, 1])["image"]
    torch.testing.assert_close(images, expected)
    torch.testing.assert_close(dataset[1]["image"], expected[1])


def test_colour_channels_come_first(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    image = StackDataset(prepared(tmp_path, stack), "training")[0]["image"]
    assert torch.equal(image, torch.from_numpy(stack[2]).permute(2, 0, 1).float() / 255)


def test_batch_equals_its_items_and_keeps_the_order(tmp_path: Path) -> None:
    folder, _, _ = masked(tmp_path)
    dataset = StackDataset(folder, "training", ("label", "age", "site", "patient", "position"))
    order = [4, 0, 4, 2]
    batch = dataset.__getitems__(order)
    for place, i in enumerate(order):
        assert torch.equal(batch["image"][place], dataset[i]["image"])
    assert batch["label"].tolist() == [0, 0, 0, 0]
    assert batch["label"].dtype == torch.int64
    assert batch["age"].tolist() == [24, 20, 24, 22]
    assert batch["age"].dtype == torch.float32
    assert batch["site"].tolist() == [1, -1, 1, 2]
    assert batch["patient"] == ["p4", "p0", "p4", "p2"]
    assert batch["position"].tolist() == order


def test_missing_numbers_are_minus_one_or_nan(tmp_path: Path) -> None:
    folder, _, _ = masked(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["training"][1] |= {"age": None, "site": None}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    batch = StackDataset(folder, "training", ("age", "site")).__getitems__([1, 2])
    assert batch["age"].isnan().tolist() == [True, False]
    assert batch["site"].tolist() == [-1, 2]


def test_one_part_may_lie_in_several_stacks(tmp_path: Path) -> None:
    folder, _, rows = masked(tmp_path)
    write_stack(folder / "images" / "more.npy", rows[:2] * 2, rows.shape[1:], rows.dtype)
    manifest = json.loads((folder / "manifest.json").read_text())
    extra = {"image": "images/more.npy", "index": 1, "label": 0, "patient": "p9"}
    manifest["training"].insert(3, extra)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    dataset = StackDataset(folder, "training")
    batch = dataset.__getitems__([5, 3, 0])["image"]
    assert torch.equal(batch, torch.stack([dataset[i]["image"] for i in (5, 3, 0)]))
    assert batch[1].sum() == pytest.approx(2 * float(rows[1].astype(np.float32).sum()), rel=1e-3)


def test_loader_asks_for_whole_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _, _ = masked(tmp_path)
    dataset = StackDataset(folder, "training")
    asked: list[int] = []
    whole = StackDataset.__getitems__
    monkeypatch.setattr(
        StackDataset, "__getitems__", lambda self, i: (asked.append(len(i)), whole(self, i))[1]
    )
    batches = list(DataLoader(dataset, batch_size=4, collate_fn=as_batch))
    assert asked == [4, 2]
    assert [tuple(batch["image"].shape) for batch in batches] == [(4, 1, 3, 4, 5), (2, 1, 3, 4, 5)]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_give_the_same_batches(tmp_path: Path, method: str) -> None:
    folder, _, _ = masked(tmp_path)
    dataset = StackDataset(folder, "training")
    dataset[0]  # the parent's map is open before the workers start
    loader = DataLoader(
        dataset, 2, collate_fn=as_batch, num_workers=2, multiprocessing_context=method
    )
    together = torch.cat([batch["image"] for batch in loader])
    assert torch.equal(together, dataset.__getitems__(range(6))["image"])


def test_pickled_dataset_carries_no_images(tmp_path: Path) -> None:
    folder = prepared(tmp_path, np.zeros((8, 64, 64), np.float32))
    dataset = StackDataset(folder, "training")
    data = pickle.dumps(dataset)
    assert len(data) < 10_000 < 8 * 64 * 64 * 4
    assert torch.equal(pickle.loads(data)[3]["image"], dataset[3]["image"])


def anonymous_megabytes() -> float:
    """Memory of this process that is not the system's file cache."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def test_reading_a_2_gigabyte_stack_holds_one_batch(tmp_path: Path) -> None:
    if not Path("/proc/self/status").is_file():
        pytest.skip("no /proc: the memory of a process is read there")
    rows, voxels = 2048, 2**19
    folder = prepared(tmp_path, np.zeros((1, 2), np.float16))
    stack = np.lib.format.open_memmap(
        folder / "images" / "training.npy", "w+", np.float16, (rows, voxels)
    )
    stack[-1] = 1.0
    del stack
    (entry,) = json.loads((folder / "manifest.json").read_text())["training"]
    entries = [{**entry, "index": i, "patient": f"p{i}"} for i in range(0, rows + 1, 8)]
    entries[-1]["index"] = rows - 1
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "training": entries}))
    assert (folder / "images" / "training.npy").stat().st_size > 2**31
    dataset = StackDataset(folder, "training")
    before = anonymous_megabytes()
    for start in range(0, len(dataset), 8):
        batch = dataset.__getitems__(range(start, min(start + 8, len(dataset))))["image"]
    assert batch[-1].sum() == voxels
    assert anonymous_megabytes() - before < 100


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"index": 6}, "index must lie in 0..5 for images/training.npy, got 6"),
        ({"index": "0"}, "must have one image and an integer"),
        ({"index": 0}, "images/training.npy twice (row 0)"),
        ({"site": 3}, "site must be -1 or the number of one of 3 classes, got 3"),
    ],
    ids=["outside", "no integer", "row twice", "unknown class"],
)
def test_bad_entry_is_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    folder, _, _ = masked(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["classes"] = {"site": ["a", "b", "c"]}
    manifest["training"][0] |= changes
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError) as error:
        read_manifest(folder)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_mask_of_another_length_is_one_line(tmp_path: Path) -> None:
    folder, mask, rows = masked(tmp_path)
    np.save(folder / "mask.npy", np.ones_like(mask))
    with pytest.raises(InputError, match=rf"mask's 60 voxels, got shape \({rows.shape[1]},\)"):
        read_manifest(folder)


def test_truncated_stack_is_one_line(tmp_path: Path) -> None:
    folder, _, _ = masked(tmp_path)
    path = folder / "images" / "training.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"training\.npy: must be a whole \.npy file"):
        StackDataset(folder, "training")


@pytest.mark.parametrize(
    ("part", "columns", "words"),
    [("train", ("label",), "part must be one of"), ("training", ("bias",), "column 'bias'")],
)
def test_unknown_part_or_column_is_one_line(
    tmp_path: Path, part: str, columns: tuple[str, ...], words: str
) -> None:
    folder, _, _ = masked(tmp_path)
    with pytest.raises(InputError, match=words):
        StackDataset(folder, part, columns)


def test_images_in_files_of_their_own_are_refused(tmp_path: Path) -> None:
    folder, _, _ = masked(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["training"] = [{"image": "mask.npy", "label": 0, "patient": "p"}]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="LoadMedicalImaged"):
        StackDataset(folder, "training")


def test_written_stack_is_what_numpy_writes_up_to_padding(tmp_path: Path) -> None:
    rows = RNG.standard_normal((5, 3, 2))
    assert write_stack(tmp_path / "a.npy", iter(rows), (3, 2), "float32") == 5
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows.astype(np.float32))
    write_stack(tmp_path / "b.npy", iter(rows), (3, 2), "float32")
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_failing_rows_leave_the_earlier_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_stack(path, np.ones((2, 3)), (3,), "float32")
    with pytest.raises(InputError, match=r"every row must have shape \(3,\), got \(4,\)"):
        write_stack(path, (np.ones(n) for n in (3, 4)), (3,), "float32")
    assert np.load(path).shape == (2, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npy"]


def test_manifest_of_stacks_can_be_written(tmp_path: Path) -> None:
    folder, _, _ = masked(tmp_path)
    manifest = read_manifest(folder)
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest


def test_numpy_volume_reads_as_the_nifti_it_was_saved_from(
    shared_data: Path, tmp_path: Path
) -> None:
    source = sorted((shared_data / "ixi_t1_hh" / "nifti_2mm").glob("*T1_brain.nii.gz"))[0]
    volume = read_image(source)
    assert volume.ndim == 4
    assert volume.std() > 0.05
    np.save(tmp_path / "volume.npy", volume[None])
    again = read_image(tmp_path / "volume.npy")
    np.testing.assert_allclose(again, volume / np.percentile(volume[volume > 0], 99.5), atol=1e-6)
    np.testing.assert_array_equal(
        read_image(tmp_path / "volume.npy", 40), again[:, ::-1, ::-1, 40].swapaxes(1, 2)
    )
    loaded = LoadMedicalImaged(spatial_dims=3)({"image": str(tmp_path / "volume.npy")})
    assert torch.equal(loaded["image"], torch.from_numpy(again))


def test_numpy_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.ones((4, 4)))
    with pytest.raises(InputError, match=r"flat\.npy: must be one 3D volume, got shape \(4, 4\)"):
        read_image(tmp_path / "flat.npy")
