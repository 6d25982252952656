"""What is known of the images, as classes that a classifier can be asked for.

Numbers with many values, such as ages, are cut into thirds.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.audit.images import ATTRIBUTES, AuditImages
from common.audit.telling import Target
from common.report.words import listed

__all__ = ["attributes", "coded", "label_of", "left_out"]

CATEGORIES = 30  # values that a number may have and still be a category
PATIENTS, IMAGES = 40, 3  # at most so many patients, each with so many images at least
MARKED, RING, BRIGHT = 0.05, 8, 0.97  # least share of images; the border is an eighth of a side
SIZES = ("height", "width")
THIRDS = ("age",)

Coded = tuple[NDArray[np.intp], NDArray[np.intp], list[str]]


def label_of(images: AuditImages) -> Target | None:
    """Return the label; where none is told, or it has one class, age; None without either."""
    for name in ("label", "age"):
        if name in images.columns:
            names, every = images.names.get(name, ()), name == "label"
            target = _told(images, name, *coded(images.columns[name], names, name in THIRDS, every))
            if target is not None:
                return target
    return None


def left_out(images: AuditImages, target: Target) -> str:
    """Say which values of a target's column have but one patient and were left out; "" for none."""
    names = images.names.get(target.name, ())
    column = images.columns[target.name]
    values = coded(column, names, target.name in THIRDS, target.name == "label")[2]
    rare = [f"“{value}”" for value in values if value not in target.values]
    if not rare:
        return ""
    has, was = ("has", "was") if len(rare) == 1 else ("have", "were")
    return f"{target.name}: {listed(rare)} {has} but one patient and {was} left out."


def _told(
    images: AuditImages,
    name: str,
    rows: NDArray[np.intp],
    code: NDArray[np.intp],
    values: Sequence[str],
) -> Target | None:
    """The target of the values with two patients or more: of one, nobody else can be asked."""
    patients = [len(np.unique(images.patient[rows[code == k]])) for k in range(len(values))]
    common = np.flatnonzero(np.array(patients) >= 2)
    kept = np.isin(code, common)
    rows, code = rows[kept], np.searchsorted(common, code[kept]).astype(np.intp)
    return Target.of(name, rows, code, [values[int(k)] for k in common], images.patient[rows])


def attributes(images: AuditImages, label: str) -> tuple[list[Target], list[str]]:
    """Return all else that is known, and a sentence for each that cannot be looked at.

    Args:
        images: of which.
        label: name of what is the label, which is no shortcut.
    """
    found, notes = [], []
    columns = {name: images.columns[name] for name in ATTRIBUTES if name in images.columns}
    if all(name in columns for name in SIZES):
        height, width = (columns.pop(name).astype(np.float64) for name in SIZES)
        columns["image size"] = height * width
    mark = _marks(images)
    columns |= {} if mark is None else {"mark": mark}
    with_marks = replace(images, columns=columns)
    for name, column in columns.items():
        if name == label:
            continue
        rows, code, values = coded(column, images.names.get(name, ()), name in THIRDS)
        target = _told(with_marks, name, rows, code, values) if len(rows) else None
        if target is not None:
            found.append(target)
            notes += [note for note in [left_out(with_marks, target)] if note]
        elif len(values) > 1:
            notes.append(
                f"{name}: all values but one have one patient, so that it was not asked for."
            )
    identity = _patients(images)
    if identity is not None:
        found.append(identity)
    for name in ("site", "sex", "age"):
        if name not in columns:
            notes.append(f"{name}: not told, so that it was not looked at as a shortcut.")
    return found, notes


def coded(
    column: NDArray[Any], names: Sequence[str] = (), thirds: bool = False, every: bool = False
) -> Coded:
    """Return a column as classes.

    Args:
        column: ``(N,)`` texts or numbers, "", NaN or None where not known.
        names: of the values of a column of whole numbers.
        thirds: cut numbers into thirds even where they have few values.
        every: of whole numbers every value is a class, however many they are.

    Returns:
        Rows of the images for which it is known, the class of each from 0, names of the classes.
    """
    if column.dtype.kind == "O":
        texts = any(isinstance(value, str) for value in column)
        unknown = "" if texts else np.nan
        column = np.array([unknown if value is None else value for value in column.tolist()])
    if column.dtype.kind in "US":
        rows = np.flatnonzero((column != "") & (column != "nan"))
        values, code = np.unique(column[rows], return_inverse=True)
        return rows, code.astype(np.intp), [str(value) for value in values]
    numbers = column.astype(np.float64)
    whole = numbers[np.isfinite(numbers)]
    category = (
        not thirds
        and (every or len(np.unique(whole)) <= CATEGORIES)
        and bool((whole == np.round(whole)).all())
    )
    if category:
        rows = np.flatnonzero(np.isfinite(numbers) & (numbers >= 0))
        values, code = np.unique(numbers[rows], return_inverse=True)
        return rows, code.astype(np.intp), [_name(int(value), names) for value in values]
    rows = np.flatnonzero(np.isfinite(numbers))
    if not len(rows):
        return rows, np.zeros(0, np.intp), []
    low, high = np.quantile(numbers[rows], [1 / 3, 2 / 3])
    code = np.digitize(numbers[rows], [low, high], right=True)
    told = [f"to {low:.4g}", f"to {high:.4g}", f"above {high:.4g}"]
    present = np.unique(code)
    return rows, np.searchsorted(present, code).astype(np.intp), [told[k] for k in present]


def _name(value: int, names: Sequence[str]) -> str:
    return str(names[value]) if value < len(names) else str(value)


def _marks(images: AuditImages) -> NDArray[np.int64] | None:
    """Whether something bright lies at the dark border of each picture; None where all are alike.

    Letters and arrows that were burnt in are nearly white; the share of the border that is must be
    between a thousandth and a fifth.
    """
    if images.spatial_dims != 2:
        return None
    height, width = images.x.shape[2:]
    deep = (height // RING, width // RING)
    if min(deep) < 1:
        return None
    shares = []
    for x in torch.split(images.x, 64):
        bright = x.float().amin(dim=1) >= BRIGHT
        bright[:, deep[0] : height - deep[0], deep[1] : width - deep[1]] = False
        shares.append(bright.flatten(1).sum(dim=1).numpy())
    border = height * width - (height - 2 * deep[0]) * (width - 2 * deep[1])
    share = np.concatenate(shares) / border
    mark = (share > 0.001) & (share < 0.2)
    return mark.astype(np.int64) if MARKED <= mark.mean() <= 1 - MARKED else None


def _patients(images: AuditImages) -> Target | None:
    """The identity of up to 40 patients with three images or more, told from other images."""
    if not images.patients_known:
        return None
    _, code, count = np.unique(images.patient, return_inverse=True, return_counts=True)
    most = np.argsort(-count, kind="stable")[:PATIENTS]
    most = most[count[most] >= IMAGES]
    if len(most) < 2:
        return None
    rows = np.flatnonzero(np.isin(code, most))
    number = np.unique(code[rows], return_inverse=True)[1].astype(np.intp)
    told = [f"patient {place + 1}" for place in range(len(most))]
    return Target.of("patient", rows, number, told, rows.astype(np.str_))
