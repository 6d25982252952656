"""Writing files: all or nothing, and a PNG encoder faster than Pillow's.

A file is written under a temporary name and renamed, so a killed or failing command leaves no
half-written file; the temporary name is fixed, so the next run writes over a stale one.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar

import nibabel
import numpy as np
import numpy.typing as npt
from isal import igzip, isal_zlib

from common.checks import InputError, require
from common.data import write_stack
from common.data.image_store import write_images
from common.data.reading import has_room
from common.files import whole
from data_prep.machinery.faults import MachineFault, file_fault, machine_fault, out_of_memory

__all__ = [
    "CRASHED",
    "Output",
    "attempt",
    "encode_nifti",
    "encode_png",
    "to_integers",
    "why",
]

CRASHED = "its decoder ended the process (a crash, or more memory than there is)"
TOO_LARGE = "reading it takes more memory than there is (a damaged header may say so)"
COMPRESSION = 2  # ISA-L's second level: a tenth smaller than level 1 at the same speed

T = TypeVar("T")


class Output:
    """Writes files below one folder and keeps their SHA-256; reads so that one bad row costs one.

    Args:
        target: the folder.
        alone: nothing else is converted meanwhile, so that a lack of memory is the file's own.
        avoid: names of origins whose decoder ended a process.
        note: called with the name of each origin before it is read.

    Attributes:
        digests: relative path to SHA-256, of every file written.
        skipped: origins of an item that could not be used, where the rest could.
    """

    def __init__(
        self,
        target: Path,
        alone: bool = True,
        avoid: Collection[str] = (),
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.target = target
        self.alone = alone
        self.avoid = avoid
        self.note = note
        self.digests: dict[str, str] = {}
        self.skipped: list[dict[str, str]] = []

    def attempt(self, name: str, read: Callable[..., T], *arguments: Any) -> T:
        """Read one of several origins of an item.

        Args:
            name: of the origin.
            read: the reader.
            arguments: of the reader.

        Raises:
            InputError: whatever the reader raised, where it is the file's fault.
            MachineFault, MemoryError: where it is not, or not known to be.
        """
        if name in self.avoid:
            raise InputError(CRASHED)
        if self.note is not None:
            self.note(name)
        return attempt(read, *arguments, alone=self.alone)

    def write(self, relative: str, data: bytes) -> str:
        """Write `data` at `relative` (with ``/``) and return `relative`."""
        path = self.target / relative
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as partial:
                partial.write_bytes(data)
        except OSError as error:
            raise MachineFault.of(error) from None
        self.digests[relative] = hashlib.sha256(data).hexdigest()
        return relative

    def write_stack(
        self, relative: str, rows: Iterable[Any], row_shape: tuple[int, ...], dtype: str
    ) -> int:
        """Write `rows` as they come at `relative`; see `common.data.write_stack`.

        Returns:
            The number of rows. With none, there is no file.
        """
        return self._fill(relative, lambda path: write_stack(path, rows, row_shape, dtype))

    def write_images(self, relative: str, images: Iterable[tuple[str, bytes]]) -> list[int]:
        """Write named images as they come into one archive; see `common.data.image_store`.

        Returns:
            The index of each. With none, there is no file.
        """
        return self._fill(relative, lambda path: write_images(path, images))

    def _fill(self, relative: str, fill: Callable[[Path], T]) -> T:
        """Write a file of many by `fill`, which says what it holds; one of nothing is not kept."""
        path = self.target / relative
        try:
            held = fill(path)
            if held:
                with path.open("rb") as file:
                    self.digests[relative] = hashlib.file_digest(file, "sha256").hexdigest()
            else:
                path.unlink()
        except OSError as error:
            raise MachineFault.of(error) from None
        except InputError as error:
            if isinstance(error.__cause__, OSError):  # the file could not be written
                raise MachineFault.of(error.__cause__) from None
            raise
        return held

    def skip(self, file: str, reason: str) -> None:
        """Note an origin of the item that is left out, by its name, and why."""
        self.skipped.append({"file": file, "reason": reason})


def attempt(read: Callable[..., T], *arguments: Any, alone: bool = True) -> T:
    """Call a reader, which may raise anything.

    Args:
        read: the reader.
        arguments: of the reader.
        alone: as of `Output`.

    Raises:
        InputError: whatever the reader raised, where it is the file's fault.
        MachineFault, MemoryError: where it is not, or not known to be.
    """
    try:
        return read(*arguments)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        reason = why(error, alone)
    raise InputError(reason)


def why(error: BaseException, alone: bool) -> str:
    """Why a file is left out; raises where the error is not its fault.

    Args:
        error: of its reader.
        alone: as of `Output`.

    Raises:
        MachineFault, MemoryError: as `attempt`.
    """
    fault = machine_fault(error)
    if fault is not None:
        raise fault from None
    if not out_of_memory(error):
        return file_fault(error)
    if not alone:
        raise MemoryError from None
    if not has_room():
        raise MachineFault(0, "no memory") from None
    return TOO_LARGE


def to_integers(image: npt.NDArray[np.float32], bits: int) -> npt.NDArray[Any]:
    """Round values in [0, 1] to 8- or 16-bit integers.

    >>> to_integers(np.array([0.0, 0.5, 1.0], np.float32), bits=8).tolist()
    [0, 128, 255]
    """
    require(bits in (8, 16), f"to_integers: bits must be 8 or 16, got {bits}.")
    return np.asarray(np.rint(image * (2**bits - 1)), np.uint8 if bits == 8 else np.uint16)


def encode_png(image: npt.NDArray[Any], text: tuple[str, str] | None = None) -> bytes:
    """Encode a picture as PNG (ISO/IEC 15948), each row as its difference from the one above.

    Args:
        image: (H, W) grey or (H, W, 3) RGB, uint8 or uint16.
        text: keyword and text of one chunk of Latin text, the same for every image.

    Returns:
        The file's bytes; the same for the same pixels on the same kind of processor.
    """
    require(
        (image.ndim == 2 or image.shape[2:] == (3,)) and image.dtype in (np.uint8, np.uint16),
        f"encode_png: image must be (H, W) or (H, W, 3) uint8 or uint16, got {image.shape} "
        f"{image.dtype}.",
    )
    height, width = image.shape[:2]
    colour = 0 if image.ndim == 2 else 2  # colour types: greyscale, truecolour
    big_endian = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder(">"))
    rows = big_endian.view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2  # filter type "Up"
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    packed = isal_zlib.compress(filtered, COMPRESSION)
    header = struct.pack(">IIBBBBB", width, height, image.dtype.itemsize * 8, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + (_chunk(b"tEXt", "\0".join(text).encode("latin-1")) if text else b"")
        + _chunk(b"IDAT", packed)
        + _chunk(b"IEND", b"")
    )


def encode_nifti(volume: npt.NDArray[Any], spacing_mm: float) -> bytes:
    """Encode an (X, Y, Z) volume in RAS order as ``.nii.gz`` without a time stamp."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    data = nibabel.Nifti1Image(volume, affine).to_bytes()  # type: ignore[no-untyped-call]  # partly typed
    return bytes(igzip.compress(data, COMPRESSION, mtime=0))


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Length, type, data and CRC (ISO/IEC 15948, 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
