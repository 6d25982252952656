"""Files that are whole or not there, and names that stay below their folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

from common.checks import InputError, require

__all__ = ["below", "is_file", "is_relative", "leads_below", "replacing"]


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path to write to, and put what was written in place of `path` at the end.

    Args:
        path: the file; its folder is made when needed.

    Raises:
        InputError: the disk is full or the folder cannot be written; `path` is as it was before,
            and nothing half-written is left.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "write" not in str(error).lower():
            raise
        reason = getattr(error, "strerror", None) or "the disk may be full"
        raise InputError(
            f"{path}: could not be written ({reason}). Free some space or name another folder; "
            "what was there before is untouched."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


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
