"""DICOM as a viewer shows it: LUTs, windows, MONOCHROME1, orientation, and broken files."""

from pathlib import Path
from typing import Any

import itk
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from common.checks import InputError
from common.data import dicom_stored, read_image
from common.data.dicom import dicom_facts
from tests.synthetic import ramp, write_dicom


def lut(entries: list[int], first: int, bits: int) -> Sequence:
    item = Dataset()
    item.add_new((0x0028, 0x3002), "US", [len(entries), first, bits])
    item.add_new((0x0028, 0x3006), "US", entries)
    item.add_new((0x0028, 0x3004), "LO", "US")
    return Sequence([item])


def test_without_window_the_range_of_the_values_is_used(tmp_path: Path) -> None:
    pixels = ramp() // 2 + 100
    image = read_image(write_dicom(tmp_path / "a.dcm", pixels))
    low, high = int(pixels.min()), int(pixels.max())
    np.testing.assert_allclose(image[0], (pixels - low) / (high - low), atol=1e-6)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_follows_the_formula_of_its_function(tmp_path: Path, function: str | None) -> None:
    pixels, centre, width, slope, intercept = ramp(), 3000.0, 1000.0, 2.0, -1000.0
    path = write_dicom(
        tmp_path / "a.dcm",
        pixels,
        WindowCenter=centre,
        WindowWidth=width,
        VOILUTFunction=function,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
    )
    expected = np.empty(pixels.shape)
    for place, stored in np.ndenumerate(pixels):
        x = slope * int(stored) + intercept
        if function == "SIGMOID":
            expected[place] = 1 / (1 + np.exp(-4 * (x - centre) / width))
        elif function == "LINEAR_EXACT":
            expected[place] = min(max((x - centre) / width + 0.5, 0), 1)
        else:
            expected[place] = min(max((x - (centre - 0.5)) / (width - 1) + 0.5, 0), 1)
    assert (expected > 0.99).any()
    assert (expected < 0.02).any()
    np.testing.assert_allclose(read_image(path)[0], expected, atol=1e-6)


def test_first_of_several_windows_is_used(tmp_path: Path) -> None:
    one = write_dicom(tmp_path / "a.dcm", ramp(), WindowCenter=800, WindowWidth=400)
    two = write_dicom(tmp_path / "b.dcm", ramp(), WindowCenter=[800, 3000], WindowWidth=[400, 90])
    np.testing.assert_array_equal(read_image(one), read_image(two))


def test_window_beside_the_values_is_passed_over(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), WindowCenter=-9000, WindowWidth=10)
    np.testing.assert_array_equal(
        read_image(path), read_image(write_dicom(tmp_path / "b.dcm", ramp()))
    )


def test_voi_lut_wins_over_the_window(tmp_path: Path) -> None:
    pixels = np.array([[0, 1], [2, 3]], np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm",
        pixels,
        VOILUTSequence=lut([0, 10, 100, 255], 0, 8),
        WindowCenter=2,
        WindowWidth=2,
    )
    np.testing.assert_allclose(read_image(path)[0] * 255, [[0, 10], [100, 255]], atol=1e-4)


def test_voi_lut_is_used_after_a_rescale(tmp_path: Path) -> None:
    table = lut([0, 10, 100, 255], 4, 8)
    pixels = np.array([[0, 1], [2, 3]], np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm", pixels, VOILUTSequence=table, RescaleSlope=1, RescaleIntercept=4
    )
    np.testing.assert_allclose(read_image(path)[0] * 255, [[0, 10], [100, 255]], atol=1e-4)


def test_modality_lut_comes_before_the_window(tmp_path: Path) -> None:
    pixels = np.array([[0, 1], [2, 3]], np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm",
        pixels,
        ModalityLUTSequence=lut([1000, 0, 500, 250], 0, 16),
        WindowCenter=500,
        WindowWidth=1000,
        VOILUTFunction="LINEAR_EXACT",
    )
    np.testing.assert_allclose(read_image(path)[0], [[1, 0], [0.5, 0.25]], atol=1e-6)


