"""Files that are whole or not there: written beside their place, then renamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.checks import InputError

__all__ = ["replacing"]


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
