"""BBBC021 version 1 in its published layout: which wells of which plates, and their cells.

``BBBC021_v1_image.csv`` has a row a field, with ``Image_FileName_*`` and ``Image_PathName_*`` of
DAPI, Tubulin and Actin, ``Image_Metadata_Plate_DAPI``, ``Image_Metadata_Well_DAPI``,
``Image_Metadata_Compound`` and ``Image_Metadata_Concentration`` (micromolar);
``BBBC021_v1_moa.csv`` has ``compound``, ``concentration`` and ``moa``, the mechanism, where it is
known. Files are looked for in the folder that the table names, in the last part of its path (as the
plates' archives unpack) and in the source itself.
"""

import argparse
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data import seeded_order
from common.data.cells import (
    NUCLEUS_PX,
    Field,
    PlateStandard,
    centred,
    cut,
    find_nuclei,
    measure_plate,
    read_field,
    spread,
)
from data_prep.machinery import Entry, Item, Line, Origin, Output, number, number_names, read_table

__all__ = ["IMAGES", "Found", "PlateFields", "convert_plate", "plates_of"]

IMAGES, MECHANISMS = "BBBC021_v1_image.csv", "BBBC021_v1_moa.csv"
STAINS = ("dapi", "tubulin", "actin")
UNTREATED = "dmso"
HIGHEST = 4  # concentrations of a compound (paper, A)
COLUMNS = (
    *(f"image_filename_{stain}" for stain in STAINS),
    *(f"image_pathname_{stain}" for stain in STAINS),
    *("image_metadata_plate_dapi", "image_metadata_well_dapi"),
    *("image_metadata_compound", "image_metadata_concentration"),
)


@dataclass
class Found:
    """What the work is made of: items, class names, what was left out, lines for the user."""

    items: list[Item]
    classes: dict[str, list[str]]
    size: int
    skipped: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WellField:
    """One field: its files, and columns of the manifest."""

    files: Field
    entry: Entry


@dataclass(frozen=True)
class PlateFields:
    """The fields of one plate that are used.

    Args:
        stack: relative path of the output.
        fields: treated and untreated.
        size: pixels of a crop.
        nucleus: diameter in pixels.
        seed: draws the untreated cells.
    """

    stack: str
    fields: tuple[WellField, ...]
    size: int
    nucleus: float
    seed: int


def plates_of(options: argparse.Namespace, size: int) -> Found:
    """Choose the wells of the compounds and of their plates' controls.

    Raises:
        InputError: a table without its columns, or a compound that is not in it.
    """
    source: Path = options.source
    compounds = [name.casefold() for name in options.compound]
    lines, notes = _once(read_table(source / IMAGES, *COLUMNS))
    label = {UNTREATED: 0} | {name: k for k, name in enumerate(compounds, start=1)}
    _check_compounds(lines, compounds)
    highest = {name: _highest(lines, name) for name in compounds}
    chosen = [
        line
        for line in lines
        if _compound(line) in highest and _dose(line) in highest[_compound(line)]
    ]
    plates = sorted({line["image_metadata_plate_dapi"] for line in chosen})
    chosen += _controls(lines, plates)
    mechanisms = _mechanisms(source)
    wells = _wells(chosen)
    plate_number = number_names(plates)
    found = Found([], {}, size, notes=notes)
    found.classes = {
        "label": ["untreated", *options.compound],
        "site": [f"plate {k}" for k in range(len(plates))],
    }
    by_plate: dict[str, list[WellField]] = defaultdict(list)
    for line in chosen:
        plate = line["image_metadata_plate_dapi"]
        entry: Entry = {
            "label": label[_compound(line)],
            "patient": wells[plate, _well(line)],
            "site": plate_number[plate],
            "compound": _compound(line),
            "concentration": _dose(line) if label[_compound(line)] else 0.0,
        }
        entry["moa"] = mechanisms.get((entry["compound"], entry["concentration"]), "")
        try:
            files = _files(line, source)
        except InputError as error:
            found.skipped.append({"file": line["image_filename_dapi"], "reason": str(error)})
            continue
        by_plate[plate].append(WellField(files, entry))
    nucleus = options.nucleus or NUCLEUS_PX
    for plate in sorted(by_plate, key=lambda name: plate_number[name]):
        key = f"plate_{plate_number[plate]:03d}"
        fields = tuple(sorted(by_plate[plate], key=lambda one: one.files.name))
        work = PlateFields(f"{key}.npy", fields, size, nucleus, options.seed)
        found.items.append(Item(key, work, tuple(_origin(one) for one in fields)))
    doses = "; ".join(f"{n} at {', '.join(f'{d:g}' for d in highest[n])}" for n in compounds)
    found.notes.append(f"{doses} micromolar, on {len(plates)} plates; split by well")
    unknown = [name for name in compounds if not any(key[0] == name for key in mechanisms)]
    if unknown:
        found.notes.append(f"no mechanism of {', '.join(unknown)} in {MECHANISMS}: moa is empty")
    return found


