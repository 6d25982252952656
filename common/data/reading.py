"""What reading a file ends in: its content, one line that names it, or the machine's own fault."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require

__all__ = ["LARGEST", "check_pixels", "check_shown", "has_room", "quiet", "reading"]

LARGEST = 178_000_000  # pixels of a picture: 712 MB as float32
ROOM = 2**29  # bytes: a film of 100 megapixels, as integers and as floats
MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)

_QUIET = threading.RLock()


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a reader raises for a damaged file into one `InputError` that names it.

    That a reader lacks memory, open files or room on a disk says nothing of the file and is raised
    as it is; so are Ctrl-C and exits.

    Args:
        path: the file.
        kind: what it should be, for the message.

    Raises:
        InputError: for any other exception, also one that is no `Exception`, such as the panic of
            a Rust library. Its text may quote a header, so only its kind is told.
    """
    try:
        if _is_other(path):  # to open a pipe would wait for ever
            raise InputError(
                f"{path.name}: must be a file, got a folder, a pipe or a device. Leave it out."
            )
        yield
    except (InputError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: must exist, got no such file. Check the path.") from None
    except OSError as error:
        if error.errno in MACHINE:
            raise
        raise _damaged(path, kind, error.strerror or type(error).__name__) from None
    except BaseException as error:
        raise _damaged(path, kind, type(error).__name__) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what a C library prints of a damaged file off the terminal; one thread at a time."""
    with _QUIET:
        kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(sink)


def has_room() -> bool:
    """Whether there is memory for an ordinary image; if not, a failure is not the file's fault."""
    try:
        np.empty(ROOM, np.uint8)
    except MemoryError:
        return False
    return True


def check_pixels(width: int, height: int, path: Path) -> None:
    """Refuse by its header a picture that memory should not be taken for.

    Raises:
        InputError: no pixels, or more than `LARGEST`.
    """
    if width < 1 or height < 1:
        raise InputError(
            f"{path.name}: must have pixels, got {width} x {height}. Copy it again or leave it out."
        )
    if width * height > LARGEST:
        raise InputError(
            f"{path.name}: must have at most {LARGEST // 10**6} megapixels, got {width} x "
            f"{height}. Shrink it first."
        )


def check_shown(image: npt.NDArray[Any], name: str) -> None:
    """Check that an image shows something, whatever it was read from.

    Args:
        image: (C, H, W).
        name: what an error calls the file.

    Raises:
        InputError: NaN, infinity, or the same value or colour everywhere.
    """
    low, high = image.min(axis=(1, 2)), image.max(axis=(1, 2))
    require(
        bool(np.isfinite(low).all() and np.isfinite(high).all()),
        f"{name}: must show finite values, got NaN or infinity. Export it again or leave it out.",
    )
    require(
        bool((low < high).any()),
        f"{name}: must show something, got the same value in every pixel. Leave it out.",
    )


def _is_other(path: Path) -> bool:
    """Whether something is there that is no file."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # not there, or no file can have that name
        return False


def _damaged(path: Path, kind: str, reason: str) -> InputError:
    return InputError(
        f"{path.name}: must be a whole {kind}, got a truncated or damaged one ({reason}). "
        "Copy it again or leave it out."
    )
