"""Files are written whole or not at all, and decode to what was encoded."""

import errno
import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.checks import InputError
from data_prep.machinery.faults import MachineFault
from data_prep.machinery.files import Output, encode_nifti, encode_png, to_integers


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 33), (7, 5, 3)])
def test_png_decodes_to_the_same_pixels(dtype: Any, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    with Image.open(BytesIO(encode_png(pixels))) as picture:
        if len(shape) == 3 and dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)  # Pillow keeps the high bytes of 16-bit colour
        np.testing.assert_array_equal(np.asarray(picture), pixels)


def test_png_of_a_view_equals_that_of_its_copy() -> None:
    pixels = np.random.default_rng(0).integers(0, 60000, (9, 8)).astype(np.uint16)
    view = pixels[::-1, ::-1].T
    assert encode_png(view) == encode_png(view.copy())


@pytest.mark.parametrize("shape", [(2, 2, 4), (2,), (2, 2, 3, 1)])
def test_png_refuses_what_is_neither_grey_nor_rgb(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"must be \(H, W\) or \(H, W, 3\)"):
        encode_png(np.zeros(shape, np.uint8))


def test_nifti_bytes_hold_the_volume_and_no_time(tmp_path: Path) -> None:
    volume = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    data = encode_nifti(volume, spacing_mm=2.0)
    assert data[4:8] == b"\0\0\0\0", "the time stamp of gzip (RFC 1952)"
    (tmp_path / "a.nii.gz").write_bytes(data)
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), volume)
    assert image.header.get_zooms() == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("bits", [8, 16])
def test_integers_are_rounded_over_the_whole_range(bits: int) -> None:
    values = np.linspace(0, 1, 2**bits, dtype=np.float32)
    np.testing.assert_array_equal(to_integers(values, bits), np.arange(2**bits))


def test_failed_write_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, path = Output(tmp_path), tmp_path / "a.png"
    output.write("a.png", b"old")

    def half(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(MachineFault, match="No space"):
        output.write("a.png", b"new content")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_output_keeps_the_digest_of_what_lies_on_disk(tmp_path: Path) -> None:
    output = Output(tmp_path)
    output.write("a/b.bin", b"content")
    digest = hashlib.sha256((tmp_path / "a" / "b.bin").read_bytes()).hexdigest()
    assert output.digests == {"a/b.bin": digest}


def test_stack_keeps_its_digest_and_an_empty_one_leaves_no_file(tmp_path: Path) -> None:
    output = Output(tmp_path)
    assert output.write_stack("images/a.npy", iter(np.ones((3, 4))), (4,), "float16") == 3
    assert output.write_stack("images/b.npy", iter(()), (4,), "float16") == 0
    data = (tmp_path / "images" / "a.npy").read_bytes()
    assert output.digests == {"images/a.npy": hashlib.sha256(data).hexdigest()}
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["a.npy"]
