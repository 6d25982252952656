"""Whatever is wrong with a file, its reader ends in one line that names it; the rest is read."""

import contextlib
import gzip
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from monai.data import CacheDataset
from monai.transforms import Compose

from common.checks import InputError
from common.data import ImageFiles, PrepareImaged, decoder, image_datalist, read_image
from common.data.dicom import dicom_facts
from common.data.dicom_mark import is_dicom
from common.data.fundus import read_fundus
from common.data.nifti import load_voxels
from common.data.photo import read_photo
from common.data.reading import reading
from tests.synthetic import ramp, write_dicom, write_nifti, write_picture

SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


class Panic(BaseException):
    """As a Rust library raises it."""


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(
    "error", [Panic("P"), TypeError("t"), RecursionError(), struct.error(), OSError(5, "I/O error")]
)
def test_whatever_a_reader_raises_is_one_line(error: BaseException) -> None:
    with (
        pytest.raises(InputError, match=r"a\.png: must be a whole picture"),
        reading(Path("a.png"), "picture"),
    ):
        raise error


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(), MemoryError(), OSError(24, "too many open files")]
)
def test_faults_of_the_machine_are_no_faults_of_the_file(error: BaseException) -> None:
    with pytest.raises(type(error)), reading(Path("a.png"), "picture"):
        raise error


def nifti(path: Path) -> bytes:
    voxels = np.random.default_rng(0).integers(0, 900, (4, 4, 4)).astype(np.int16)
    return write_nifti(path, voxels).read_bytes()


@pytest.mark.bad_input("files")
def test_a_flipped_byte_anywhere_in_gzip_is_one_line_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    whole = nifti(path)
    expected = load_voxels(path)
    refused = 0
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 0xFF
        path.write_bytes(data)
        try:
            np.testing.assert_array_equal(load_voxels(path), expected)
        except InputError as error:
            refused += "a.nii.gz" in str(error) and "\n" not in str(error)
    assert refused > 0.9 * len(whole)


@pytest.mark.bad_input("files")
def test_a_bomb_in_gzip_takes_no_more_memory_than_its_header_says(tmp_path: Path) -> None:
    data = bytearray(nifti(tmp_path / "a.nii"))
    struct.pack_into("<3h", data, 42, 20000, 20000, 20000)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(InputError, match=r"a\.nii\.gz: must have at most 4 GB"):
        load_voxels(tmp_path / "a.nii.gz")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, side: int = 9) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def two_pages(path: Path) -> bytes:
    """TIFF whose second page has no size."""
    data = bytearray(write_picture(path, ramp(9, 9, 255).astype(np.uint8)).read_bytes())
    count = struct.unpack_from("<H", data, struct.unpack_from("<I", data, 4)[0])[0]
    place = struct.unpack_from("<I", data, 4)[0] + 2 + 12 * count
    struct.pack_into("<I", data, place, len(data))
    return bytes(data) + struct.pack("<HHHIII", 1, 259, 4, 1, 1, 0)


PICTURES: dict[str, Callable[[Path], bytes]] = {
    "empty.png": lambda path: b"",
    "bomb.png": lambda path: png(chunk(b"IDAT", zlib.compress(bytes(99))), side=60000),
    "text.png": lambda path: png(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))),
    "nothing.png": lambda path: png(),
    "pages.tif": two_pages,
    "short.jpg": lambda path: b"\xff\xd8\xff\xe0\0\x10JFIF",
    "short.bmp": lambda path: b"BM\x9a\0",
    "short.webp": lambda path: b"RIFF\x10\0\0\0WEBPVP8 ",
}


