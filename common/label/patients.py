"""Whose an image is: who they are identifies them, and is never written."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from common.checks import InputError
from common.data.dicom import dicom_facts
from common.data.dicom_mark import is_dicom
from common.label.labels import Sample
from common.label.models import Model

__all__ = ["Patients", "patients_of"]

START = re.compile(r"([^_]*\d)_")
OWN = "image"
WORDS = {
    "label": "named by their label",
    "DICOM": "by their DICOM Patient ID",
    "manifest": "by the manifest",
    "sub-folder": "by their sub-folder (where those are no patients: start with --patients name)",
    "file name": "by the start of the file's name, up to _",
    OWN: "of which each counts as its own",
}


@dataclass(frozen=True)
class Patients:
    """Whose the images of a bundle are.

    Attributes:
        of: an identity by the image's id.
        rules: how many images are known by which rule, in the order of `WORDS`.
    """

    of: Mapping[str, str]
    rules: Counter[str]

    @property
    def said(self) -> str:
        """How many, and by what, in a line that names none."""
        known = ", ".join(
            f"{self.rules[rule]} {WORDS[rule]}" for rule in WORDS if rule in self.rules
        )
        line = f"{len(set(self.of.values()))} patients of {len(self.of)} images: {known}"
        if self.rules[OWN] > 1:
            line += (
                "; where two of those are of one patient, that patient may train and test: put the "
                "images of each patient into a sub-folder"
            )
        return line


def patients_of(model: Model, samples: Sequence[Sample]) -> Patients:
    """Say whose the images are, so that a patient's are kept together.

    An image is of whom, in this order, its label names ("patient"), its DICOM Patient ID, the
    manifest of a prepared folder, its sub-folder (the first one below the folder of the bundle,
    unless `Model.folders` says that these are no patients), or the start of the file's name up to
    its first ``_`` where that ends in a digit. An image that none of them tells is its own patient.
    Where one of these names a single patient of images that a later one puts together, all of them
    are that patient's.

    Args:
        model: of the bundle that they are for.
        samples: the images.
    """
    guessed = {sample.id: _guessed(sample, model) for sample in samples}
    rules = {name: rule for name, (rule, _) in guessed.items()}
    of = {name: patient for name, (_, patient) in guessed.items()}
    for rule, told in (
        ("manifest", {one.id: one.patient for one in samples}),
        ("DICOM", {one.id: _of_header(one.path, _stamp(one.path)) for one in samples}),
        ("label", {one.id: str((one.label or {}).get("patient", "")) for one in samples}),
    ):
        named: dict[str, set[str]] = {}
        for name in filter(told.get, of):
            named.setdefault(of[name], set()).add(told[name])
        only = {patient: min(names) for patient, names in named.items() if len(names) == 1}
        of = {name: told[name] or only.get(patient, patient) for name, patient in of.items()}
        rules |= {name: rule for name in of if told[name]}
    return Patients(of, Counter(rules.values()))


def _guessed(sample: Sample, model: Model) -> tuple[str, str]:
    """Rule and identity by where the file lies and what it is called."""
    place = PurePosixPath(sample.id)
    inside = place.relative_to(model.below) if place.is_relative_to(model.below) else place
    if model.folders and len(inside.parts) > 1:
        return "sub-folder", inside.parts[0]
    start = START.match(sample.path.name)
    return ("file name", start[1]) if start else (OWN, sample.id)


@lru_cache(maxsize=200_000)
def _of_header(path: Path, _: int) -> str:
    """The Patient ID of a DICOM file, or of the first of a series; "" where it names nobody."""
    try:
        files = [one for one in path.iterdir() if one.is_file()] if path.is_dir() else [path]
        first = min(files, default=path)
        return str(dicom_facts(first).get("patient", "")) if is_dicom(first) else ""
    except (InputError, OSError):
        return ""


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
