"""Weights that are part of the collection, and how they stay apart from a user's own.

::

    models/model.pt, model.json           one's own: what an evaluation deployed last; not in git
    models/released/model.pt, model.json  part of git; taken where there is no own model
    models/released/large_files.json      SHA-256 of every file beside it, as MONAI's large_files
    models/released/license.txt           of the weights: that of the data they learned from
    docs/model_card.md                    what they are good for, with figures

Evaluations write into ``models/`` and never into ``released``, and no update of the checkout writes
over a model of one's own. To predict with the released one though there is an own, name its folder.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from common.checks import require
from common.files import read_json, replacing

__all__ = ["LARGEST", "RELEASED", "SUMS", "check_sums", "own_or_released", "write_sums"]

RELEASED = "released"
SUMS = "large_files.json"
LARGEST = 30_000_000  # bytes of a file in git
CURE = "Get the files again (git checkout -- bundles)."


def own_or_released(path: Path) -> Path:
    """Return the released model in place of `path`, ``models/model.pt``, if only that is there."""
    released = path.parent / RELEASED / path.name
    own = path.is_file() or path.with_suffix(".json").is_file()
    return released if not own and released.is_file() else path


def check_sums(path: Path) -> None:
    """Compare ``model.pt`` and ``model.json`` with what was released, if a list lies beside them.

    Raises:
        InputError: a damaged list, or a file that is not the one that was released.
    """
    if path.parent.name != RELEASED and not (path.parent / SUMS).is_file():
        return
    listed = dict(_listed(path.parent))
    for file in (path, path.with_suffix(".json")):
        require(
            listed.get(file.name) == _sum(file),
            f"{file}: must have the SHA-256 that {SUMS} says, got another file. {CURE}",
        )


def write_sums(folder: Path) -> None:
    """List the SHA-256 of every file of a folder in its ``large_files.json``.

    Raises:
        InputError: a file is larger than `LARGEST`.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    for path in files:
        size = path.stat().st_size
        require(
            size < LARGEST,
            f"{path}: must be smaller than {LARGEST / 1e6:.0f} MB to be part of git, got "
            f"{size / 1e6:.1f}. Train a narrower network.",
        )
    entries = [{"path": path.name, "hash_type": "sha256", "hash_val": _sum(path)} for path in files]
    with replacing(folder / SUMS) as partial:
        partial.write_text(json.dumps({"large_files": entries}, indent=1) + "\n")


def _listed(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the SHA-256 of each file that a list speaks of."""
    entries = read_json(folder / SUMS, CURE).get("large_files")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield str(entry.get("path")), str(entry.get("hash_val"))


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
