"""Lookup tables of DICOM: modality (PS3.3 C.11.1.1), VOI (C.11.2.1.1) and palette (C.7.6.3.1).

A descriptor has three values: the number of entries (0 stands for 65536), the value that the first
entry is for, and the bits of an entry. Entries of 8 bits stand one in each 16-bit word, or two in a
word, the first in its low byte.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.processing import apply_color_lut

from common.checks import InputError

__all__ = ["Table", "first_table", "palette_colours"]

Words = npt.NDArray[np.uint16]
COLOURS = ("Red", "Green", "Blue")


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        first: the value that the first entry is for; lower ones get the first entry too.
        entries: (N,); higher values get the last.
        top: the highest an entry may be.
    """

    first: int
    entries: Words
    top: int

    def __call__(self, values: npt.NDArray[Any]) -> Words:
        """Look up whole numbers of any shape."""
        places = np.clip(values.astype(np.int32) - self.first, 0, len(self.entries) - 1)
        return np.asarray(self.entries[places])


def first_table(
    items: Iterable[pydicom.Dataset] | None, data: pydicom.Dataset, signed: bool, name: str
) -> Table | None:
    """The first table of a sequence of LUT items; None where no item holds one.

    Args:
        items: Modality LUT Sequence or VOI LUT Sequence.
        data: the header.
        signed: whether the values that are looked up may be negative.
        name: what an error calls the file.

    Raises:
        InputError: a table whose descriptor contradicts it.
    """
    for item in items or ():
        if item.get("LUTDescriptor") and item.get("LUTData") not in (None, b"", []):
            return _table(item.LUTDescriptor, item.LUTData, data, signed, name)
    return None


def palette_colours(
    stored: npt.NDArray[Any], data: pydicom.Dataset, name: str
) -> npt.NDArray[np.float64]:
    """Palette indices (H, W) to RGB (H, W, 3) in [0, 1].

    Raises:
        InputError: as `first_table`.
    """
    signed = bool(data.get("PixelRepresentation"))
    if "SegmentedRedPaletteColorLookupTableData" in data:
        colours = apply_color_lut(stored, data)[..., :3]
        bits = int(data.RedPaletteColorLookupTableDescriptor[2])
        return np.asarray(colours / (2.0**bits - 1))
    channels = []
    for colour in COLOURS:
        key = f"{colour}PaletteColorLookupTable"
        descriptor, content = data[f"{key}Descriptor"].value, data[f"{key}Data"].value
        table = _table(descriptor, content, data, signed, name)
        channels.append(table(stored) / table.top)
    return np.stack(channels, axis=-1)


def _table(descriptor: Any, content: Any, data: pydicom.Dataset, signed: bool, name: str) -> Table:
    """Read one table.

    Raises:
        InputError: no three values in the descriptor, bits outside 1..16, or too few entries.
    """
    count, first, bits = (int(value) for value in descriptor)
    count = count % 65536 or 65536  # read as SS, 40000 is negative
    first %= 65536
    if signed and first >= 32768:
        first -= 65536
    words = _words(content, bool(data.original_encoding[1]))
    packed = len(words) < count
    entries = words.astype("<u2").view(np.uint8).astype(np.uint16) if packed else words
    if not 1 <= bits <= 16 or len(entries) < count:
        raise InputError(
            f"{name}: the descriptor of a lookup table must fit it, got {count} entries of {bits} "
            f"bits and {len(entries)} there. Export the image again."
        )
    entries = entries[:count]
    top = 2 ** min(bits, 8 if packed else 16) - 1
    highest = int(entries.max())  # entries of more bits than the descriptor tells
    return Table(first, entries, top if highest <= top else 2 ** highest.bit_length() - 1)


def _words(content: Any, little: bool) -> Words:
    """16-bit words of a table: bytes in the file's order (OW), or numbers (US or SS)."""
    if isinstance(content, bytes):
        even = content + b"\0" * (len(content) % 2)
        return np.frombuffer(even, "<u2" if little else ">u2").astype(np.uint16)
    numbers = np.atleast_1d(np.asarray(content, np.int64))
    return np.asarray(numbers & 0xFFFF, np.uint16)
