"""Whether prepared images are still those that the manifest lists."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.data.manifest_tables import Lookup

__all__ = ["changed_files"]

MOST = 32  # files that are looked at
LARGEST = 64 * 2**20  # bytes; larger files, such as stacks, are looked for and not read


def changed_files(folder: Path, digests: Mapping[str, str]) -> list[str]:
    """Return those that are missing or have another content, of some files of a prepared folder.

    A sample, evenly over the list: reading all of a large data set takes longer than one start may.

    Args:
        folder: the prepared folder.
        digests: SHA-256 by relative path, as the manifest has them.
    """
    if isinstance(digests, Lookup):
        some = digests.spread(MOST)
    else:
        names = sorted(digests)
        places = np.linspace(0, len(names) - 1, min(MOST, len(names))).round().astype(int)
        some = {names[place]: digests[names[place]] for place in places}
    return [name for name in some if not _is_as_listed(folder, name, some)]


def _is_as_listed(folder: Path, name: str, digests: Mapping[str, str]) -> bool:
    path = folder / name
    if not path.is_file():
        return False
    if path.stat().st_size > LARGEST:
        return True
    return hashlib.sha256(path.read_bytes()).hexdigest() == digests[name]
