"""An image of the studies with its label."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from common.checks import InputError, require
from common.label.models import Model

__all__ = ["Sample", "label_for", "parse_label", "read_label", "suffix_of", "target_of"]

KEYS = ("label", "age", "site", "patient", "bundle")
LARGEST = 100_000  # bytes of a label
OLDEST = 120  # years


@dataclass(frozen=True)
class Sample:
    """An image of the studies.

    Attributes:
        id: its name in the studies.
        path: the file, or the folder of a DICOM series.
        label: what a label file says; None where there is none.
        patient: whose it is by the manifest of a prepared folder; "" where there is none.
    """

    id: str
    path: Path
    label: Mapping[str, Any] | None = None
    patient: str = ""


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
        isinstance(content, dict) and (content.get("label"), content.get("age")) != (None, None),
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


def label_for(content: Any, models: Sequence[Model]) -> dict[str, Any]:
    """Return a label as it is kept: of a class that an image can have, called by its name.

    A number stands for a class only as long as the classes keep their order, so names are kept.

    Args:
        content: as `parse_label` takes it.
        models: of the bundles that the image is for.

    Raises:
        InputError: as `parse_label`; "bundle" names none of them, or none learns what it says.
    """
    label = parse_label(content)
    names = ", ".join(model.name for model in models)
    require(bool(models), "label: must be of an image in the folder of a bundle, got another.")
    if "bundle" in label:
        models = [model for model in models if model.name == label["bundle"]]
        require(bool(models), f"label: bundle must be one that the image is for ({names}).")
    refusals = [model.no_labels for model in models if model.no_labels]
    open_ = [model for model in models if not model.no_labels]
    require(bool(open_), refusals[0] if refusals else "")
    told = label.get("label")
    if told is None:
        require(
            any(model.regression for model in open_),
            f"label: must name a class, got an age alone, which no bundle of it learns ({names}).",
        )
        return label
    named = {model.class_named(told) for model in open_ if not model.regression} - {""}
    classes = (
        "; ".join(", ".join(m.choices) for m in open_ if not m.regression)
        or "left out beside an age"
    )
    require(
        len(named) == 1,
        f"label: must be {classes or 'left out beside an age'}, got {str(told)[:80]!r}"
        f"{', which is a class of each of several bundles: write its name' if named else ''}.",
    )
    return {**label, "label": named.pop()}


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


def suffix_of(name: str) -> str:
    """Return the ending of a file's name: two parts of ``.nii.gz``, else one."""
    return ".nii.gz" if name.lower().endswith(".nii.gz") else PurePosixPath(name).suffix
