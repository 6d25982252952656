"""Files that are whole, JSON that is read or refused, one writer a folder, names below a folder."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from filelock import FileLock, Timeout

from common.checks import InputError, require

__all__ = [
    "below",
    "is_file",
    "is_relative",
    "leads_below",
    "locked",
    "read_json",
    "replacing",
    "whole",
    "zip_is_whole",
]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put what was written in place of `path` at the end.

    Errors come out as they are; `path` is then as it was before. The other path has always the same
    name, so that a later run writes over what a killed one left.

    Args:
        path: the file, in a folder that exists.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


_CANNOT_WRITE = re.compile("write|inline_container|unexpected pos", re.IGNORECASE)  # torch.save's


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Do as `whole` does, and tell in a line what could not be written.

    Args:
        path: the file; its folder is made when needed.

    Raises:
        InputError: the disk is full or the folder cannot be written; `path` is as it was before,
            and nothing half-written is left.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            yield partial
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _CANNOT_WRITE.search(str(error)):
            raise
        reason = getattr(error, "strerror", None) or "the disk may be full"
        raise InputError(
            f"{path}: could not be written ({reason}). Free some space or name another folder; "
            "what was there before is untouched."
        ) from error


def below(folder: Path, name: str, where: str) -> Path:
    """Return ``folder / name``, which a table or a list names, if it lies below `folder`.

    A link is followed: what it leads to must lie below the folder too.

    Args:
        folder: the folder of the images.
        name: relative, without ``..``.
        where: what an error calls the place of the name, e.g. ``"labels.csv, line 2: image"``.

    Raises:
        InputError: an absolute path, ``..``, or a link that leads out; the name is not quoted.
    """
    path = folder / name
    require(
        is_relative(name) and leads_below(path, folder),
        f"{where} must be a file below the folder of the images, got a path or a link that leads "
        "out of it. Write it relative to that folder, without ..",
    )
    return path


def is_file(path: Path) -> bool:
    """Whether `path` is a file; False also for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_relative(name: str) -> bool:
    """Whether a name, on whatever system it was written, is relative and has no ``..``."""
    pure = PureWindowsPath(name)  # knows / and \\ and drives
    return not pure.anchor and ".." not in pure.parts and "\0" not in name


def leads_below(path: Path, folder: Path) -> bool:
    """Whether `path`, its links followed, lies in `folder`, that one's links followed."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a circle of links
        return False


def read_json(path: str | Path, cure: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        cure: what to do where it cannot be read: the end of the error's line.

    Raises:
        InputError: no such file, not JSON, or no object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: must be readable JSON, got an error ({type(error).__name__}). {cure}"
        ) from None
    require(
        isinstance(content, dict),
        f"{path}: must hold a JSON object, got {type(content).__name__}. {cure}",
    )
    return dict(content)


def zip_is_whole(path: Path) -> bool:
    """Whether no byte of a file that is a zip archive differs from what was written.

    ``torch.load`` does not ask: a damaged byte of a weight is another weight to it.
    """
    try:
        if not is_zipfile(path):
            return True
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except (BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError):
        return False


@contextmanager
def locked(folder: str | Path, what: str = "a run's folder") -> Iterator[None]:
    """Be the only process that writes to `folder`; a process that died does not hold it.

    Args:
        folder: made when needed; its lock is the file ``.lock``.
        what: what an error calls it.

    Raises:
        InputError: another process writes to it, or it cannot be written.
    """
    folder = Path(folder)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder}: one process at a time must write to {what}, got a second. Wait for the "
            "first to end, or name another folder."
        ) from None
    except OSError as error:
        raise InputError(
            f"{folder}: must be a folder one may write to, got an error ({error.strerror}). "
            "Name another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()
