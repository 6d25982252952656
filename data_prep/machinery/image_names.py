"""From what a table calls an image to the file below the source."""

import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePath

from common.checks import InputError, require
from common.data.tables import Line

__all__ = ["Find", "image_of"]

Find = Callable[[str], Path | None]


def image_of(line: Line, source: Path, find: Find | None) -> Path:
    """The image of a row relative to the source; it must lie in it, also when it is a link."""
    name = line.get("image") or line.get("file") or ""
    spellings = [name, unicodedata.normalize("NFD", name)]
    spellings += [spelling.replace("\\", "/") for spelling in spellings]
    usable = [s for s in spellings if s and len(s) < 1000 and s.isprintable()]
    path_there = next((path for path in map(find or partial(_file, source), usable) if path), None)
    if path_there is None:
        raise InputError(
            f"{line.where}: image must be a file below the source folder, got a name of none. "
            "Correct the name or remove the row."
        )
    return path_there


def _file(source: Path, name: str) -> Path | None:
    """The path of a file relative to the source, which must hold it."""
    if not _is_file(source / name):
        return None
    path, root = (source / name).resolve(), source.resolve()
    require(
        path.is_relative_to(root),
        f"{source.name}: an image of the table must lie below the source folder, got one outside "
        "it. Copy the file into the source and correct the name.",
    )
    plain = not PurePath(name).is_absolute() and ".." not in PurePath(name).parts
    return Path(name) if plain else path.relative_to(root)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long for the file system
        return False