def test_monochrome1_is_inverted_once(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"WindowCenter": 1500, "WindowWidth": 2000}
    plain = read_image(write_dicom(tmp_path / "a.dcm", ramp(), **fields))
    inverted = read_image(
        write_dicom(tmp_path / "b.dcm", ramp(), PhotometricInterpretation="MONOCHROME1", **fields)
    )
    np.testing.assert_allclose(inverted, 1 - plain, atol=1e-6)


def correlation(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize(  # SimpleITK refuses signed MONOCHROME1
    ("photometric", "signed"),
    [("MONOCHROME1", False), ("MONOCHROME2", False), ("MONOCHROME2", True)],
)
@pytest.mark.parametrize("slope", [1, 2], ids=["no rescale", "rescaled"])
def test_the_fallback_reader_gives_the_same_pixels(
    tmp_path: Path, photometric: str, signed: bool, slope: int
) -> None:
    pixels = ramp().astype(np.int16) - 2048 if signed else ramp()
    path = write_dicom(
        tmp_path / "a.dcm",
        pixels,
        PhotometricInterpretation=photometric,
        RescaleSlope=slope,
        RescaleIntercept=-100 * (slope - 1),
    )
    data = pydicom.dcmread(path)
    through_simpleitk = dicom_stored._stored_through_simpleitk(path, data)
    np.testing.assert_array_equal(through_simpleitk, data.pixel_array)


def test_our_monochrome1_agrees_with_itk_and_simpleitk(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(40, 30), PhotometricInterpretation="MONOCHROME1")
    stored = pydicom.dcmread(path).pixel_array
    theirs = [
        sitk.GetArrayFromImage(sitk.ReadImage(str(path))),
        itk.array_from_image(itk.imread(str(path))),
    ]
    for other in theirs:
        assert correlation(other, stored) < -0.999, "the premise: they invert, pydicom does not"
        assert correlation(other, read_image(path)) > 0.999


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (["L", "F"], lambda x: x),
        (["R", "F"], lambda x: x[:, ::-1]),
        (["L", "H"], lambda x: x[::-1]),
        (["R", "H"], lambda x: x[::-1, ::-1]),
        (["F", "L"], lambda x: x.T),
        (["A", "F"], lambda x: x),
        (["P", "H"], lambda x: x[::-1]),
        (None, lambda x: x),
    ],
    ids=["usual", "mirrored", "upside down", "turned", "lying", "lateral", "lateral down", "none"],
)
def test_patient_is_upright_with_the_left_on_the_right(
    tmp_path: Path, orientation: list[str] | None, turn: Any
) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), PatientOrientation=orientation)
    np.testing.assert_allclose(read_image(path)[0], turn(ramp() / 4095), atol=1e-6)


def test_detector_flip_is_not_undone(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), FieldOfViewHorizontalFlip="YES")
    np.testing.assert_allclose(read_image(path)[0], ramp() / 4095, atol=1e-6)


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
    path = write_dicom(tmp_path / "a.dcm", pixels, bits=8)
    np.testing.assert_allclose(read_image(path)[0, 0], [0.299, 0.587], atol=1e-3)


def no_pixels(path: Path) -> None:
    write_dicom(path, ramp(), PixelData=None, Rows=None, Columns=None)


def truncated(path: Path) -> None:
    data = write_dicom(path, ramp(64, 64)).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def truncated_header(path: Path) -> None:
    path.write_bytes(write_dicom(path, ramp()).read_bytes()[:200])


def no_dicom(path: Path) -> None:
    path.write_text("not DICOM at all, though named so. " * 20)


def wrong_depth(path: Path) -> None:
    write_dicom(path, ramp(), BitsAllocated=32, BitsStored=32, HighBit=31)


def depth_beyond_data(path: Path) -> None:
    write_dicom(path, ramp(high=255).astype(np.uint8), BitsAllocated=16, bits=12)


