"""One way for an image: what `data_prep` stores, and what the network sees of it.

An image goes through two steps, in data preparation, training, evaluation and inference alike:

1. *stored*: read, cut, shrunk to the size at which `data_prep` stores it, rounded to its bits;
2. *fitted*: resized (bilinear, antialiased) so that its longer side has the network's size, and
   padded with black about its middle.

The first step leaves a stored image as it is, so a raw file and its prepared PNG give the network
the same numbers. What the first step did is the `Preparation`: it stands in the manifest, goes with
the model (``model.json``), and inference repeats it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from common.checks import InputError, require

__all__ = ["KINDS", "Preparation", "fit", "read_preparation", "store"]

Array = npt.NDArray[np.float32]

KINDS = ("grey", "photo", "fundus")
RECORD = "preparation"


@dataclass(frozen=True)
class Preparation:
    """What happens to an image before it is stored.

    Args:
        kind: "grey" (`common.data.read_image`, shrunk to `size` by Lanczos), "photo"
            (`common.data.photo`, the middle square) or "fundus" (`common.data.fundus`, the field
            of view).
        size: pixels: of the longer side at most for "grey", 0 for as it is; of a side for the
            others, 0 for the network's own.
        bits: values are rounded to these; 0 for not at all.

    Raises:
        InputError: another kind, or numbers out of range.
    """

    kind: str = "grey"
    size: int = 0
    bits: int = 0

    def __post_init__(self) -> None:
        """Check the values, which come from a file."""
        require(
            self.kind in KINDS,
            f"Preparation: kind must be one of {', '.join(KINDS)}, got {self.kind!r}.",
        )
        require(
            isinstance(self.size, int) and self.size >= 0,
            f"Preparation: size must be a whole number >= 0, got {self.size!r}.",
        )
        require(self.bits in (0, 8, 16), f"Preparation: bits must be 0, 8 or 16, got {self.bits}.")

    def record(self) -> dict[str, dict[str, Any]]:
        """Return ``{"preparation": {...}}`` for a manifest."""
        return {RECORD: asdict(self)}


def read_preparation(path: str | Path, kind: str) -> dict[str, Any]:
    """Read the `Preparation` of a prepared folder or of a trained model.

    Args:
        path: the folder of a manifest, or ``model.json``. What is missing there, or is no JSON, is
            told by those who need all of it; here it counts as not recorded.
        kind: of the bundle's images, used where none is recorded.

    Returns:
        The fields of a `Preparation`.

    Raises:
        InputError: a record that is none, or of colour where the bundle reads grey.
    """
    path = Path(path)
    file = path / "manifest.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = {}
    record = content.get(RECORD, {}) if isinstance(content, dict) else {}
    try:
        preparation = Preparation(**{"kind": kind, **record})
    except (TypeError, InputError) as error:
        raise InputError(
            f"{file}: {RECORD} must hold kind, size and bits, got another ({error}). "
            "Prepare the data again with python -m data_prep."
        ) from None
    require(
        kind != "grey" or preparation.kind == "grey",
        f"{file}: images must be grey for this bundle, got {preparation.kind}. "
        "Prepare them with the source that the bundle's README names.",
    )
    return asdict(preparation)


def store(image: Array, preparation: Preparation) -> Array:
    """Bring a grey image into the form in which it is stored; a stored image stays as it is.

    Args:
        image: (C, H, W) in [0, 1].
        preparation: its size and bits.

    Returns:
        (C, H', W') float32 in [0, 1].
    """
    longest = max(image.shape[1:])
    if preparation.size and longest > preparation.size:
        shape = _scaled(image.shape[1:], preparation.size)
        image = np.clip(_resized(image, shape, Image.Resampling.LANCZOS), 0.0, 1.0)
    if preparation.bits:
        top = np.float32(2**preparation.bits - 1)
        image = image * top
        np.rint(image, out=image)
        image /= top
    return np.asarray(image, np.float32)


def fit(image: Array, size: int) -> Array:
    """Resize so that the longer side has `size` pixels (bilinear, antialiased) and pad with black.

    Args:
        image: (C, H, W).
        size: pixels.

    Returns:
        (C, size, size) float32; in [0, 1] if `image` is.
    """
    shape = _scaled(image.shape[1:], size)
    if shape != image.shape[1:]:
        image = _resized(image, shape, Image.Resampling.BILINEAR)
    if shape == (size, size):
        return np.ascontiguousarray(image, np.float32)
    top, left = ((size - side) // 2 for side in shape)
    padded = np.zeros((len(image), size, size), np.float32)
    padded[:, top : top + shape[0], left : left + shape[1]] = image
    return padded


def _scaled(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Rows and columns with `size` for the longer one."""
    rows, columns = shape
    longest = max(rows, columns)
    return max(1, round(rows * size / longest)), max(1, round(columns * size / longest))


def _resized(image: Array, shape: tuple[int, int], method: Image.Resampling) -> Array:
    """Resize each channel, antialiased where it shrinks."""
    channels = [
        Image.fromarray(np.ascontiguousarray(channel)).resize(shape[::-1], method)
        for channel in image
    ]
    return np.stack([np.asarray(channel) for channel in channels])
