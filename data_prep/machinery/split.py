"""Splits by patient: training, validation and three hold-out test sets (the paper, section 2.3)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from common.checks import require
from common.data import seeded_order
from common.data.manifest import PARTS

__all__ = [
    "Entry",
    "check_shares",
    "set_aside",
    "split_as_told",
    "split_by_share",
    "split_by_test_size",
]

Entry = dict[str, Any]
Parts = dict[str, list[Entry]]

FOLDS = 3
LARGEST_SHARE = 0.9
FEWEST = 3  # patients of a class, one of whom may be set aside


def check_shares(command: str, validation: float, test: float = 0.0) -> None:
    """Check that ``--validation`` and ``--test`` are shares that leave patients to train on.

    Raises:
        InputError: one of them, or both together, is not in 0 to 0.9.
    """
    for name, share in (("validation", validation), ("test", test)):
        require(
            0 <= share <= LARGEST_SHARE,
            f"{command}: --{name} must be a share in 0..{LARGEST_SHARE}, got {share}.",
        )
    require(
        validation + test <= LARGEST_SHARE + 1e-9,  # 0.6 + 0.3 in floating point
        f"{command}: --validation and --test must leave patients to train on, at most "
        f"{LARGEST_SHARE} together, got {validation} and {test}.",
    )


def split_as_told(entries: Sequence[Entry]) -> Parts:
    """Put each entry into the part its own ``part`` names, and drop that key.

    >>> split_as_told([{"image": "a.png", "part": "test"}])["test"]
    [{'image': 'a.png'}]
    """
    parts: Parts = {part: [] for part in PARTS}
    for entry in entries:
        parts[entry["part"]].append({key: v for key, v in entry.items() if key != "part"})
    return parts


def set_aside(parts: Parts, count: int, seed: int) -> Parts:
    """Let some of the training patients validate.

    Args:
        parts: as `split_as_told` returns them.
        count: patients.
        seed: chooses them.

    >>> sorted(set_aside({"training": [{"patient": "a"}], "validation": []}, 1, 0).items())
    [('training', []), ('validation', [{'patient': 'a'}])]
    """
    order = seeded_order((entry["patient"] for entry in parts["training"]), seed)
    aside = set(order[:count])
    training = [entry for entry in parts["training"] if entry["patient"] not in aside]
    moved = [entry for entry in parts["training"] if entry["patient"] in aside]
    return {**parts, "training": training, "validation": [*parts["validation"], *moved]}


def split_by_share(
    entries: Sequence[Entry],
    seed: int,
    validation: float = 0.1,
    test: float = 0.3,
    even: bool = False,
) -> Parts:
    """Give each part its share of the patients; test patients go to the folds in turn.

    Args:
        entries: with ``patient``.
        seed: chooses the patients.
        validation: share of the patients, rounded.
        test: share of the patients, rounded.
        even: share out the patients of each class by themselves, so that a rare one is in all
            parts; a patient with images of several classes counts as a class of its own kind. A
            share that comes to nobody of a class is one patient of it where it has three.

    Returns:
        The entries by part, those of the test with ``fold`` 0, 1 or 2.
    """
    labels: dict[str, set[int]] = {}
    for entry in entries:
        labels.setdefault(entry["patient"], set()).add(entry["label"] if even else 0)
    groups: dict[tuple[int, ...], list[str]] = {}
    for patient in seeded_order(labels, seed):
        groups.setdefault(tuple(sorted(labels[patient])), []).append(patient)
    orders = [groups[kind] for kind in sorted(groups)]
    tested = _counts(orders, test, even)
    aside = _counts(orders, validation, even)
    testing = [p for order, count in zip(orders, tested) for p in order[:count]]
    validating = {p for order, n, more in zip(orders, tested, aside) for p in order[n : n + more]}
    folds = {patient: index % FOLDS for index, patient in enumerate(testing)}
    return _parts(entries, folds, validating)


def _counts(orders: Sequence[Sequence[str]], share: float, even: bool) -> list[int]:
    """How many of each class to take; where that were nobody, one if it has three."""
    least = int(even and share > 0)
    return [max(round(share * len(order)), least * (len(order) >= FEWEST)) for order in orders]


def split_by_test_size(
    entries: Sequence[Entry], seed: int, test_size: int, validation: float = 0.1
) -> Parts:
    """Fill three test folds with whole patients, up to `test_size` entries each.

    A fold stops before the patient that would take it over `test_size` and never holds more than
    a tenth of the patients (but at least one), so small inputs keep enough for training.

    Args:
        entries: with ``patient``.
        seed: chooses the patients.
        test_size: entries in each fold; the paper has 1 000.
        validation: share of the patients that are left.

    Returns:
        As `split_by_share`.
    """
    sizes = Counter(str(entry["patient"]) for entry in entries)
    order = seeded_order(sizes, seed)
    most = max(1, len(order) // 10)
    folds: dict[str, int] = {}
    for fold in range(FOLDS):
        filled = members = 0
        for patient in order:
            full = members == most or (members and filled + sizes[patient] > test_size)
            if patient not in folds and len(folds) < len(order) - 1 and not full:
                folds[patient] = fold
                filled, members = filled + sizes[patient], members + 1
    rest = [patient for patient in order if patient not in folds]
    n_validation = min(max(1, round(validation * len(rest))), len(rest) - 1)
    return _parts(entries, folds, set(rest[:n_validation]))


def _parts(entries: Sequence[Entry], folds: dict[str, int], validation: set[str]) -> Parts:
    parts: Parts = {"training": [], "validation": [], "test": []}
    for entry in entries:
        patient = entry["patient"]
        if patient in folds:
            parts["test"].append({**entry, "fold": folds[patient]})
        else:
            parts["validation" if patient in validation else "training"].append(dict(entry))
    return parts
