"""The manifest: a MONAI datalist with its source, arguments and a SHA-256 for each file.

``manifest.json`` holds ``training``, ``validation`` and ``test``, lists of ``{"image": relative
path or list of them (channels), "label": int, "patient": str, ...}`` with ``age``, ``site`` and
``mask`` where they exist and ``fold`` 0, 1 or 2 for the three hold-out test sets; and ``source``,
``licence``, ``arguments``, ``versions``, ``counts``, ``sha256`` (file to digest), ``skipped``
(``{"file", "reason"}``) and, of 2D images, ``preparation`` (`common.data.prepare`). Files of the
source are called by number; ``origins`` has the number of each image, and only a key file
(`data_prep.machinery.names`) leads from numbers to names.
`monai.data.load_decathlon_datalist` reads it too.

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
from common.data.stack_file import check_stacks
from common.files import is_relative, leads_below, whole

__all__ = [
    "PARTS",
    "class_names",
    "fingerprint",
    "keep_labels",
    "labelled_only",
    "load_datalist",
    "read_manifest",
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


def seeded_order(names: Iterable[str], seed: int) -> list[str]:
    """Sort `names` by SHA-256 of seed and name: random, yet the same on every machine.

    A name keeps its place relative to the others when names are added or removed.

    >>> seeded_order(["a", "b", "c"], seed=0) == seeded_order(["c", "a", "b"], seed=0)
    True
    """
    return sorted(
        set(names),
        key=lambda name: hashlib.sha256(
            f"{seed}:{name}".encode(errors="surrogateescape")
        ).hexdigest(),
    )


def read_manifest(dataset_dir: str | Path) -> dict[str, Any]:
    """Read and check ``manifest.json`` of `dataset_dir`.

    Args:
        dataset_dir: the folder that a `data_prep` command wrote.

    Raises:
        InputError: no manifest, not JSON, a missing key, an image listed twice, a patient in two
            parts, a listed file that does not exist, or an index outside its stack.
    """
    path = Path(dataset_dir) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path}: dataset_dir must be a folder that holds {MANIFEST}, got none. "
            "Make one with python -m data_prep <source> --target DIR."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: must be JSON, got an error ({error}). {CURE}") from None
    require(isinstance(manifest, dict), f"{path}: must be a JSON object, got a list. {CURE}")
    missing = [key for key in REQUIRED if key not in manifest]
    require(not missing, f"{path}: must hold {', '.join(missing)}, got no such key. {CURE}")
    check_entries(manifest, str(path))
    _check_files(manifest, Path(dataset_dir))
    check_stacks(manifest, Path(dataset_dir), str(path))
    return dict(manifest)


def fingerprint(dataset_dir: str | Path) -> str:
    """Return 12 hexadecimal digits that two prepared folders share when they hold the same data.

    SHA-256 of the entries of all parts and of the files' digests: neither where the folder lies
    nor the versions it was prepared with count. A report compares only runs that share it.

    Args:
        dataset_dir: the folder that a `data_prep` command wrote.

    Raises:
        InputError: as `read_manifest`.
    """
    manifest = read_manifest(dataset_dir)
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


def check_entries(manifest: dict[str, Any], name: str) -> None:
    """Check the entries of all parts: keys, unique images, no patient in two parts.

    Args:
        manifest: as described above.
        name: what the error calls it.
    """
    seen_images: set[tuple[str, Any]] = set()
    part_of_patient: dict[str, str] = {}
    for part in PARTS:
        require(
            isinstance(manifest[part], list) and all(map(_is_entry, manifest[part])),
            f"{name}: {part} must be a list of entries, each with the path of an image or a list "
            f"of such and a label that is not null, got something else. {CURE}",
        )
        for entry in manifest[part]:
            for key in ("image", "label", "patient"):
                require(
                    key in entry, f"{name}: every {part} entry must hold {key}, got {entry}. {CURE}"
                )
            for image in _paths(entry, ("image",)):
                row = entry.get("index")
                require(
                    (image, row) not in seen_images,
                    f"{name}: every image must be listed once, got {image} twice"
                    f"{'' if row is None else f' (row {row})'}. Remove one of them.",
                )
                seen_images.add((image, row))
            patient = str(entry["patient"])
            other = part_of_patient.setdefault(patient, part)
            require(
                other == part,
                f"{name}: every patient must be in one part only, got patient {patient} in {other} "
                f"and {part}. Put all images of a patient in one part.",
            )


def load_datalist(dataset_dir: str | Path, part: str) -> list[dict[str, Any]]:
    """Entries of one part, with absolute ``image`` and ``mask`` paths.

    Args:
        dataset_dir: the folder of the manifest.
        part: "training", "validation" or "test".

    Raises:
        InputError: as `read_manifest`, or another `part`.
    """
    require(part in PARTS, f"load_datalist: part must be one of {', '.join(PARTS)}, got {part!r}.")
    manifest = read_manifest(dataset_dir)
    root = Path(dataset_dir).resolve()
    return [_absolute(entry, root) for entry in manifest[part]]


def keep_labels(
    data: Sequence[dict[str, Any]], label_fraction: float, seed: int
) -> list[dict[str, Any]]:
    """Keep ``label`` for a fraction of the patients and set it to -1 for all others.

    Patients are drawn in the order of `seeded_order`: at least one, and as many more as it takes
    until every class is seen. A larger one with the same seed keeps the earlier patients.

    Args:
        data: entries with ``label`` (int, -1 for none) and ``patient``; left unchanged.
        label_fraction: share of the patients that have a label, in (0, 1]; 1 keeps all.
        seed: chooses the patients.

    Returns:
        New entries in the same order.
    """
    require(
        0 < label_fraction <= 1,
        f"keep_labels: label_fraction must lie in (0, 1], got {label_fraction}.",
    )
    classes: dict[str, set[int]] = {}
    for entry in data:
        if int(entry["label"]) >= 0:
            classes.setdefault(str(entry["patient"]), set()).add(int(entry["label"]))
    order = seeded_order(classes, seed)
    count = max(1, round(label_fraction * len(order)))
    kept = set(order[:count])
    covered = set().union(*(classes[patient] for patient in kept))
    for patient in order[count:]:
        if classes[patient] - covered:
            kept.add(patient)
            covered |= classes[patient]
    return [
        dict(entry) if str(entry["patient"]) in kept else {**entry, "label": -1} for entry in data
    ]


def labelled_only(
    data: Sequence[dict[str, Any]], label_fraction: float, seed: int
) -> list[dict[str, Any]]:
    """Keep the entries that `keep_labels` leaves a label, and no other; arguments as there."""
    kept = keep_labels(data, label_fraction, seed)
    return [entry for entry in kept if int(entry["label"]) >= 0]


def write_manifest(dataset_dir: str | Path, manifest: dict[str, Any]) -> Path:
    """Write ``manifest.json``: checked, sorted keys, one atomic rename.

    Returns:
        Its path.
    """
    path = Path(dataset_dir) / MANIFEST
    check_entries(manifest, str(path))
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _is_entry(entry: Any) -> bool:
    """Whether paths and label of an entry are of the right kind, where it has them."""
    if not isinstance(entry, dict) or entry.get("label", 0) is None:
        return False
    values = [entry[key] for key in ("image", "mask") if key in entry]
    return all(
        isinstance(value, str)
        or (isinstance(value, list) and value != [] and all(isinstance(v, str) for v in value))
        for value in values
    )


def _paths(entry: dict[str, Any], keys: Iterable[str] = ("image", "mask")) -> list[str]:
    values = [entry[key] for key in keys if key in entry]
    return [path for value in values for path in ([value] if isinstance(value, str) else value)]


def _absolute(entry: dict[str, Any], root: Path) -> dict[str, Any]:
    result = dict(entry)
    for key in ("image", "mask"):
        value = entry.get(key)
        if isinstance(value, str):
            result[key] = str(root / value)
        elif value is not None:
            result[key] = [str(root / item) for item in value]
    return result


def _inside(folder: Path, root: Path) -> set[str]:
    """Names of a folder that do not lead out of `root`; none where there is no such folder."""
    if not folder.is_dir() or not leads_below(folder, root):
        return set()
    with os.scandir(folder) as files:
        return {
            file.name
            for file in files
            if not file.is_symlink() or leads_below(Path(file.path), root)
        }


def _check_files(manifest: dict[str, Any], root: Path) -> None:
    """Every listed file must lie below `root`, links followed.

    Each folder is listed once, so that 34 000 files are quick.
    """
    listings: dict[Path, set[str]] = {}
    for part in PARTS:
        for relative in (path for entry in manifest[part] for path in _paths(entry)):
            require(
                is_relative(relative),
                f"{root / MANIFEST}: every listed file must lie below its folder, got a path that "
                f"leads out of it. {CURE}",
            )
            path = root / relative
            if path.parent not in listings:
                listings[path.parent] = _inside(path.parent, root)
            require(
                path.name in listings[path.parent],
                f"{root / MANIFEST}: every listed file must exist, got no {relative}. "
                "Copy it back, or delete the manifest and run data_prep again.",
            )
