"""Values that are looked up are the formula's for every pixel, to the last bit."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from common.data import read_image
from tests.oracles.films import shown
from tests.synthetic import write_dicom

FUNCTIONS = (None, "LINEAR", "LINEAR_EXACT", "SIGMOID")
RESCALES = ((1.0, 0.0), (2.5, -1024.0), (-0.1, 7.3))


def pixels(bits: int, signed: bool, shape: tuple[int, int] = (40, 31)) -> npt.NDArray[Any]:
    """All bits, the lowest and the highest value among them."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    kind = f"{'i' if signed else 'u'}{1 if bits == 8 else 2}"
    values = np.random.default_rng(bits).integers(low, high, shape)
    values.flat[:2] = low, high - 1
    return values.astype(kind)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_window_and_rescale_gives_the_formula_of_every_pixel(
    tmp_path: Path, bits: int, signed: bool, photometric: str
) -> None:
    stored = pixels(bits, signed)
    for function, (slope, intercept) in itertools.product(FUNCTIONS, RESCALES):
        window = (slope * 2.0 ** (bits - 3) + intercept, 2.0 ** (bits - 2)) if function else None
        given = {"RescaleSlope": slope, "RescaleIntercept": intercept, "VOILUTFunction": function}
        if window:
            given |= dict(zip(("WindowCenter", "WindowWidth"), window, strict=True))
        path = write_dicom(
            tmp_path / "a.dcm", stored, bits, PhotometricInterpretation=photometric, **given
        )
        expected = shown(
            stored, slope, intercept, window, function or "", inverted=photometric[-1] == "1"
        )
        np.testing.assert_array_equal(read_image(path)[0], expected)


@pytest.mark.parametrize("width", [30, 31], ids=["in twos", "one by one"])
def test_bytes_are_looked_up_in_either_way(tmp_path: Path, width: int) -> None:
    for signed in (False, True):
        stored = pixels(8, signed, (40, width))
        path = write_dicom(tmp_path / "a.dcm", stored, 8)
        np.testing.assert_array_equal(read_image(path)[0], shown(stored))


@pytest.mark.parametrize("end", ["lowest", "highest", "within", "none"])
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_the_range_without_padding_gives_the_formula(
    tmp_path: Path, signed: bool, bits: int, end: str
) -> None:
    stored = pixels(bits, signed)
    value = {"lowest": stored.min(), "highest": stored.max(), "within": 63}.get(end)
    stored[0, 2:] = 63 if value is None else value
    padding = None if value is None else int(value)
    path = write_dicom(tmp_path / "a.dcm", stored, bits, PixelPaddingValue=padding)
    np.testing.assert_array_equal(read_image(path)[0], shown(stored, padding=padding))


@pytest.mark.parametrize("inverted", [False, True])
def test_a_voi_table_gives_its_entry_for_every_pixel(tmp_path: Path, inverted: bool) -> None:
    stored, item = pixels(12, signed=False), Dataset()
    entries = np.random.default_rng(1).integers(0, 65536, 4096).astype(np.uint16)
    item.add_new((0x0028, 0x3002), "US", [4096, 0, 16])
    item.add_new((0x0028, 0x3006), "OW", entries.tobytes())
    named = "MONOCHROME1" if inverted else "MONOCHROME2"
    given = {"PhotometricInterpretation": named, "VOILUTSequence": Sequence([item])}
    path = write_dicom(tmp_path / "a.dcm", stored, 12, **given)
    expected = shown(stored, table=entries, inverted=inverted)
    np.testing.assert_array_equal(read_image(path)[0], expected)


@pytest.mark.parametrize("orientation", [["R", "H"], ["F", "L"]], ids=["turned", "lying"])
def test_a_large_film_that_lies_otherwise_is_looked_up_in_every_part(
    tmp_path: Path, orientation: list[str]
) -> None:
    stored = pixels(12, signed=True, shape=(301, 257))
    path = write_dicom(tmp_path / "a.dcm", stored, 12, PatientOrientation=orientation)
    whole = shown(stored)
    expected = whole[::-1, ::-1] if orientation[0] == "R" else whole.T
    np.testing.assert_array_equal(read_image(path)[0], expected)


@pytest.mark.parametrize(("padding", "highest"), [(None, 1000), (0, 500)])
def test_a_modality_table_that_rises_and_falls_shows_its_whole_range(
    tmp_path: Path, padding: int | None, highest: int
) -> None:
    item = Dataset()
    item.add_new((0x0028, 0x3002), "US", [4, 0, 16])
    item.add_new((0x0028, 0x3006), "US", [1000, 0, 500, 250])
    path = write_dicom(
        tmp_path / "a.dcm", np.array([[0, 1, 2, 3]], np.uint16), 12,
        ModalityLUTSequence=Sequence([item]), PixelPaddingValue=padding,
    )  # fmt: skip
    expected = np.minimum(np.array([1000, 0, 500, 250]) / highest, 1)
    np.testing.assert_allclose(read_image(path)[0, 0], expected, atol=1e-7)