def convert_plate(plate: PlateFields, output: Output) -> list[Entry]:
    """Measure the plate, find its nuclei, and write a stack of the chosen crops.

    Raises:
        InputError: no field of the plate can be used.
    """
    unread: dict[str, str] = {}
    standard = measure_plate(_readable(spread(plate.fields), output, unread))
    nuclei: list[tuple[WellField, npt.NDArray[np.int64]]] = []
    for one in plate.fields:
        try:
            require(one.files.name not in unread, unread.get(one.files.name, ""))
            nuclei.append((one, output.attempt(one.files.name, _nuclei, one, standard, plate)))
        except InputError as error:
            output.skip(one.files.name, str(error))
    entries: list[Entry] = []
    shape = (plate.size, plate.size, 3)
    crops = _crops(_balanced(nuclei, plate), standard, plate, entries)
    output.write_stack(plate.stack, crops, shape, "uint8")
    return entries


def _readable(
    fields: Sequence[WellField], output: Output, unread: dict[str, str]
) -> Iterator[npt.NDArray[np.uint16]]:
    """Read the fields that can be, and note why others cannot."""
    for one in fields:
        try:
            yield output.attempt(one.files.name, read_field, one.files)
        except InputError as error:
            unread[one.files.name] = str(error)


def _nuclei(one: WellField, standard: PlateStandard, plate: PlateFields) -> npt.NDArray[np.int64]:
    """The nuclei of a field whose crops lie inside it."""
    pixels = standard.apply(read_field(one.files))
    centres = centred(find_nuclei(pixels[0], plate.nucleus), pixels.shape, plate.size)
    require(
        len(centres) > 0,
        f"{one.files.name}: must show a nucleus whose crop of {plate.size} pixels lies inside, got "
        "none. Leave it out, or set --nucleus and --size.",
    )
    return centres


def _balanced(
    nuclei: list[tuple[WellField, npt.NDArray[np.int64]]], plate: PlateFields
) -> list[tuple[WellField, npt.NDArray[np.int64]]]:
    """As many untreated cells as treated ones, drawn from all of the plate."""
    treated = sum(len(centres) for one, centres in nuclei if one.entry["label"])
    controls = [k for k, (one, _) in enumerate(nuclei) if one.entry["label"] == 0]
    cells = [(k, row) for k in controls for row in range(len(nuclei[k][1]))]
    order = np.random.default_rng([plate.seed, zlib.crc32(plate.stack.encode())]).permutation(
        len(cells)
    )
    kept: dict[int, list[int]] = {k: [] for k in controls}
    for place in sorted(order[:treated]):
        kept[cells[place][0]].append(cells[place][1])
    return [
        (one, centres[kept[k]] if k in kept else centres) for k, (one, centres) in enumerate(nuclei)
    ]


def _crops(
    nuclei: list[tuple[WellField, npt.NDArray[np.int64]]],
    standard: PlateStandard,
    plate: PlateFields,
    entries: list[Entry],
) -> Iterator[npt.NDArray[np.uint8]]:
    """The crops one after the other; their rows of the manifest go into `entries`."""
    for number_of, (one, centres) in enumerate(nuclei):
        if not len(centres):
            continue
        pixels = np.rint(standard.apply(read_field(one.files)) * 255).astype(np.uint8)
        for centre in centres:
            entries.append(
                {
                    "image": plate.stack,
                    "index": len(entries),
                    **one.entry,
                    "field": f"{plate.stack.removesuffix('.npy')}_field_{number_of:03d}",
                    "row": int(centre[0]),
                    "column": int(centre[1]),
                    "origin": one.files.name,
                }
            )
            yield np.moveaxis(cut(pixels, centre, plate.size), 0, -1)


