"""Which labelled image trains, validates or tests: by patient, class by class, or by site."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from common.checks import require
from common.data import seeded_order
from common.data.manifest import PARTS
from common.label.models import Model

__all__ = ["Entry", "by_class", "by_site"]

FEWEST = 3  # labelled patients of a class: one to train, one to validate, one to test
TEST, VALIDATION = 0.2, 0.1  # shares of the labelled patients
FOLDS = 3
SITES = 3

Entry = dict[str, Any]
Parts = dict[str, list[Entry]]


def by_class(model: Model, entries: Sequence[Entry], seed: int) -> Parts:
    """Share out the labelled patients of each class; the images of all others train.

    Args:
        model: of the bundle.
        entries: with "patient" and "value", None where there is no label.
        seed: chooses the patients.

    Returns:
        The entries by part. Those of the test have "fold": 0, 1 or 2 where each would hold two
        patients of each class, else 0. Of a patient who validates or tests, images without a label
        are in no part.

    Raises:
        InputError: a class of fewer than three labelled patients.
    """
    kinds: dict[str, set[Any]] = {}
    for entry in entries:
        if entry["value"] is not None:
            kind = 0 if model.regression else entry["value"]
            kinds.setdefault(entry["patient"], set()).add(kind)
    groups: dict[tuple[Any, ...], list[str]] = {}
    for patient in seeded_order(kinds, seed):
        groups.setdefault(tuple(sorted(kinds[patient])), []).append(patient)
    _check_counts(model, groups)
    part_of: dict[str, str] = {}
    fold_of: dict[str, int] = {}
    for order in groups.values():
        least = int(len(order) >= FEWEST)
        tests, aside = (max(round(share * len(order)), least) for share in (TEST, VALIDATION))
        part_of |= dict.fromkeys(order[:tests], "test")
        part_of |= dict.fromkeys(order[tests : tests + aside], "validation")
        fold_of |= {patient: number % FOLDS for number, patient in enumerate(order[:tests])}
    if any(sum(part_of.get(p) == "test" for p in order) < 2 * FOLDS for order in groups.values()):
        fold_of = dict.fromkeys(fold_of, 0)
    parts: Parts = {part: [] for part in PARTS}
    for entry in entries:
        part = part_of.get(entry["patient"], "training")
        if part == "training" or entry["value"] is not None:
            fold = {"fold": fold_of[entry["patient"]]} if part == "test" else {}
            parts[part].append({**entry, **fold})
    return parts


def _check_counts(model: Model, groups: Mapping[tuple[Any, ...], Sequence[str]]) -> None:
    """Refuse a class that no three patients have, of those who have the same classes."""
    counts = Counter[Any]()
    for kinds, patients in groups.items():
        for kind in kinds:
            counts[kind] = max(counts[kind], len(patients))
    names = ["labelled"] if model.regression else model.choices
    told = ", ".join(f"{counts[number]} {name}" for number, name in enumerate(names))
    wanted = range(len(names)) if len(names) < 3 else sorted(counts)
    require(
        all(counts[number] >= FEWEST for number in wanted) and len(wanted) >= min(2, len(names)),
        f"{model.name}: each class must have labels of {FEWEST} patients or more, got {told}. "
        "Label more images of the rare ones.",
    )


def by_site(model: Model, entries: Sequence[Entry]) -> Parts:
    """Let the rarest site test, and of the others a fifth of the patients; a tenth validates.

    Args:
        model: of the bundle.
        entries: with "patient", "value" and "site_name", "" where it is not known. Those without
            either are left out.

    Returns:
        The entries by part, with "site" (a number) and "split": train, internal or external.

    Raises:
        InputError: fewer than three sites.
    """
    known = [entry for entry in entries if entry["value"] is not None and entry["site_name"]]
    counts = Counter(entry["site_name"] for entry in known)
    require(
        len(counts) >= SITES,
        f'{model.name}: labels must name {SITES} sites or more ("site"), got {len(counts)}. One is '
        "held out to test on, and two are needed to train.",
    )
    outside = min(sorted(counts), key=lambda name: counts[name])
    place: dict[str, str] = {}
    for site in sorted(counts):
        order = seeded_order((e["patient"] for e in known if e["site_name"] == site), 0)
        tests, aside = (max(1, round(share * len(order))) for share in (TEST, VALIDATION))
        inside = dict.fromkeys(order[:tests], "internal")
        inside |= dict.fromkeys(order[tests : tests + aside], "validation")
        place |= dict.fromkeys(order, "external") if site == outside else inside
    number = {name: k for k, name in enumerate(sorted(counts))}
    parts: Parts = {part: [] for part in PARTS}
    for entry in known:
        where = place.get(entry["patient"], "training")
        part = where if where in PARTS else "test"
        split = where if part == "test" else "train"
        parts[part].append({**entry, "site": number[entry["site_name"]], "split": split})
    return parts
