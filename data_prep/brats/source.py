"""The plan of `data_prep.brats`, and how a volume becomes slices."""

import argparse
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data import seeded_order
from common.data.datalist import MAX_BLACK
from common.data.nifti import axial_slice, black_share, load_voxels, scale_of
from common.data.prepare import Preparation
from data_prep.machinery import (
    Entry,
    Item,
    Origin,
    Output,
    Plan,
    Walk,
    encode_png,
    split_by_test_size,
    to_integers,
    walk,
)

__all__ = ["MODALITIES", "add_arguments", "find_scans", "plan"]

MODALITIES = {
    "flair": ("flair", "t2f"),
    "t1": ("t1", "t1n"),
    "t1ce": ("t1ce", "t1c", "t1gd"),
    "t2": ("t2", "t2w"),
}
SEGMENTATION = ("seg", "segm")
KINDS = {alias: name for name, aliases in MODALITIES.items() for alias in aliases} | dict.fromkeys(
    SEGMENTATION, "seg"
)
NAME = re.compile(r"(?P<scan>.+)[-_](?P<kind>[A-Za-z0-9]+)\.nii(\.gz)?", re.IGNORECASE)
TIMEPOINT = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d+")


@dataclass(frozen=True)
class Scan:
    """One examination: its volumes, and what it is called in the output.

    Args:
        volumes: modality (and "seg") to file.
        modalities: those to write, in the order of the channels.
        patient: pseudonym.
        index: of the scan among the patient's.
        bits: 8 or 16.
    """

    volumes: dict[str, Path]
    modalities: tuple[str, ...]
    patient: str
    index: int
    bits: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``brats``."""
    parser.add_argument(
        "--modalities",
        default="flair",
        help="comma-separated: flair, t1, t1ce, t2; one channel each",
    )
    parser.add_argument("--bits", type=int, choices=(8, 16), default=16)
    parser.add_argument("--test-size", type=int, default=1000, help="slices of each hold-out set")
    parser.add_argument("--seed", type=int, default=0, help="of the split")


def plan(options: argparse.Namespace) -> Plan:
    """Find the scans and lay out the work.

    Raises:
        InputError: no folder, no BraTS volumes, or an unknown modality.
    """
    modalities = tuple(name.strip().lower() for name in options.modalities.split(","))
    unknown = [name for name in modalities if name not in MODALITIES]
    require(
        not unknown and len(set(modalities)) == len(modalities),
        f"brats: --modalities must be distinct names of {', '.join(MODALITIES)}, "
        f"got {options.modalities}.",
    )
    require(options.test_size >= 1, f"brats: --test-size must be >= 1, got {options.test_size}.")
    source: Path = options.source
    scans, walked = find_scans(source)
    require(
        bool(scans),
        f"{source}: source must hold BraTS volumes such as <id>/<id>_flair.nii.gz, got none. "
        "Check the folder.",
    )
    return Plan(
        source="BraTS axial slices (data_prep brats)",
        licence="that of the source: BraTS, research use, cite Menze 2015 and Bakas 2017",
        arguments={
            "bits": options.bits,
            "modalities": list(modalities),
            "seed": options.seed,
            "test_size": options.test_size,
        },
        items=_items(scans, modalities, options.bits),
        convert=convert,
        split=partial(split_by_test_size, seed=options.seed, test_size=options.test_size),
        extra={
            "classes": {"label": ["no tumour", "tumour"]},
            **Preparation("grey", 0, options.bits).record(),
        },
        skipped=walked.skipped,
        root=source,
        notes=walked.notes,
    )


def find_scans(source: Path) -> tuple[dict[str, dict[str, Path]], Walk]:
    """Scan names to their volumes by modality, in sorted order; and what else lies there.

    A folder with one scan that lacks its segmentation and one stray segmentation is one scan: in
    BraTS 2020 training case 355 the file is named after another study.
    """
    folders: dict[Path, dict[str, dict[str, Path]]] = defaultdict(lambda: defaultdict(dict))
    walked = walk(source, _is_volume)
    for path in walked.files:
        match = NAME.fullmatch(path.name)
        if match:
            folders[path.parent][match["scan"]][KINDS[match["kind"].lower()]] = path
    volumes_of: dict[str, dict[str, Path]] = {}
    repeated = 0
    for scans in folders.values():
        stray = [name for name, volumes in scans.items() if set(volumes) == {"seg"}]
        lacking = [name for name, volumes in scans.items() if "seg" not in volumes]
        if len(stray) == len(lacking) == 1:
            scans[lacking[0]] |= scans.pop(stray[0])
        for name, volumes in scans.items():
            repeated += name in volumes_of
            volumes_of[name] = volumes
    require(
        not repeated,
        f"{source}: every scan must be there once, got {repeated} in two folders, by their names. "
        "Remove one of each.",
    )
    return dict(sorted(volumes_of.items())), walked


def _is_volume(path: Path) -> bool:
    match = NAME.fullmatch(path.name)
    return match is not None and match["kind"].lower() in KINDS


def convert(scan: Scan, output: Output) -> list[Entry]:
    """Write the slices of one scan that are less than 80 % black."""
    for kind in (*scan.modalities, "seg"):
        require(kind in scan.volumes, f"the scan must have a {kind} volume, got none.")
    tumour = load_segmentation(scan.volumes["seg"])
    volumes = [_aligned(scan.volumes[modality], tumour.shape) for modality in scan.modalities]
    slices = np.flatnonzero(black_share(volumes[0]) < MAX_BLACK)
    require(
        len(slices) > 0,
        f"{scan.volumes[scan.modalities[0]].name}: some slice must be less than 80 % black, got "
        "none. Leave the scan out.",
    )
    channels = []
    for modality, voxels in zip(scan.modalities, volumes):
        scale = np.float32(scale_of(voxels, scan.volumes[modality].name))
        wanted = voxels[:, :, slices].astype(np.float32)
        channels.append(to_integers(np.clip(wanted / scale, 0.0, 1.0), scan.bits))
    entries = []
    for place, index in enumerate(slices):
        images = [axial_slice(channel, place) for channel in channels]
        entries.append(
            _write_slice(scan, output, images, axial_slice(tumour, int(index)), int(index))
        )
    return entries


def load_segmentation(path: Path) -> npt.NDArray[np.bool_]:
    """Tumour voxels (any label above 0), (X, Y, Z); a scan without tumour is all False.

    Raises:
        InputError: as `load_voxels`, or voxels that are no labels.
    """
    labels = load_voxels(path, allow_black=True)
    require(
        bool((labels >= 0).all() and (labels == np.floor(labels)).all()),
        f"{path.name}: a segmentation must hold whole numbers from 0, got others. Give the labels "
        "themselves, not probabilities.",
    )
    return np.asarray(labels > 0)


def _aligned(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Voxels of one modality, on the grid of the segmentation."""
    voxels = load_voxels(path)
    require(
        voxels.shape == shape,
        f"{path.name}: volume and segmentation must share a shape, got {voxels.shape} and "
        f"{shape}. Resample one to the other.",
    )
    return voxels


