"""What lies beside the weights, ``model.json``, as it was written or not at all.

"facts" is the SHA-256 of everything else in it: of dials, classes and preparation as much as of
"weights". One that was edited, or is of other weights, would give other numbers without a word; it
is refused wherever a model is loaded. A digest proves no origin: who can write the file can write
it anew. Take models from those you trust.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.checks import require
from common.config import read_record
from common.deploy.released import SUMS, check_sums, write_sums
from common.files import read_json, replacing

__all__ = ["read_model_record", "seal", "write_model_record"]

FACTS, WEIGHTS = "facts", "weights"
CURE = "Copy it again, or evaluate the run again."


def write_model_record(path: Path, about: Mapping[str, Any]) -> None:
    """Write ``model.json`` with its digest.

    Args:
        path: the file, replaced atomically.
        about: what it says, "weights" among it.
    """
    content = json.loads(json.dumps(about))  # as it will be read
    with replacing(path) as partial:
        partial.write_text(json.dumps({**content, FACTS: _digest(content)}, indent=1) + "\n")


def read_model_record(path: Path, bundle: str) -> dict[str, Any]:
    """Read the ``model.json`` that lies beside ``model.pt``.

    Raises:
        InputError: none, damaged, edited, of another bundle, or of an earlier version.
    """
    beside = path.with_suffix(".json")
    require(
        beside.is_file(),
        f"{beside}: must lie beside {path.name} and say what was trained, got no such file. Copy "
        "both.",
    )
    record = read_record(beside)
    require(
        record["bundle"] == bundle,
        f"{path}: must be of bundle {bundle!r}, got one of {record['bundle']!r}. Give its own "
        "ckpt_dir.",
    )
    written = read_json(beside, CURE)  # not as read_record reads it, for the code of this copy
    require(
        FACTS in written and WEIGHTS in written,
        f"{beside}: must hold digests of itself (facts) and of its weights, got one of an earlier "
        "version. Evaluate the run again, or, if you trust the file: python -m common seal "
        f"{beside.parent}",
    )
    _require_as_written(beside, written)
    return record


def seal(folder: Path, weights: str) -> bool:
    """Add the digests to a ``model.json`` of an earlier version; False where it has them.

    Args:
        folder: of ``model.pt`` and ``model.json``.
        weights: digest of those in ``model.pt``.

    Raises:
        InputError: no such file, one that was edited since, or one of other weights.
    """
    path = folder / "model.json"
    check_sums(path.with_suffix(".pt"))
    read_record(path)
    written = read_json(path, CURE)
    _require_as_written(path, written)
    require(
        written.setdefault(WEIGHTS, weights) == weights,
        f"{path}: must speak of the weights beside it, got others. {CURE}",
    )
    if FACTS in written:
        return False
    write_model_record(path, written)
    if (folder / SUMS).is_file():
        write_sums(folder)
    return True


def _require_as_written(path: Path, written: Mapping[str, Any]) -> None:
    require(
        written.get(FACTS) in (None, _digest(written)),
        f"{path}: must be as it was written, got one that was edited since. {CURE}",
    )


def _digest(record: Mapping[str, Any]) -> str:
    content = {name: value for name, value in record.items() if name != FACTS}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
