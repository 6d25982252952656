"""The manifest: a MONAI datalist with its source, arguments and a SHA-256 for each file.

``manifest.json`` holds ``training``, ``validation`` and ``test``, lists of ``{"image": relative
path or list of them (channels), "label": int, "patient": str, ...}`` with ``age``, ``site`` and
``mask`` where they exist and ``fold`` 0, 1 or 2 for the three hold-out test sets; and ``source``,
``licence``, ``arguments``, ``versions``, ``counts``, ``sha256`` (file to digest), ``skipped``
(``{"file", "reason"}``) and, of 2D images, ``preparation`` (`common.data.prepare`). Files of the
source are called by number; ``origins`` has the number of each image, and only a key file
(`data_prep.machinery.names`) leads from numbers to names.
`monai.data.load_decathlon_datalist` reads it too. Of 100,000 images or more, entries and digests
lie in tables beside it (`common.data.manifest_tables`).

Images in a stack (a ``.npy`` file of rows) have the row's ``index``; the manifest's own ``mask``
then names the voxels of a row. ``classes`` names the values of columns: lists by column, such as
``{"label": ["normal", "covid"], "site": ["a", "b"]}``; a list alone names those of ``label``.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.checks import InputError, require
from common.data.manifest_checks import check_entries, check_files
from common.data.manifest_tables import (
    MOST,
    Lookup,
    check_tables,
    open_tables,
    remove_others,
    write_tables,
)
from common.data.rows import Rows
from common.data.stack_file import check_stacks
from common.files import whole

__all__ = [
    "PARTS",
    "class_names",
    "fingerprint",
    "fingerprint_of",
    "load_datalist",
    "read_manifest",
    "seeded_digest",
    "seeded_order",
    "write_manifest",
]

PARTS = ("training", "validation", "test")
MANIFEST = "manifest.json"
REQUIRED = (
    *PARTS,
    "source",
    "licence",
    "arguments",
    "versions",
    "counts",
    "sha256",
    "skipped",
)
CURE = "Prepare the data again with python -m data_prep."

_CHECKED: set[tuple[str, int, str]] = set()  # tables that this process has checked


def seeded_order(names: Iterable[str], seed: int) -> list[str]:
    """Sort `names` by SHA-256 of seed and name: random, yet the same on every machine.

    A name keeps its place relative to the others when names are added or removed.

    >>> seeded_order(["a", "b", "c"], seed=0) == seeded_order(["c", "a", "b"], seed=0)
    True
    """
    return sorted(set(names), key=lambda name: seeded_digest(name, seed))


def seeded_digest(name: str, seed: int) -> bytes:
    """Return what `seeded_order` sorts by: the SHA-256 of seed and name."""
    return hashlib.sha256(f"{seed}:{name}".encode(errors="surrogateescape")).digest()


def read_manifest(dataset_dir: str | Path) -> dict[str, Any]:
    """Read and check ``manifest.json`` of `dataset_dir`.

    Of many images (`common.data.manifest_tables`) parts are `common.data.rows.Rows`, which every
    process reads by the same memory map, and a process checks them once; of the processes of a
    machine that torchrun starts, the first one does.

    Args:
        dataset_dir: the folder that a `data_prep` command wrote.

    Raises:
        InputError: no manifest, not JSON, a missing key, an image listed twice, a patient in two
            parts, a listed file that does not exist, or an index outside its stack.
    """
    folder, path = Path(dataset_dir), Path(dataset_dir) / MANIFEST
    header = _header(path)
    manifest = open_tables(folder, header, str(path))
    missing = [key for key in REQUIRED if key not in manifest]
    require(not missing, f"{path}: must hold {', '.join(missing)}, got no such key. {CURE}")
    known = (str(path.resolve()), path.stat().st_mtime_ns, str(header.get("tables")))
    if "tables" in header and (known in _CHECKED or os.environ.get("LOCAL_RANK", "0") != "0"):
        return manifest
    check_tables(folder, header)
    check_entries(manifest, str(path))
    check_files(manifest, folder, str(path))
    check_stacks(manifest, folder, str(path))
    _CHECKED.add(known)
    return manifest


def _header(path: Path) -> dict[str, Any]:
    """What ``manifest.json`` holds."""
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path}: dataset_dir must be a folder that holds {MANIFEST}, got none. "
            "Make one with python -m data_prep <source> --target DIR."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: must be JSON, got an error ({error}). {CURE}") from None
    require(isinstance(header, dict), f"{path}: must be a JSON object, got a list. {CURE}")
    return dict(header)


def fingerprint(dataset_dir: str | Path) -> str:
    """Return 12 hexadecimal digits that two prepared folders share when they hold the same data.

    The first of the SHA-256 of the entries of all parts and of the files' digests, in that order as
    JSON with sorted keys: neither where the folder lies nor the versions it was prepared with
    count. A report compares only runs that share it. Of many images it is computed as the manifest
    is written, and stands in it: the digests of its tables, which `read_manifest` compares, tell
    that it is still theirs.

    Args:
        dataset_dir: the folder that a `data_prep` command wrote.

    Raises:
        InputError: as `read_manifest`.
    """
    return fingerprint_of(read_manifest(dataset_dir), dataset_dir)


def fingerprint_of(manifest: Mapping[str, Any], dataset_dir: str | Path) -> str:
    """Return the `fingerprint` of a manifest that has been read.

    Args:
        manifest: as `read_manifest` returned it.
        dataset_dir: of which folder.
    """
    if isinstance(manifest["training"], Rows):
        return str(_header(Path(dataset_dir) / MANIFEST)["fingerprint"])
    text = json.dumps([manifest[key] for key in (*PARTS, "sha256")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def class_names(manifest: Mapping[str, Any], column: str = "label") -> list[str]:
    """Return the names of the values of a column, by number.

    Args:
        manifest: as `read_manifest` returns it.
        column: "label", "site", ...

    Returns:
        The names; none where the manifest does not say.

    >>> class_names({"classes": {"label": ["normal", "covid"]}})
    ['normal', 'covid']
    """
    classes = manifest.get("classes")
    columns = {"label": classes} if isinstance(classes, list) else classes or {}
    return [str(name) for name in columns.get(column, [])]


def load_datalist(dataset_dir: str | Path, part: str) -> Sequence[dict[str, Any]]:
    """Entries of one part, with absolute ``image`` and ``mask`` paths.

    Args:
        dataset_dir: the folder of the manifest.
        part: "training", "validation" or "test".

    Returns:
        A list, or `Rows` where `read_manifest` gives them.

    Raises:
        InputError: as `read_manifest`, or another `part`.
    """
    require(part in PARTS, f"load_datalist: part must be one of {', '.join(PARTS)}, got {part!r}.")
    entries = read_manifest(dataset_dir)[part]
    root = Path(dataset_dir).resolve()
    if isinstance(entries, Rows):
        return entries.below(str(root))
    return [_absolute(entry, root) for entry in entries]


def write_manifest(dataset_dir: str | Path, manifest: Mapping[str, Any]) -> Path:
    """Write ``manifest.json``: checked, sorted keys, one atomic rename.

    From `common.data.manifest_tables.MOST` images on, entries and digests go into tables beside it.

    Returns:
        Its path.
    """
    folder, path = Path(dataset_dir), Path(dataset_dir) / MANIFEST
    check_entries(manifest, str(path))
    many = sum(len(manifest[part]) for part in PARTS) >= MOST
    header = write_tables(folder, manifest) if many else _as_lists(manifest)
    encoder = json.JSONEncoder(indent=1, sort_keys=True, ensure_ascii=False)
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(encoder.iterencode(header))
        file.write("\n")
    remove_others(folder, header)
    return path


def _as_lists(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest as JSON takes it, also where parts of it were read from tables."""
    whole = {
        key: list(value) if isinstance(value, Rows) else value for key, value in manifest.items()
    }
    return {
        key: dict(value) if isinstance(value, Lookup) else value for key, value in whole.items()
    }


def _absolute(entry: dict[str, Any], root: Path) -> dict[str, Any]:
    result = dict(entry)
    for key in ("image", "mask"):
        value = entry.get(key)
        if isinstance(value, str):
            result[key] = str(root / value)
        elif value is not None:
            result[key] = [str(root / item) for item in value]
    return result
