"""The mask of the training images as text, so that ``model.json`` carries it."""

import base64
import binascii
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require

__all__ = ["mask_of", "mask_record"]

LARGEST = 2**28  # voxels


def mask_record(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return the mask as JSON holds it: "shape", and "bits", packed, compressed and in base 64."""
    packed = zlib.compress(np.packbits(mask).tobytes(), 9)
    return {"shape": list(mask.shape), "bits": base64.b64encode(packed).decode()}


def mask_of(record: Mapping[str, Any], where: str) -> npt.NDArray[np.bool_]:
    """Read what `mask_record` returned.

    Args:
        record: of a model, which may come from elsewhere.
        where: what an error calls its file.

    Raises:
        InputError: it is none.
    """
    try:
        shape = tuple(int(side) for side in record["shape"])
        count = math.prod(shape)
        if len(shape) != 3 or min(shape) < 1 or count > LARGEST:
            raise ValueError
        size = -(-count // 8)
        packed = zlib.decompressobj().decompress(base64.b64decode(record["bits"]), size)
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=count).astype(bool)
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error):
        raise InputError(
            f"{where}: mask must hold the shape and the bits of a volume, got others. Train and "
            "evaluate again, or copy the file again."
        ) from None
    require(
        len(packed) == size and bool(bits.any()),
        f"{where}: mask must have a bit for each voxel and some that are set, got {len(packed)} of "
        f"{size} bytes. Copy the file again.",
    )
    return bits.reshape(shape)
