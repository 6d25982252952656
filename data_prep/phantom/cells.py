"""Cells in three stains on two plates: ``phantom --kind cells``.

Half of the wells are treated. Two phenotypes: spread cells (an oval nucleus, fibres of tubulin that
radiate from it, a thin rim of actin) and rounded ones (a small bright nucleus, a bright knot of
tubulin, a thick rim); a quarter of the treated cells look untreated, and one in twenty untreated
ones is round. Each plate has its own brightness, and light that falls towards the corners.

Written are crops, as `data_prep.cells` stores them, around the nuclei that were drawn, and the
fields themselves in ``raw/``, in BBBC021's published layout with both tables, which
``data_prep cells --source TARGET/raw --compound nocodazole`` reads. Ours; no paper describes it.

Counts to expect (ours): 24 wells of one field, some 25 crops each.
"""

import argparse
import io
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from common.checks import require
from common.data.cells import centred, cut, measure_plate
from common.data.prepare import Preparation
from data_prep.cells import split_wells
from data_prep.machinery import Entry, Item, Output, Plan
from data_prep.phantom.texture import soft_step

__all__ = ["draw_field", "plan"]

WELLS, FIELDS, SIDE = 24, 1, 64
PLATES = 2
FIELD = 3  # crops that fit beside each other into a field
APART = 0.42  # mean distance of two cells, of a crop's side
DOSES = (0.3, 1.0, 3.0, 10.0)  # micromolar
ROUND = (0.05, 0.75)  # share of rounded cells, untreated and treated
OFFSET, NOISE, TOP = 300.0, 60.0, 12_000.0
VALIDATION, TEST = 0.1, 0.25
STAINS = (("w1", "DAPI"), ("w2", "Tubulin"), ("w4", "Actin"))

Array = npt.NDArray[np.float32]
Drawn = tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Plate:
    """One plate to draw.

    Args:
        number: from 0.
        wells: of all plates together.
        fields: of each well.
        size: pixels of a crop's side.
        seed: of the whole phantom.
    """

    number: int
    wells: int
    fields: int
    size: int
    seed: int


def plan(options: argparse.Namespace) -> Plan:
    """Lay out the plates.

    Raises:
        InputError: too few wells, fields or pixels, or not 2D.
    """
    wells = WELLS if options.patients is None else options.patients
    fields = FIELDS if options.slices is None else options.slices
    size = SIDE if options.size is None else options.size
    require(options.dims == 2, f"phantom: --dims must be 2 for --kind cells, got {options.dims}.")
    require(wells >= 12, f"phantom: --patients (wells) must be >= 12 for cells, got {wells}.")
    require(fields >= 1, f"phantom: --slices (fields of a well) must be >= 1, got {fields}.")
    require(size >= 32, f"phantom: --size must be >= 32, got {size}.")
    plates = [Plate(number, wells, fields, size, options.seed) for number in range(PLATES)]
    arguments = {key: value for key, value in asdict(plates[0]).items() if key != "number"}
    return Plan(
        source="synthetic cells phantom (data_prep phantom)",
        licence="CC0-1.0: synthetic, no patient",
        arguments={"kind": "cells", **arguments},
        items=[Item(f"plate_{plate.number:03d}", plate) for plate in plates],
        convert=convert,
        split=partial(split_wells, seed=options.seed, validation=VALIDATION, test=TEST),
        extra={
            "classes": {
                "label": ["untreated", "nocodazole"],
                "site": [f"plate {number}" for number in range(PLATES)],
                "phenotype": ["spread", "rounded"],
            },
            **Preparation("photo", size, 8).record(),
        },
        units="wells",
    )


def convert(plate: Plate, output: Output) -> list[Entry]:
    """Draw the fields of a plate, and write them, their tables and the crops."""
    places = [
        (well, number)
        for well in range(plate.number, plate.wells, PLATES)
        for number in range(plate.fields)
    ]
    fields = [_drawn(plate, *place) for place in places]
    for place, (field, _, _) in zip(places, fields):
        _write_raw(*place, field, output)
    if plate.number == 0:
        _write_tables(plate, output)
    standard = measure_plate(field for field, _, _ in fields)
    stack = f"plate_{plate.number:03d}.npy"
    entries: list[Entry] = []
    crops = []
    for (well, number), (field, centres, rounded) in zip(places, fields):
        pixels = np.rint(standard.apply(field) * 255).astype(np.uint8)
        kind = {tuple(centre): int(is_round) for centre, is_round in zip(centres, rounded)}
        for centre in centred(centres, field.shape, plate.size):
            crops.append(np.moveaxis(cut(pixels, centre, plate.size), 0, -1))
            entries.append(
                {
                    "image": stack,
                    "index": len(entries),
                    "label": int(_is_treated(well)),
                    "patient": f"w{well + 1:04d}",
                    "site": plate.number,
                    "concentration": _dose(well),
                    "field": f"w{well + 1:04d}_{number}",
                    "row": int(centre[0]),
                    "column": int(centre[1]),
                    "phenotype": kind[tuple(centre)],
                }
            )
    output.write_stack(stack, crops, (plate.size, plate.size, 3), "uint8")
    return entries


