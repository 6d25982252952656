"""Many encoded images in one tar archive, each found by the block at which it begins.

::

    images_0001.tar     header | PNG | header | PNG | ... blocks of 512 bytes
    manifest            {"image": "images_0001.tar", "index": 34}: the header is block 34

So the manifest is the index, an image costs one read wherever it lies, and any tar program unpacks
it. A million images are a few thousand files; none is opened that is not asked for.
"""

import io
import os
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.files import replacing

__all__ = ["ENDING", "StoredImages", "image_bytes", "write_images"]

ENDING = ".tar"
BLOCK = tarfile.BLOCKSIZE
SIZE, KIND, MARK = slice(124, 135), slice(156, 157), slice(257, 263)  # fields of a header
AHEAD = 2**15  # bytes that are read with a header: a small image is then there at once
CURE = "Copy the folder again, or prepare the data again with python -m data_prep."

Array = npt.NDArray[Any]


def write_images(path: str | Path, images: Iterable[tuple[str, bytes]]) -> list[int]:
    """Write named files into an archive as they come; the same files give the same bytes.

    Args:
        path: the archive, which appears when it is whole.
        images: name, at most 100 characters, and content.

    Returns:
        The block of each.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    blocks = []
    with replacing(path) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in images:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            blocks.append(tar.offset // BLOCK)
            tar.addfile(about, io.BytesIO(content))
    return blocks


def image_bytes(path: str | Path, index: int) -> bytes:
    """Read the file whose header is block `index` of an archive.

    Raises:
        InputError: no such archive, or no file begins there.
    """
    path = Path(path)
    try:
        with path.open("rb", buffering=0) as file:
            start = os.pread(file.fileno(), BLOCK + AHEAD, index * BLOCK)
            size = _size(start[:BLOCK])
            content = start[BLOCK : BLOCK + size]
            if size > len(content):
                rest = index * BLOCK + BLOCK + len(content)
                content += os.pread(file.fileno(), size - len(content), rest)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path.name}: must hold an image at block {index}, got an error "
            f"({type(error).__name__}). {CURE}"
        ) from None
    require(
        len(content) == size,
        f"{path.name}: must be a whole tar file, got one that ends within the image at block "
        f"{index}. {CURE}",
    )
    return content


def _size(header: bytes) -> int:
    """Bytes of the file behind a header (POSIX ustar): octal digits, where the mark is."""
    if header[MARK] != b"ustar\0" or header[KIND] != tarfile.REGTYPE:
        raise ValueError("no header")
    return int(header[SIZE], 8)


class StoredImages:
    """An archive of images of one shape as a stack: its rows are numbered by block.

    Args:
        path: of the archive.

    Raises:
        InputError: when asked: see `image_bytes`, or an image of another shape than the first.
    """

    ndim = 3

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._blocks = self.path.stat().st_size // BLOCK
        except OSError as error:
            raise InputError(
                f"{self.path}: must exist, got an error ({error.strerror}). {CURE}"
            ) from None

    def __len__(self) -> int:
        """Return the number of blocks."""
        return self._blocks

    @property
    def shape(self) -> tuple[int, ...]:
        """``(blocks, H, W)`` or ``(blocks, H, W, 3)``, as the first image is."""
        return (self._blocks, *self[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the first image."""
        return self[0].dtype

    def __getitem__(self, rows: int | np.integer[Any] | Sequence[int] | Array) -> Array:
        """Return the image at a block, or those of some, of one shape, uint8 or uint16."""
        if isinstance(rows, int | np.integer):
            return _decoded(image_bytes(self.path, int(rows)), self.path.name)
        images = [self[int(row)] for row in rows]
        shapes = {image.shape for image in images}
        require(
            len(shapes) == 1,
            f"{self.path.name}: images that are read in batches must have one shape, got "
            f"{sorted(shapes)[:3]}. Read them with common.data.PrepareImaged.",
        )
        return np.stack(images)


def _decoded(content: bytes, name: str) -> Array:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"{name}: must hold whole PNG images, got an error ({type(error).__name__}). {CURE}"
        ) from None
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint16)
