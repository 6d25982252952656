"""The plan of `data_prep.openbhb`, and how rows become stacks."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data import seeded_order
from data_prep.machinery import (
    CONTROL,
    SEXES,
    Entry,
    Item,
    Origin,
    Output,
    Plan,
    attempt,
    check_shares,
)
from data_prep.openbhb.images import MODALITIES, Image, read_row
from data_prep.openbhb.mask import Mask, find_mask
from data_prep.openbhb.tables import Subject, read_subjects

__all__ = ["add_arguments", "plan"]

STACK_VALUES = 2**26  # values of one file: 128 MB in float16


@dataclass(frozen=True)
class Block:
    """Subjects whose rows go into one stack.

    Args:
        path: of the stack, relative to the target.
        subjects: in the order of the rows.
        image: what to read of each.
        dtype: of the stack.
        classes: names of the values of ``site`` and ``label``, by column.
        pseudonyms: of the subjects, by ``participant_id``.
    """

    path: str
    subjects: tuple[Subject, ...]
    image: Image
    dtype: str
    classes: dict[str, list[str]]
    pseudonyms: dict[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``openbhb``."""
    parser.add_argument("--modality", choices=sorted(MODALITIES), required=True)
    parser.add_argument(
        "--dtype", choices=("float16", "float32"), help="default: float16, float32 for tables"
    )
    parser.add_argument("--mask", type=Path, help="voxels of a row: .npy, .nii or .nii.gz")
    parser.add_argument(
        "--validation", type=float, default=0.1, help="share of the training subjects, for choices"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the validation subjects")


def plan(options: argparse.Namespace) -> Plan:
    """Read the tables and the mask and lay out the stacks.

    Raises:
        InputError: neither layout, a table that does not fit its rows, a subject in two splits, or
            no mask where rows need one.
    """
    source: Path = options.source
    require(source.is_dir(), f"{source}: source must be a folder, got none. Check the path.")
    check_shares("openbhb", options.validation)
    modality = MODALITIES[options.modality]
    subjects, skipped, notes = read_subjects(source, modality.suffix)
    rows = subjects[0].row is not None
    mask = _mask(options, subjects)
    dtype = options.dtype or ("float16" if modality.spatial else "float32")
    image = Image(options.modality, mask, _shape(subjects, options.modality, mask))
    classes = _classes(subjects)
    groups = _groups(subjects, options.validation, options.seed)
    order = seeded_order((subject.patient for subject in subjects), seed=0)
    pseudonyms = {patient: f"p{number:04d}" for number, patient in enumerate(order, start=1)}
    items = _items(groups, image, dtype, classes, pseudonyms)
    extra: dict[str, Any] = {"classes": classes}
    if mask is not None:
        items.append(Item("mask", mask))
        extra["mask"] = "mask.npy"
        if mask.orientation:
            extra["orientation"] = mask.orientation
    return Plan(
        source="OpenBHB brains (data_prep openbhb)",
        licence="that of the source: OpenBHB, research use, cite Dufumier et al. 2022",
        arguments={
            "dtype": dtype,
            "layout": "challenge rows" if rows else "one file per subject",
            "mask": mask.digest() if mask is not None else None,
            "modality": options.modality,
            "seed": options.seed,
            "validation": options.validation,
        },
        items=items,
        convert=convert,
        split=partial(_split, validation={pseudonyms[s.patient] for s in groups["validation"]}),
        skipped=skipped,
        root=source,
        extra=extra,
        notes=notes + _challenge_notes(subjects) + _label_notes(classes["label"], subjects),
    )


def convert(payload: "Block | Mask", output: Output) -> list[Entry]:
    """Write one stack, or the mask; subjects that cannot be used are noted and left out."""
    if isinstance(payload, Mask):
        output.write("mask.npy", payload.as_npy())
        return []
    used: list[Subject] = []

    def rows() -> Iterator[npt.NDArray[Any]]:
        mask = payload.image.mask.read() if payload.image.mask is not None else None
        for subject in payload.subjects:
            try:
                row = output.attempt(
                    subject.name, read_row, subject, payload.image, mask, payload.dtype
                )
            except InputError as error:
                output.skip(subject.name, str(error))
                continue
            used.append(subject)
            yield row

    output.write_stack(payload.path, rows(), payload.image.shape, payload.dtype)
    return [
        {
            "image": payload.path,
            "index": index,
            "origin": subject.name,
            **_facts(subject, payload.classes),
            "patient": payload.pseudonyms[subject.patient],
        }
        for index, subject in enumerate(used)
    ]


def _mask(options: argparse.Namespace, subjects: list[Subject]) -> Mask | None:
    """The mask of a volume's rows; tables have none."""
    modality = MODALITIES[options.modality]
    if not modality.spatial:
        require(
            options.mask is None,
            f"openbhb: --mask must be left out for {options.modality}, got {options.mask}.",
        )
        return None
    voxels = modality.size if subjects[0].row is not None else None
    nifti = {".nii" in subject.path.name for subject in subjects}
    require(
        len(nifti) == 1,
        f"{options.source}: volumes must be all .npy, whose axes are kept, or all NIfTI, which are "
        "turned into RAS order, got both. Convert the one into the other.",
    )
    return find_mask(
        options.source, modality.mask, modality.threshold, voxels, options.mask, any(nifti)
    )


def _facts(subject: Subject, classes: dict[str, list[str]]) -> Entry:
    """The columns of one subject: names as numbers, -1 or null where the table says nothing."""
    site, label = classes["site"], classes["label"]
    return {
        "split": subject.split,
        "age": subject.age,
        "sex": -1 if subject.sex is None else subject.sex,
        "site": -1 if subject.site is None else site.index(subject.site),
        "label": -1 if subject.diagnosis is None else label.index(subject.diagnosis),
    }


def _classes(subjects: list[Subject]) -> dict[str, list[str]]:
    """Names of sites, those of the training set first; of diagnoses, controls first; of sexes."""

    def order(name: str) -> tuple[bool, int, str]:
        return not name.isdecimal(), int(name) if name.isdecimal() else 0, name

    training = {s.site for s in subjects if s.split == "train" and s.site is not None}
    others = {s.site for s in subjects if s.site is not None} - training
    diagnoses = {s.diagnosis for s in subjects if s.diagnosis is not None}
    cases = sorted(diagnoses - {CONTROL}, key=order)
    return {
        "site": [*sorted(training, key=order), *sorted(others, key=order)],
        "label": [CONTROL, *cases] if diagnoses else [],
        **({} if any(subject.coded for subject in subjects) else {"sex": SEXES}),
    }


def _challenge_notes(subjects: list[Subject]) -> list[str]:
    missing = sum(subject.age is None for subject in subjects)
    notes = []
    if missing:
        counts = f"{missing} of {len(subjects)} subjects have no age"
        notes.append(f"{counts}: a kernel on age needs every one")
    if len({subject.site for subject in subjects if subject.split == "train"} - {None}) < 2:
        notes.append("the training subjects are of one site: how well it can be told is not judged")
    return notes


def _label_notes(names: list[str], subjects: list[Subject]) -> list[str]:
    if not names:
        return ["no subject is labelled: the tables have no column diagnosis"]
    if not any(subject.diagnosis == CONTROL for subject in subjects):
        return [
            f"diagnosis: no subject is a {CONTROL} (class 0): none of {', '.join(names[1:])} is a "
            f"name of the healthy. Write {CONTROL} in the tables for those who are"
        ]
    return [f"diagnosis: class 0 is {CONTROL}, whatever the table calls the healthy"]


def _groups(subjects: list[Subject], share: float, seed: int) -> dict[str, list[Subject]]:
    """Subjects by the name of their stacks."""
    train = [s for s in subjects if s.split == "train"]
    order = seeded_order((s.patient for s in train), seed)
    count = round(share * len(order)) if share == 0 else max(1, round(share * len(order)))
    chosen = set(order[: min(count, len(order) - 1)])
    return {
        "training": [s for s in train if s.patient not in chosen],
        "validation": [s for s in train if s.patient in chosen],
        "internal": [s for s in subjects if s.split == "internal"],
        "external": [s for s in subjects if s.split == "external"],
    }


def _items(
    groups: dict[str, list[Subject]],
    image: Image,
    dtype: str,
    classes: dict[str, list[str]],
    pseudonyms: dict[str, str],
) -> list[Item]:
    """One item per stack: so many subjects that a run can be taken up again in small steps."""
    items = []
    size = max(1, STACK_VALUES // int(np.prod(image.shape)))
    for name, members in groups.items():
        for number, start in enumerate(range(0, len(members), size)):
            subjects = tuple(members[start : start + size])
            key = f"{name}_{number:03d}"
            origins = tuple(
                Origin(s.name, (s.path,), f"{_facts(s, classes)}", s.patient) for s in subjects
            )
            mine = {subject.patient: pseudonyms[subject.patient] for subject in subjects}
            block = Block(f"images/{key}.npy", subjects, image, dtype, classes, mine)
            items.append(Item(key, block, origins))
    return items


def _shape(subjects: list[Subject], name: str, mask: Mask | None) -> tuple[int, ...]:
    """Shape of one row of a stack."""
    if mask is not None:
        return (mask.voxels,)
    modality = MODALITIES[name]
    if not modality.spatial:
        return (modality.size,)
    for subject in subjects:
        try:
            return attempt(read_row, subject, Image(name, None), None, "float32").shape
        except InputError:
            continue
    raise InputError(
        f"openbhb: at least one {name} volume must be readable, got none of {len(subjects)}. "
        "Check the files of --source."
    )


def _split(entries: list[Entry], validation: set[str]) -> dict[str, list[Entry]]:
    """The official split, with the chosen training subjects apart."""
    parts: dict[str, list[Entry]] = {"training": [], "validation": [], "test": []}
    for entry in entries:
        if entry["split"] != "train":
            parts["test"].append(entry)
        else:
            parts["validation" if entry["patient"] in validation else "training"].append(entry)
    return parts