def draw_field(
    rng: np.random.Generator, size: int, treated: bool, gain: tuple[float, float, float]
) -> Drawn:
    """Draw one field of view.

    Args:
        rng: draws cells and noise.
        size: pixels of a crop's side; the field has three times as many, a nucleus some 0.16.
        treated: whether most cells are rounded.
        gain: brightness of the stains, relative.

    Returns:
        The field ``(3, 3 size, 3 size)``; row and column of the nuclei ``(N, 2)``, and whether each
        is of a rounded cell ``(N,)``.
    """
    side = FIELD * size
    across = round(side / (APART * size))
    grid = np.stack(np.meshgrid(*[np.arange(across)] * 2, indexing="ij"), -1).reshape(-1, 2)
    places = (grid + 0.5 + rng.uniform(-0.2, 0.2, grid.shape)) * side / across
    rounded = rng.random(len(places)) < ROUND[int(treated)]
    image = np.zeros((3, side, side), np.float32)
    for place, is_round in zip(places, rounded):
        _add_cell(image, place, bool(is_round), size, rng)
    line = np.linspace(-1, 1, side, dtype=np.float32)
    light = 1 - 0.2 * (line[:, None] ** 2 + line[None] ** 2)
    values = OFFSET + TOP * light * np.array(gain, np.float32)[:, None, None] * image
    values += NOISE * rng.standard_normal(values.shape, np.float32)
    field = np.clip(np.rint(values), 0, 2**16 - 1).astype(np.uint16)
    return field, np.floor(places).astype(np.int64), rounded


def _add_cell(
    image: Array, place: npt.NDArray[np.float64], rounded: bool, size: int, rng: np.random.Generator
) -> None:
    """Add one cell to a field ``(3, H, W)``, around `place`."""
    reach = round(0.3 * size)
    top, left = (max(0, int(centre) - reach) for centre in place)
    bottom, right = (min(image.shape[1], int(centre) + reach + 1) for centre in place)
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5 - np.float32(place[0])) / size
    x = (np.arange(left, right, dtype=np.float32) + 0.5 - np.float32(place[1])) / size
    turn = rng.uniform(0, 2 * np.pi)
    u = np.float32(np.cos(turn)) * x[None] + np.float32(np.sin(turn)) * y[:, None]
    v = np.float32(np.cos(turn)) * y[:, None] - np.float32(np.sin(turn)) * x[None]
    far, angle = np.hypot(u, v), np.arctan2(v, u)
    edge = 1 / size
    large = np.float32(rng.uniform(0.9, 1.1))
    if rounded:
        nucleus = 1.0 * soft_step(0.055 * large - far, edge)
        tubulin = 1.0 * soft_step(0.09 * large - far, 2 * edge)
        actin = 0.9 * np.exp(-(((far - 0.11 * large) / 0.025) ** 2))
    else:
        nucleus = 0.6 * soft_step(0.08 * large - np.hypot(u / 1.2, v * 1.2), edge)
        fibres = 0.6 + 0.4 * np.cos(rng.integers(7, 12) * angle)
        tubulin = 0.6 * fibres * np.exp(-far / 0.12) * soft_step(0.2 * large - far, 2 * edge)
        rim = np.exp(-(((np.hypot(u / 1.15, v * 1.15) - 0.18 * large) / 0.015) ** 2))
        actin = 0.45 * rim + 0.15 * soft_step(0.18 * large - far, 2 * edge)
    window = image[:, top:bottom, left:right]
    np.maximum(window, np.stack([nucleus, tubulin, actin]), out=window)


def _drawn(plate: Plate, well: int, number: int) -> Drawn:
    gains = np.random.default_rng([plate.seed, plate.number, 3]).uniform(0.5, 1.0, 3)
    rng = np.random.default_rng([plate.seed, well, number])
    gain = (float(gains[0]), float(gains[1]), float(gains[2]))
    return draw_field(rng, plate.size, _is_treated(well), gain)


def _is_treated(well: int) -> bool:
    """Wells go to the plates in turn; on each, every second one is treated."""
    return bool(well // PLATES % 2)


def _dose(well: int) -> float:
    return DOSES[well // (2 * PLATES) % len(DOSES)] if _is_treated(well) else 0.0


def _names(well: int, number: int) -> tuple[str, str, str]:
    """The plate's folder, the well, and the field's name before the stain."""
    place = well // PLATES
    folder = f"Week1_{well % PLATES + 1:05d}"
    name = f"{chr(ord('B') + place % 6)}{2 + place // 6:02d}"
    return folder, name, f"{folder}_{name}_s{number + 1}"


def _write_raw(well: int, number: int, field: npt.NDArray[np.uint16], output: Output) -> None:
    folder, _, name = _names(well, number)
    for plane, (mark, _) in zip(field, STAINS):
        packed = io.BytesIO()
        Image.fromarray(plane).save(packed, "tiff", compression="tiff_adobe_deflate")
        output.write(f"raw/Week1/{folder}/{name}_{mark}.tif", packed.getvalue())


def _write_tables(plate: Plate, output: Output) -> None:
    """Write both tables, with BBBC021's columns."""
    files = [f"Image_{what}_{stain}" for _, stain in STAINS for what in ("FileName", "PathName")]
    columns = ["TableNumber", "ImageNumber", *files, "Image_Metadata_Plate_DAPI"]
    columns += ["Image_Metadata_Well_DAPI", "Replicate"]
    columns += ["Image_Metadata_Compound", "Image_Metadata_Concentration"]
    rows = [columns]
    for well in range(plate.wells):
        compound = "nocodazole" if _is_treated(well) else "DMSO"
        for number in range(plate.fields):
            folder, place, name = _names(well, number)
            cells = [c for mark, _ in STAINS for c in (f"{name}_{mark}.tif", f"Week1/{folder}")]
            facts = [folder, place, "1", compound, f"{_dose(well):g}"]
            rows.append(["1", str(len(rows)), *cells, *facts])
    doses = [["nocodazole", f"{dose:g}", "Microtubule destabilizers"] for dose in DOSES]
    tables = {"image": rows, "moa": [["compound", "concentration", "moa"], *doses]}
    for name, table in tables.items():
        text = "".join(",".join(row) + "\n" for row in table)
        output.write(f"raw/BBBC021_v1_{name}.csv", text.encode())
