"""Pixel values of DICOM are the standard's: bit positions, tables, palettes, colours, empty fields.

Expected values are worked by hand from PS3.3 and PS3.5. SimpleITK agrees on palettes; of High Bit
it takes no notice.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian

from common.checks import InputError
from common.data import read_image
from common.data.dicom import read_dicom_colour
from tests.synthetic import ramp, write_dicom, write_picture

QUAD = np.array([[0, 1], [2, 3]], np.uint16)
COLOURS = ("Red", "Green", "Blue")


def table(descriptor: list[int], content: bytes | list[int], vr: str = "US") -> Sequence:
    item = Dataset()
    item.add_new((0x0028, 0x3002), "SS" if min(descriptor) < 0 else "US", descriptor)
    item.add_new((0x0028, 0x3006), "OW" if isinstance(content, bytes) else vr, content)
    return Sequence([item])


def palette(entries: Any, descriptor: list[int]) -> dict[str, Any]:
    """The same table for red, twice as dark for green, none for blue."""
    fields: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for part, colour in enumerate(COLOURS):
        values = np.asarray(entries) // (1, 2, 1)[part] * np.uint8(part < 2)
        fields[f"{colour}PaletteColorLookupTableDescriptor"] = descriptor
        fields[f"{colour}PaletteColorLookupTableData"] = values.astype(entries.dtype).tobytes()
    return fields


def big_endian(path: Path, pixels: np.ndarray, **fields: Any) -> Path:
    """As `write_dicom`, stored with the bytes of each word swapped."""
    written = pydicom.dcmread(write_dicom(path, pixels, **fields))
    data = Dataset(written)  # one read from a file keeps its order of bytes
    data.file_meta = written.file_meta
    data.PixelData = pixels.astype(">u2").tobytes()
    for colour in COLOURS:
        name = f"{colour}PaletteColorLookupTableData"
        if name in data:
            data[name].value = np.frombuffer(data[name].value, "<u2").byteswap().tobytes()
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    data.save_as(path, little_endian=False, implicit_vr=False, enforce_file_format=True)
    return path


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("high", [11, 13, 15])
def test_the_value_lies_in_the_stored_bits_up_to_the_high_bit(
    tmp_path: Path, high: int, signed: bool
) -> None:
    values = ramp().astype(np.int64) - (2048 if signed else 0)
    cells = (values & 4095) << (high - 11)
    if high < 15:
        cells |= 1 << (high + 1)  # an overlay in a bit above, as old files have it
    cells |= (1 << (high - 11)) - 1  # and what is below is no part of the value either
    stored = cells.astype(np.uint16).view(np.int16 if signed else np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm", stored, HighBit=high, RescaleSlope=2, RescaleIntercept=5,
        WindowCenter=400, WindowWidth=2000, VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    expected = np.clip((2 * values + 5 - 400) / 2000 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(path)[0], expected, atol=1e-6)


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize(("bits", "high"), [(17, 16), (12, 16), (12, 3), (0, 11)])
def test_bits_that_contradict_each_other_are_refused(tmp_path: Path, bits: int, high: int) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), BitsStored=bits, HighBit=high)
    with pytest.raises(InputError, match=r"a\.dcm: Bits Stored and High Bit must lie"):
        read_image(path)


@pytest.mark.parametrize(
    ("descriptor", "content", "expected"),
    [
        ([4, 0, 8], bytes([0, 10, 100, 255]), [0, 10, 100, 255]),
        ([4, 0, 8], [0, 10, 100, 255], [0, 10, 100, 255]),
        ([3, 0, 8], bytes([0, 10, 255, 0]), [0, 10, 255, 255]),
        ([4, 0, 12], [0, 1606, 2409, 4095], [0, 100.0073, 150.011, 255]),
        ([4, 0, 16], [0, 257, 25700, 65535], [0, 1, 100, 255]),
        ([3, 1, 8], [10, 100, 255], [10, 10, 100, 255]),
        ([4, -1, 8], [0, 10, 100, 255], [10, 100, 255, 255]),
        ([4, 0, 8], [0, 2570, 25700, 65535], [0, 10, 100, 255]),
    ],
    ids=[
        "packed",
        "words",
        "odd",
        "12 bits",
        "16 bits",
        "from 1",
        "from -1",
        "more bits",
    ],
)
def test_voi_table_gives_its_entry(
    tmp_path: Path, descriptor: list[int], content: Any, expected: list[int]
) -> None:
    signed = QUAD.astype(np.int16) if min(descriptor) < 0 else QUAD
    path = write_dicom(tmp_path / "a.dcm", signed, VOILUTSequence=table(descriptor, content))
    np.testing.assert_allclose(read_image(path)[0].ravel() * 255, expected, atol=1e-3)


def test_a_table_of_4096_packed_bytes_is_that_of_4096_words(tmp_path: Path) -> None:
    entries = (np.arange(4096) / 4095) ** 2 * 255
    packed = table([4096, 0, 8], entries.astype(np.uint8).tobytes())
    path = write_dicom(tmp_path / "a.dcm", ramp(), VOILUTSequence=packed)
    expected = entries.astype(np.uint8)[ramp()] / 255
    np.testing.assert_allclose(read_image(path)[0], expected, atol=1e-6)


def test_no_entries_stands_for_65536(tmp_path: Path) -> None:
    entries = np.arange(65536, dtype=np.uint16)[::-1]
    path = write_dicom(
        tmp_path / "a.dcm", ramp(high=65535), bits=16,
        VOILUTSequence=table([0, 0, 16], entries.tobytes()),
    )  # fmt: skip
    np.testing.assert_allclose(read_image(path)[0], 1 - ramp(high=65535) / 65535, atol=1e-6)


def test_a_first_value_of_signed_pixels_written_unsigned_is_negative(tmp_path: Path) -> None:
    stored = QUAD.astype(np.int16) - 2
    path = write_dicom(
        tmp_path / "a.dcm", stored, VOILUTSequence=table([4, 65534, 8], [0, 10, 100, 255])
    )
    np.testing.assert_allclose(read_image(path)[0].ravel() * 255, [0, 10, 100, 255], atol=1e-4)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_modality_table_of_any_depth_comes_before_the_window(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    path = write_dicom(
        tmp_path / "a.dcm", QUAD, ModalityLUTSequence=table([4, 0, bits], [top, 0, top // 5, 10]),
        WindowCenter=top / 2, WindowWidth=top, VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    expected = [1, 0, top // 5 / top, 10 / top]
    np.testing.assert_allclose(read_image(path)[0].ravel(), expected, atol=1e-6)


EMPTY = [Dataset()]


@pytest.mark.parametrize(
    "fields",
    [
        {"RescaleSlope": ""},
        {"RescaleIntercept": ""},
        {"VOILUTSequence": Sequence(EMPTY)},
        {"ModalityLUTSequence": Sequence(EMPTY)},
        {"VOILUTSequence": Sequence([])},
    ],
    ids=["slope", "intercept", "VOI item", "modality item", "VOI sequence"],
)
def test_what_is_empty_counts_as_absent_beside_a_window(tmp_path: Path, fields: Any) -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    plain = write_dicom(tmp_path / "a.dcm", ramp(), **window)
    empty = write_dicom(tmp_path / "b.dcm", ramp(), **window, **fields)
    np.testing.assert_array_equal(read_image(empty), read_image(plain))


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"RescaleSlope": 0}, "slope not 0"),
        ({"RescaleSlope": 0, "WindowCenter": 5, "WindowWidth": 10}, "slope not 0"),
        ({"RescaleIntercept": "1e999"}, "finite"),
        ({"VOILUTSequence": table([8, 0, 8], [1, 2])}, "must fit it"),
        ({"ModalityLUTSequence": table([4, 0, 16], [7, 7, 7, 7])}, "same value"),
        ({"PhotometricInterpretation": "RGB"}, "must be MONOCHROME1"),
        ({"PhotometricInterpretation": "CMYK"}, "must be"),
        ({"Rows": 0}, "must have pixels"),
        ({"Rows": 65535, "Columns": 65535}, "at most 178 megapixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_header_without_a_picture_is_one_line(tmp_path: Path, fields: Any, words: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), **fields)
    with pytest.raises(InputError, match=r"a\.dcm") as caught:
        read_image(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


EIGHT = np.array([0, 40, 100, 255], np.uint8)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("width", ["packed", "words", "16 bits"])
def test_palette_gives_its_colours(tmp_path: Path, order: str, width: str) -> None:
    entries = {
        "packed": EIGHT,
        "words": EIGHT.astype("<u2"),
        "16 bits": EIGHT.astype("<u2") * np.uint16(257),
    }[width]
    fields = palette(entries, [4, 0, 16 if width == "16 bits" else 8])
    write = write_dicom if order == "little" else big_endian
    colours = read_dicom_colour(write(tmp_path / "a.dcm", QUAD, bits=16, **fields))
    np.testing.assert_array_equal(colours[..., 0].ravel(), EIGHT)
    np.testing.assert_allclose(colours[..., 1].ravel(), EIGHT // 2, atol=1)
    assert not colours[..., 2].any()


def test_simpleitk_agrees_on_a_palette_of_16_bits(tmp_path: Path) -> None:
    fields = palette(EIGHT.astype("<u2") * np.uint16(257), [4, 0, 16])
    path = write_dicom(tmp_path / "a.dcm", QUAD.astype(np.uint8), bits=8, **fields)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
    np.testing.assert_allclose(read_dicom_colour(path), theirs, atol=1)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_colour_reaches_1_at_the_highest_of_its_bits(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    pixels = np.array([[[top, 0, 0], [0, top, 0], [top, top, top]]], np.uint16)
    pixels = pixels.astype(np.uint8 if bits == 8 else np.uint16)
    path = write_dicom(tmp_path / "a.dcm", pixels, bits=bits)
    np.testing.assert_allclose(read_image(path)[0, 0], [0.299, 0.587, 1], atol=1e-6)
    assert read_dicom_colour(path)[0, 2].tolist() == [255, 255, 255]


def test_the_name_does_not_decide_what_a_file_is(tmp_path: Path) -> None:
    film = write_dicom(tmp_path / "a.dcm", ramp())
    expected = read_image(film)
    np.testing.assert_array_equal(read_image(film.rename(tmp_path / "a.png")), expected)
    picture = write_picture(tmp_path / "b.png", ramp())
    expected = read_image(picture)
    np.testing.assert_array_equal(read_image(picture.rename(tmp_path / "b.dcm")), expected)


def test_a_file_without_preamble_and_suffix_is_read(tmp_path: Path) -> None:
    film = write_dicom(tmp_path / "a.dcm", ramp())
    bare = tmp_path / "film"
    bare.write_bytes(film.read_bytes()[132:])
    np.testing.assert_array_equal(read_image(bare), read_image(film))


def beside_padding(path: Path, values: np.ndarray) -> None:
    """The first column is padding."""
    inside = values[:, 1:].astype(np.float64)
    expected = (inside - inside.min()) / (inside.max() - inside.min())
    np.testing.assert_allclose(read_image(path)[0, :, 1:], expected, atol=1e-6)


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize(
    ("padding", "limit"),
    [(9000, None), (9000, 8000), (0, None)],
    ids=["above", "a range", "below"],
)
def test_padding_is_no_part_of_the_range_that_is_shown(
    tmp_path: Path, padding: int, limit: int | None
) -> None:
    values = ramp(high=1000) + np.uint16(1)
    values[:, 0] = padding
    path = write_dicom(
        tmp_path / "a.dcm", values, 16, PixelPaddingValue=padding, PixelPaddingRangeLimit=limit
    )
    beside_padding(path, values)


@pytest.mark.bad_input("pixels")
def test_padding_of_signed_pixels_written_unsigned_is_negative(tmp_path: Path) -> None:
    values = ramp(high=1000).astype(np.int16)
    values[:, 0] = -2000
    data = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", values, 16))
    data.add_new("PixelPaddingValue", "US", 65536 - 2000)
    data.save_as(tmp_path / "b.dcm")
    assert pydicom.dcmread(tmp_path / "b.dcm").PixelPaddingValue == 63536
    beside_padding(tmp_path / "b.dcm", values)


def test_a_window_beside_the_values_is_passed_over_also_where_its_table_is_kept(
    tmp_path: Path,
) -> None:
    window = {"WindowCenter": 500, "WindowWidth": 100, "RescaleIntercept": 2}
    for high in (1000, 400, 1000):
        values = ramp(high=high)
        path = write_dicom(tmp_path / "a.dcm", values, **window)
        expected = (values + 2 - 499.5) / 99 + 0.5 if high > 450 else values / high
        np.testing.assert_allclose(read_image(path)[0], np.clip(expected, 0, 1), atol=1e-6)