READERS = [read_image, lambda path: read_photo(path, 8), lambda path: read_fundus(path, 32)]


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("read", READERS, ids=["image", "photo", "fundus"])
def test_a_damaged_picture_is_one_line(tmp_path: Path, name: str, read: Callable) -> None:
    path = tmp_path / name
    path.write_bytes(PICTURES[name](path))
    with pytest.raises(InputError, match=name) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(
    "header", [b"", b"\x93NUMPY\x01\0", b"\x93NUMPY\x01\0\x10\0{'descr': ((((  \n"]
)
def test_a_broken_npy_is_one_line(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(header)
    with pytest.raises(InputError, match=r"a\.npy: must be a whole"):
        load_voxels(tmp_path / "a.npy")


@pytest.mark.bad_input("files")
def test_a_header_of_unknown_type_is_told_without_its_values(tmp_path: Path) -> None:
    data = write_dicom(tmp_path / "a.dcm", ramp()).read_bytes()
    (tmp_path / "a.dcm").write_bytes(data.replace(b"\x10\0\x20\0LO", b"\x10\0\x20\0ZZ"))
    with pytest.raises(InputError, match=r"a\.dcm: must be") as caught:
        dicom_facts(tmp_path / "a.dcm")
    assert "planted" not in str(caught.value)


@pytest.mark.bad_input("files")
def test_a_file_of_no_known_syntax_is_one_line(tmp_path: Path) -> None:
    data = write_dicom(tmp_path / "a.dcm", ramp()).read_bytes()
    (tmp_path / "a.dcm").write_bytes(
        data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.1\0\0\0")
    )
    with pytest.raises(InputError, match=r"a\.dcm: must be a whole DICOM"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.bad_input("files")
def test_libraries_print_nothing_of_a_damaged_tiff(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_picture(tmp_path / "a.tif", ramp(99, 99), compression="tiff_lzw")
    data = path.read_bytes()
    path.write_bytes(data[:200] + bytes(2000) + data[2200:])
    with pytest.raises(InputError, match=r"a\.tif: must be a whole"):
        read_image(path)
    assert capfd.readouterr().err == ""


def damaged(folder: Path) -> list[Path]:
    """Compressed samples of pydicom with bytes of their streams changed, in many ways."""
    names = ("JPEG2000", "JPEGLSNearLossless_08", "SC_rgb_dcmtk_+eb+cr", "MR_small_RLE")
    paths = []
    for name in names:
        whole = (SAMPLES / f"{name}.dcm").read_bytes()
        start = whole.rfind(b"\xfe\xff\x00\xe0") + 8
        for seed in range(12):
            rng, data = np.random.default_rng(seed), bytearray(whole)
            for place in rng.integers(start, min(start + 700, len(data)), 3):
                data[place] = rng.integers(256)
            paths.append(folder / f"{name}{seed}.dcm")
            paths[-1].write_bytes(data)
    return paths


@pytest.mark.bad_input("files")
def test_no_damaged_stream_ends_the_process(tmp_path: Path) -> None:
    for path in damaged(tmp_path):
        with contextlib.suppress(InputError):
            assert np.isfinite(read_image(path)).all()


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("end", [signal.SIGABRT, signal.SIGSEGV])
def test_a_decoder_that_dies_costs_one_file(monkeypatch: pytest.MonkeyPatch, end: int) -> None:
    sample = SAMPLES / "MR_small_RLE.dcm"
    expected = read_image(sample)
    child = decoder._decoder.child
    assert child is not None
    ask = type(decoder._decoder)._running

    def die(self: object) -> subprocess.Popen[bytes]:
        running = ask(self)  # type: ignore[arg-type]
        running.send_signal(end)
        running.wait()
        return running

    with monkeypatch.context() as patch:
        patch.setattr(type(decoder._decoder), "_running", die)
        with pytest.raises(InputError, match=r"MR_small_RLE\.dcm: .*crashed or did not end"):
            read_image(sample)
    np.testing.assert_array_equal(read_image(sample), expected)


@pytest.mark.bad_input("files")
def test_a_decoder_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = SAMPLES / "MR_small_RLE.dcm"
    expected = read_image(sample)
    os.kill(decoder._decoder.child.pid, signal.SIGSTOP)  # type: ignore[union-attr]
    with monkeypatch.context() as patch:
        patch.setattr(decoder, "SECONDS", 0.2)
        with pytest.raises(InputError, match="crashed or did not end"):
            read_image(sample)
    np.testing.assert_array_equal(read_image(sample), expected)


def test_the_decoder_ends_with_its_process() -> None:
    code = (
        "from common.data import read_image, decoder; import sys; read_image(sys.argv[1]);"
        "print(decoder._decoder.child.pid)"
    )
    sample = str(SAMPLES / "MR_small_RLE.dcm")
    done = subprocess.run([sys.executable, "-c", code, sample], capture_output=True, text=True)
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_every_jpeg_is_read_without_the_gpl_library() -> None:
    for name in ("libjpeg", "pylibjpeg_libjpeg"):
        assert name not in sys.modules
    for path in (SAMPLES / "SC_rgb_jpeg_dcmtk.dcm", SAMPLES / "MR_small_jpeg_ls_lossless.dcm"):
        assert read_image(path).std() > 0.02


def sorted_out(files: ImageFiles) -> tuple[list[str], dict[str, str]]:
    """The names of the images that were read, and the reasons of the others."""
    actual = [entry for images in files for entry in images]
    read = [entry["name"] for entry in actual if "reason" not in entry]
    return read, {entry["name"]: entry["reason"] for entry in actual if "reason" in entry}


@pytest.mark.bad_input("files")
def test_bad_files_are_listed_and_the_rest_is_predicted(tmp_path: Path) -> None:
    for name, make in PICTURES.items():
        (tmp_path / name).write_bytes(make(tmp_path / name))
    for number, path in enumerate(damaged(tmp_path)):
        if number % 6:
            path.unlink()
    write_dicom(tmp_path / "good.dcm", ramp())
    (tmp_path / "good").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "good")
    names, message = sorted_out(ImageFiles(tmp_path, Compose([PrepareImaged(size=8)])))
    assert "good.dcm" in names
    assert set(PICTURES) | {"link"} <= set(message)
    assert all("\n" not in reason for reason in message.values())
    assert len(names) + len(message) == len(image_datalist(tmp_path))


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("kind", ["grey", "photo", "fundus"])
def test_what_looks_like_an_image_and_is_not_read_is_told(tmp_path: Path, kind: str) -> None:
    picture = write_picture(tmp_path / "good.png", ramp(40, 40).astype(np.uint8)).read_bytes()
    for name in ("a.jfif", "b.heic", "c", "d.txt"):
        (tmp_path / name).write_bytes(picture)
    (tmp_path / "e.txt").write_text("no image")
    (tmp_path / "f.gif").write_bytes(b"GIF")
    os.mkfifo(tmp_path / "g.png")
    (tmp_path / "h.png").symlink_to(tmp_path / "nowhere")
    prepare = PrepareImaged(size=8, preparation={"kind": kind, "size": 32})
    read, message = sorted_out(ImageFiles(tmp_path, prepare))
    assert "good.png" in read
    assert {*read, *message} == {path.name for path in tmp_path.iterdir()} - {"e.txt"}
    assert {"f.gif", "g.png", "h.png"} <= set(message)


@pytest.mark.bad_input("files")
def test_a_training_does_not_start_on_a_bad_file_and_names_it(tmp_path: Path) -> None:
    good = write_picture(tmp_path / "a.png", ramp())
    (tmp_path / "b.png").write_bytes(b"")
    entries = [{"image": str(path)} for path in (good, tmp_path / "b.png")]
    with pytest.raises(RuntimeError) as caught:
        CacheDataset(entries, Compose([PrepareImaged(size=8)]), progress=False)
    cause: BaseException | None = caught.value
    while not isinstance(cause, InputError):
        assert cause is not None
        cause = cause.__cause__
    assert str(cause).startswith("b.png: must be a whole")


def test_a_locked_file_without_a_suffix_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_picture(tmp_path / "a.png", ramp()).rename(tmp_path / "film")

    def locked(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", locked)
    assert is_dicom(path)
    with pytest.raises(InputError, match="film: must"):
        read_image(path)