def two_frames(path: Path) -> None:
    write_dicom(path, ramp(), NumberOfFrames=2)


def constant(path: Path) -> None:
    write_dicom(path, np.full((8, 8), 7, np.uint16))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_pixels, "pixel data"),
        (truncated, "truncated"),
        (truncated_header, "DICOM"),
        (no_dicom, "DICOM"),
        (wrong_depth, "8 or 16 bits"),
        (depth_beyond_data, "truncated"),
        (two_frames, "one frame"),
        (constant, "same value"),
    ],
)
def test_unusable_file_is_one_line_that_names_the_file(
    tmp_path: Path, make: Any, words: str
) -> None:
    make(tmp_path / "case.dcm")
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "case.dcm")
    assert "case.dcm" in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert "planted-id" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "years"), [("058Y", 58), ("062", 62), ("018M", 1), ("003W", 0), ("097Y", 90)]
)
def test_age_is_coarse(tmp_path: Path, text: str, years: int) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), PatientAge=text)
    assert dicom_facts(path)["age"] == years


@pytest.mark.bad_input("labels")
@pytest.mark.parametrize("text", ["999Y", "121Y", "²", "x"])
def test_an_age_that_is_a_code_is_unknown(tmp_path: Path, text: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp(), PatientAge=text)
    assert "age" not in dicom_facts(path)


def test_facts_hold_no_value_outside_the_allow_list(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", ramp(), ViewPosition="Jane Doe", PatientSex="F", PatientAge="x"
    )
    assert dicom_facts(path) == {
        "patient": "planted-id",
        "burned_in": False,
        "modality": "DX",
        "sex": "F",
    }


DECODABLE = {
    "txrv": 2,
    "wg04": 12,
    "pydicom_repo": 7,
}


@pytest.mark.parametrize("folder", DECODABLE)
def test_every_single_frame_sample_decodes(shared_data: Path, folder: str) -> None:
    shapes = {}
    for path in sorted((shared_data / "dicom" / folder).glob("*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if int(header.get("NumberOfFrames") or 1) == 1:
            image = read_image(path)
            shapes[path.name] = image.shape
            assert image.shape == (1, header.Rows, header.Columns)
            assert image.std() > 0.02
    assert len(shapes) == DECODABLE[folder]


def test_twelve_bit_extended_jpeg_equals_its_lossless_twin(shared_data: Path) -> None:
    folder = shared_data / "dicom" / "wg04"
    with pytest.raises(RuntimeError):
        pydicom.dcmread(folder / "RG3_JPLY.dcm").pixel_array  # noqa: B018 - the premise
    lossy, lossless = (read_image(folder / f"RG3_{name}.dcm") for name in ("JPLY", "JPLL"))
    difference = np.abs(lossy - lossless)
    assert difference.mean() < 0.002
    assert (difference > 0.05).sum() <= 8, "ITK wraps 8 of 3 million pixels that overshoot 10 bits"


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_no_truncated_sample_yields_pixels(shared_data: Path, tmp_path: Path, share: float) -> None:
    samples = sorted((shared_data / "dicom").glob("*/*.dcm"))
    assert len(samples) > 20
    for sample in samples:
        data = sample.read_bytes()
        (tmp_path / "a.dcm").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InputError):
            read_image(tmp_path / "a.dcm")


def test_real_monochrome1_chest_agrees_with_itk(shared_data: Path) -> None:
    path = shared_data / "dicom" / "wg04" / "RG1_J2KI.dcm"
    theirs = itk.array_from_image(itk.imread(str(path)))
    assert correlation(theirs, read_image(path)) > 0.999


def test_retagged_monochrome1_is_the_negative_of_its_twin(shared_data: Path) -> None:
    folder = shared_data / "dicom" / "txrv"
    plain = read_image(folder / "nih_siim_cr_chest_pa_mono2.dcm")
    retagged = read_image(folder / "fake_monochrome1_same_pixels.dcm")
    np.testing.assert_allclose(retagged, 1 - plain, atol=1e-6)
