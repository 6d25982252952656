"""An image of the studies with its label, and whose it is."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from common.checks import InputError, require
from common.data.dicom import dicom_facts
from common.data.dicom_mark import is_dicom
from common.label.models import Model

__all__ = ["Sample", "parse_label", "patient_of", "read_label", "suffix_of", "target_of"]

KEYS = ("label", "age", "site", "patient", "bundle")
LARGEST = 100_000  # bytes of a label
OLDEST = 120  # years
START = re.compile(r"([^_]*\d)_")


@dataclass(frozen=True)
class Sample:
    """An image of the studies.

    Attributes:
        id: its name in the studies.
        path: the file, or the folder of a DICOM series.
        label: what a label file says; None where there is none.
    """

    id: str
    path: Path
    label: Mapping[str, Any] | None = None


def read_label(path: Path) -> dict[str, Any]:
    """Read a label file.

    Raises:
        InputError: not a small JSON object with a label or an age.
    """
    try:
        require(
            path.stat().st_size <= LARGEST, "label: must be a small JSON file, got a large one."
        )
        return parse_label(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            'label: must be a JSON file such as {"label": "normal"}, got something else.'
        ) from None


def parse_label(content: Any) -> dict[str, Any]:
    """Return the parts of a label that are read, checked.

    Raises:
        InputError: no object, neither "label" nor "age", or values of another kind.
    """
    require(
        isinstance(content, dict) and ("label" in content or "age" in content),
        'label: must be a JSON object with "label" or "age", such as {"label": "normal"}.',
    )
    label = {key: content[key] for key in KEYS if content.get(key) is not None}
    age = label.get("age", 0)
    require(
        isinstance(age, int | float) and not isinstance(age, bool) and 0 <= age <= OLDEST,
        f"label: age must be years from 0 to {OLDEST}, got {str(age)[:40]!r}.",
    )
    texts = [label.get(key, "") for key in ("site", "patient", "bundle")]
    require(
        all(isinstance(text, str | int) for text in (*texts, label.get("label", ""))),
        "label: label, site, patient and bundle must be texts, got something else.",
    )
    return label


def target_of(sample: Sample, model: Model) -> int | float | None:
    """Return what a sample's label teaches a bundle: a class or an age; None where it does not.

    A label that names another bundle, or whose class is no class of this one, is of another.
    """
    label = sample.label or {}
    if str(label.get("bundle", model.name)) != model.name or model.no_labels:
        return None
    if model.regression:
        return float(label["age"]) if "age" in label else None
    try:
        return model.number(label["label"]) if "label" in label else None
    except InputError:
        return None


def patient_of(sample: Sample) -> str:
    """Say whose an image is, to keep them together; it identifies, and is never written.

    In this order: the label's "patient", the DICOM Patient ID, the start of the file's name up to
    its first ``_`` where that ends in a digit, or the image itself.
    """
    named = str((sample.label or {}).get("patient", ""))
    if named:
        return named
    path = sample.path
    files = [one for one in path.iterdir() if one.is_file()] if path.is_dir() else [path]
    first = min(files, default=path)
    if is_dicom(first):
        try:
            known = str(dicom_facts(first).get("patient", ""))
        except InputError:
            known = ""
        if known:
            return known
    start = START.match(path.name)
    return start[1] if start else sample.id


def suffix_of(name: str) -> str:
    """Return the ending of a file's name: two parts of ``.nii.gz``, else one."""
    return ".nii.gz" if name.lower().endswith(".nii.gz") else PurePosixPath(name).suffix
