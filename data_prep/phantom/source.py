"""The plan of `data_prep.phantom`, and how an image with a lesion is drawn."""

import argparse
import zlib
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from common.checks import require
from common.data.prepare import Preparation
from data_prep.digits import LAYOUTS
from data_prep.machinery import (
    Entry,
    Item,
    Output,
    Plan,
    encode_nifti,
    encode_png,
    split_by_share,
    to_integers,
)
from data_prep.phantom import ageing, brain, cells, chest, digits, fundus
from data_prep.phantom.lesion import insert_lesion

__all__ = ["KINDS", "PhantomPatient", "add_arguments", "plan"]

KINDS: dict[str, Any] = {"brain": (brain, brain.Brain), "chest": (chest, chest.Chest)}
AGES = (20, 80)
SPACING_MM = 180.0  # of the whole image side, the width of a head


@dataclass(frozen=True)
class PhantomPatient:
    """One patient to draw.

    Args:
        kind: key of `KINDS`.
        index: from 0.
        dims: 2 for slices, 3 for one volume.
        size: pixels of a side.
        slices: images of the patient; 1 in 3D.
        seed: of the whole phantom.
        bits: 8 or 16.
        contrast: of the lesion: standard deviation of its pattern, in (0, 1].
    """

    kind: str
    index: int
    dims: int
    size: int
    slices: int
    seed: int
    bits: int
    contrast: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``phantom``."""
    parser.add_argument(
        "--kind", choices=sorted([*KINDS, "cells", "digits", "fundus"]), required=True
    )
    parser.add_argument("--dims", type=int, choices=(2, 3), default=2, help="2: PNG, 3: NIfTI")
    parser.add_argument(
        "--task", choices=("lesion", "age"), default="lesion", help="age: 3D stacks"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, help="digits in grey, in a grid or not; default: coloured"
    )
    parser.add_argument("--patients", type=int, help="default: 60, for --task age 160")
    parser.add_argument("--slices", type=int, help="images of a patient, in 2D; default: by kind")
    parser.add_argument("--size", type=int, help="pixels of a side; default: 64, for age 32")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--contrast", type=float, help="of the lesion, in (0, 1]; default: by kind")
    parser.add_argument("--seed", type=int, default=0)


def plan(options: argparse.Namespace) -> Plan:
    """Lay out the patients.

    Raises:
        InputError: too few patients or pixels, or a kind that has no 3D form.
    """
    if options.task == "age":
        return ageing.plan(options)
    if options.kind == "cells":
        return cells.plan(options)
    if options.kind == "digits":
        return digits.plan(options)
    if options.kind == "fundus":
        return fundus.plan(options)
    module, _ = KINDS[options.kind]
    count = 60 if options.patients is None else options.patients
    size = 64 if options.size is None else options.size
    require(
        options.dims in module.DIMS,
        f"phantom: --dims must be 2 for --kind {options.kind}, got {options.dims}.",
    )
    require(count >= 6, f"phantom: --patients must be >= 6, got {count}.")
    require(size >= 32, f"phantom: --size must be >= 32, got {size}.")
    images = options.slices or module.IMAGES
    require(images >= 2, f"phantom: --slices must be >= 2, got {images}.")
    slices = images if options.dims == 2 else 1
    contrast = module.LESION_CONTRAST if options.contrast is None else options.contrast
    require(0 < contrast <= 1, f"phantom: --contrast must be in (0, 1], got {contrast}.")
    one = PhantomPatient(
        options.kind, 0, options.dims, size, slices, options.seed, options.bits, contrast
    )
    patients = [replace(one, index=index) for index in range(count)]
    arguments = {key: value for key, value in asdict(patients[0]).items() if key != "index"}
    return Plan(
        source=f"synthetic {options.kind} phantom (data_prep phantom)",
        licence="CC0-1.0: synthetic, no patient",
        arguments={**arguments, "patients": count},
        items=[Item(_name(p), p) for p in patients],
        convert=convert,
        split=partial(split_by_share, seed=options.seed),
        extra={"classes": {"label": ["no lesion", "lesion"]}}
        | (Preparation(bits=options.bits).record() if options.dims == 2 else {}),
    )


def convert(patient: PhantomPatient, output: Output) -> list[Entry]:
    """Draw all images of one patient and write them."""
    module, anatomy_class = KINDS[patient.kind]
    rng = np.random.default_rng([patient.seed, patient.index, zlib.crc32(patient.kind.encode())])
    age = int(rng.integers(*AGES, endpoint=True))
    site = int(rng.integers(3))
    anatomy = anatomy_class(rng, age, site)
    entries = []
    for index, lesion in enumerate(_has_lesion(patient, rng)):
        points = module.frame_points(patient.size, patient.dims, index, patient.slices)
        image, region = anatomy(points, 2 / patient.size)
        stem = f"{_name(patient)}/{index:02d}"
        entry: Entry = {"patient": _name(patient), "age": age, "site": site, "label": int(lesion)}
        mask = None
        if lesion:
            radius = module.LESION_RADIUS * patient.size
            image, mask = insert_lesion(image, region, rng, radius, patient.contrast)
            entry["mask"] = _write(output, f"masks/{stem}", mask.astype(np.float32), 8)
        if patient.kind == "chest":
            entry |= chest.findings(anatomy, mask, index)
        entry["image"] = _write(output, f"images/{stem}", image, patient.bits)
        entries.append(entry)
    return entries


def _has_lesion(patient: PhantomPatient, rng: np.random.Generator) -> list[bool]:
    """Half the images of a patient; in 3D, every second patient of a shuffled order."""
    if patient.slices > 1:
        chosen = rng.permutation(patient.slices) < patient.slices // 2
        return [bool(value) for value in chosen]
    pair, second = divmod(patient.index, 2)
    first_has = bool(np.random.default_rng([patient.seed, pair]).integers(2))
    return [first_has != bool(second)]


def _write(output: Output, stem: str, image: np.typing.NDArray[np.float32], bits: int) -> str:
    integers = to_integers(image, bits)
    if image.ndim == 2:
        return output.write(f"{stem}.png", encode_png(integers))
    spacing = SPACING_MM / image.shape[0]
    return output.write(f"{stem}.nii.gz", encode_nifti(integers, spacing))


def _name(patient: PhantomPatient) -> str:
    return f"p{patient.index + 1:04d}"
