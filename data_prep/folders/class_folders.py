"""What can be wrong with folders that are classes, before anything is read."""

import filecmp
from collections import defaultdict
from pathlib import Path

from common.checks import require
from data_prep.machinery import LabelTable, Row

__all__ = ["check_class_folders"]


def check_class_folders(source: Path, table: LabelTable, patient_folders: bool = False) -> None:
    """Check that no class is empty and no picture lies in two classes.

    Args:
        source: the folder.
        table: its images, labelled by their folders.
        patient_folders: each class folder holds a folder for each patient.

    Raises:
        InputError: it names the class folders, never a file.
    """
    above = 1 if patient_folders else 0
    classes = {(source / row.path).parents[above] for row in table.rows}
    for parent in sorted({folder.parent for folder in classes}):
        for folder in sorted(parent.iterdir()):
            known = folder in classes or any(c.is_relative_to(folder) for c in classes)
            require(
                known or not folder.is_dir() or folder.name.startswith("."),
                f"{folder.name}: every class folder must hold images, got none that can be read "
                "here. Put some in, or remove the folder.",
            )
    _check_copies(source, table.rows, above)


def _check_copies(source: Path, rows: list[Row], above: int) -> None:
    """Files of one name and size in two classes may differ; the same bytes are one picture."""
    alike: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        path = source / row.path
        alike[path.name, path.stat().st_size].append(row)
    twice: list[tuple[str, str]] = []
    for first, *others in alike.values():
        for row in others:
            paths = (source / first.path, source / row.path)
            if row.entry["label"] != first.entry["label"] and filecmp.cmp(*paths, shallow=False):
                one, two = (path.parents[above].name for path in paths)
                twice.append((one, two))
    require(
        not twice,
        f"{' and '.join(twice[0]) if twice else ''}: a picture must lie in one class folder, got "
        f"{len(twice)} of the same name and content in two. Remove one of each two.",
    )