def _compound(line: Line) -> str:
    return line["image_metadata_compound"].strip().casefold()


def _dose(line: Line) -> float:
    value = number(line["image_metadata_concentration"])
    require(
        value is not None,
        f"{line.where}: Image_Metadata_Concentration must be a number, got "
        f"{line['image_metadata_concentration']!r}. Correct it.",
    )
    return float(value or 0)


def _check_compounds(lines: Sequence[Line], compounds: Sequence[str]) -> None:
    known = {_compound(line) for line in lines}
    for name in compounds:
        listed = ", ".join(sorted(known - {UNTREATED})[:10])
        require(
            name in known and name != UNTREATED,
            f"cells: --compound must be in {IMAGES} ({listed}, ...), got {name}.",
        )
    require(
        len(set(compounds)) == len(compounds),
        f"cells: --compound must name each compound once, got {', '.join(compounds)}.",
    )


def _controls(lines: Sequence[Line], plates: Sequence[str]) -> list[Line]:
    """The untreated wells of the plates."""
    controls = [
        line
        for line in lines
        if _compound(line) == UNTREATED and line["image_metadata_plate_dapi"] in plates
    ]
    require(
        bool(controls),
        f"cells: {IMAGES} must have rows of {UNTREATED.upper()}, the untreated wells, on the "
        "plates of the compound, got none. Copy the whole table.",
    )
    return controls


def _highest(lines: Sequence[Line], compound: str) -> list[float]:
    doses = {_dose(line) for line in lines if _compound(line) == compound}
    return sorted(doses, reverse=True)[:HIGHEST]


def _mechanisms(source: Path) -> dict[tuple[str, float], str]:
    """Mechanism of (compound, concentration); empty where the table is not there."""
    path = source / MECHANISMS
    if not path.is_file():
        return {}
    lines = read_table(path, "compound", "concentration", "moa")
    doses = [(line["compound"].strip().casefold(), number(line["concentration"])) for line in lines]
    return {
        (name, dose): line["moa"].strip()
        for (name, dose), line in zip(doses, lines)
        if dose is not None
    }


def _once(lines: Sequence[Line]) -> tuple[list[Line], list[str]]:
    """Each field once, and a line for the user where one has several rows."""
    keys = [f"image_{of}_{stain}" for of in ("pathname", "filename") for stain in STAINS]
    by_files = {tuple(line[key] for key in keys): line for line in reversed(lines)}
    once = [line for line in lines if by_files[tuple(line[key] for key in keys)] is line]
    again = len(lines) - len(once)
    told = f"{IMAGES}: {again} rows name the files of an earlier row; each field is taken once"
    return once, [told] if again else []


def _well(line: Line) -> str:
    """B02, however it is written: b02, B2."""
    text = line["image_metadata_well_dapi"].strip().upper()
    match = re.fullmatch(r"([A-Z]+)0*(\d+)", text)
    return f"{match[1]}{int(match[2]):02d}" if match else text


def _wells(lines: Sequence[Line]) -> dict[tuple[str, str], str]:
    """A number for each well of each plate."""
    names = {
        "\0".join(key): key
        for key in ((line["image_metadata_plate_dapi"], _well(line)) for line in lines)
    }
    order = seeded_order(names, seed=0)
    return {names[name]: f"w{count:04d}" for count, name in enumerate(order, start=1)}


def _files(line: Line, source: Path) -> Field:
    """The files of a row.

    Raises:
        InputError: one of them is nowhere.
    """
    paths = []
    for stain in STAINS:
        name, folder = line[f"image_filename_{stain}"], line[f"image_pathname_{stain}"]
        inside = PurePosixPath(folder.replace("\\", "/"))
        places = [source / inside / name, source / inside.name / name, source / name]
        safe = ".." not in inside.parts and not inside.is_absolute() and "/" not in name
        there = [path for path in places if safe and path.is_file()]
        require(
            bool(there),
            f"{name}: must lie in the folder that {IMAGES} names, got no such file. Unpack its "
            "plate's archive there, or leave the row out.",
        )
        paths.append(there[0])
    return Field(paths[0].relative_to(source).as_posix(), tuple(paths))


def _origin(one: WellField) -> Origin:
    facts: dict[str, Any] = {k: v for k, v in one.entry.items() if k != "patient"}
    return Origin(one.files.name, one.files.paths, f"{sorted(facts.items())}", one.entry["patient"])