def _write_slice(
    scan: Scan,
    output: Output,
    channels: list[npt.NDArray[Any]],
    tumour: npt.NDArray[np.bool_],
    index: int,
) -> Entry:
    stem = f"{scan.patient}/{scan.index}-{index:03d}"
    images = [
        output.write(f"images/{stem}-{modality}.png", encode_png(channel))
        for modality, channel in zip(scan.modalities, channels)
    ]
    entry: Entry = {
        "image": images if len(images) > 1 else images[0],
        "label": int(tumour.any()),
        "patient": scan.patient,
    }
    if entry["label"]:
        mask = tumour.astype(np.uint8) * np.uint8(255)
        entry["mask"] = output.write(f"masks/{stem}.png", encode_png(mask))
    return entry


def _items(scans: dict[str, dict[str, Path]], modalities: tuple[str, ...], bits: int) -> list[Item]:
    """One item per scan, patients in the order of their pseudonyms."""
    of_patient: dict[str, list[str]] = defaultdict(list)
    for name in scans:
        timepoint = TIMEPOINT.fullmatch(name)
        of_patient[timepoint[1] if timepoint else name].append(name)
    items = []
    for number, patient in enumerate(seeded_order(of_patient, seed=0), start=1):
        for index, name in enumerate(of_patient[patient]):
            scan = Scan(scans[name], modalities, f"p{number:04d}", index, bits)
            paths = tuple(scans[name][kind] for kind in sorted(scans[name]))
            origin = Origin(name, paths, "", patient)
            items.append(Item(f"{scan.patient}_{index}", scan, (origin,)))
    return items
