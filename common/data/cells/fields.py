"""The files of a field of view: one of each stain, or one with three planes."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.picture import opened, read_picture, to_rgb
from common.data.reading import check_pixels, reading

__all__ = ["CHANNELS", "Field", "find_fields", "read_field"]

CHANNELS = 3
STAIN = re.compile(r"(?P<field>.+)_w(?P<stain>\d)[^/]*", re.ASCII)  # of a file's stem
TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class Field:
    """One field of view.

    Args:
        name: what its files share, relative to the folder that was given, with ``/``.
        paths: one file a stain in the order of the planes, or one file of three planes.
        reason: why it cannot be read; "" where that is not known yet.
    """

    name: str
    paths: tuple[Path, ...]
    reason: str = ""


def find_fields(paths: Sequence[Path], root: Path) -> list[Field]:
    """Group the files of a folder by field.

    Files of one folder whose names agree up to ``_w`` and one digit are the stains of one field
    (``B02_s1_w1<anything>.tif``, ``B02_s1_w2...``, ``B02_s1_w4...``), in the order of that digit. A
    TIFF without it is a field of three planes. Other pictures are none.

    Args:
        paths: of pictures.
        root: folder that names are relative to.

    Returns:
        The fields in the order of their names; one with too few or too many files says why it
        cannot be read.
    """
    stains: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    fields = []
    for path in sorted(paths):
        inside = path.relative_to(root).parent
        match = STAIN.fullmatch(path.stem)
        if match:
            stains[(inside / match["field"]).as_posix()][match["stain"]].append(path)
        elif path.suffix.lower() in TIFF:
            fields.append(Field((inside / path.stem).as_posix(), (path,)))
    for name, found in stains.items():
        files = tuple(path for stain in sorted(found) for path in found[stain])
        words = ", ".join(f"{len(found[stain])} of w{stain}" for stain in sorted(found))
        wrong = len(found) != CHANNELS or len(files) != CHANNELS
        reason = f"{name}: must have one file of each of three stains, got {words}."
        fields.append(Field(name, files, f"{reason} Add or remove files." if wrong else ""))
    return sorted(fields, key=lambda field: field.name)


def read_field(field: Field) -> npt.NDArray[np.uint16]:
    """Read the values of a field; 8-bit ones are spread over 16 bits.

    Args:
        field: with its files.

    Returns:
        ``(3, H, W)``.

    Raises:
        InputError: a file that cannot be read, planes of different sizes, another number of them,
            or a TIFF of three planes without `tifffile`.
    """
    require(not field.reason, field.reason)
    name = field.name
    if len(field.paths) == 1:
        return _planes(field.paths[0])
    planes = [_stain(path) for path in field.paths]
    shapes = sorted({plane.shape for plane in planes})
    require(
        len(shapes) == 1,
        f"{name}: the files of its stains must have one size, got {shapes}. Leave it out.",
    )
    return np.rint(np.stack(planes) * (2**16 - 1)).astype(np.uint16)


def _stain(path: Path) -> npt.NDArray[np.float32]:
    """The values of one stain, whose file may be written in colour but must be grey."""
    with opened(path, "picture of one stain") as picture:
        if len(picture.getbands()) > 2:
            rgb = np.asarray(to_rgb(picture))
            require(
                bool((rgb == rgb[..., :1]).all()),
                f"{path.name}: must be grey, for it is of one stain, got colours. Save a field as "
                "one grey file a stain, or as a TIFF of three planes.",
            )
    return read_picture(path)


def _planes(path: Path) -> npt.NDArray[np.uint16]:
    try:
        from tifffile import TiffFile
    except ImportError:
        raise InputError(
            "cells: tifffile must be installed to read TIFF of three planes, got none. pip install "
            '"monai-contrastive-bundles[cells]".'
        ) from None
    with reading(path, "TIFF of three planes"), TiffFile(path) as file:
        series = file.series[0]
        sides = sorted((1, 1, *series.shape))[-2:]
        check_pixels(int(sides[0]), int(sides[1]), path)
        values = np.asarray(series.asarray()).squeeze()
        if values.ndim == CHANNELS and values.shape[0] != CHANNELS == values.shape[-1]:
            values = np.moveaxis(values, -1, 0)
    require(
        values.ndim == CHANNELS
        and len(values) == CHANNELS
        and values.dtype in (np.uint8, np.uint16),
        f"{path.name}: must hold three planes of 8 or 16 bits, got {values.dtype} of shape "
        f"{values.shape}. Save a field as one file a stain, or as a TIFF of three planes.",
    )
    wide = values.astype(np.uint16)
    return wide * np.uint16(257) if values.dtype == np.uint8 else wide
