"""Real anatomy with inserted pathology: slices of the IXI brains, half of them with a small lesion.

The question the seven strategies of the learned-transformations paper are compared on::

    python benchmarks/inserted_lesions.py --source ixi_t1_hh --target DIR [--tumours]

`source` holds ``ixi_hh_t1_3mm_uint8.npz``: ``t1 (185, 56, 68, 56)`` uint8, skull-stripped, 3 mm,
axes right, anterior, superior, and ``id (185,)``. From each brain come the same axial slices, 6 mm
apart; a seeded half of them gets one lesion of `data_prep.phantom.lesion.insert_lesion` well inside
the brain, and the next brain of the same part gets them in its other half. So both classes hold
every brain and every slice position alike, and the lesion is the only cue: all slices are stored
with the 8 bits of the source, and the mask of an untouched one is empty. With `--tumours` the
lesions are large and bright and the slices have the contrast of FLAIR (`tumours.py`).

Patients: 60 % training, 10 % validation, 30 % test in three folds.

Expect (ours, seed 0): 2,220 slices of 64 x 64 of 185 patients; 1,332 training, 228 validation,
660 test; half of each with a lesion.
"""

import argparse
import hashlib
import importlib.metadata
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from tumours import Tumour

import common
from common.checks import InputError, require
from common.data import seeded_order, write_manifest
from data_prep.phantom.lesion import insert_lesion

VOLUMES = "ixi_hh_t1_3mm_uint8.npz"
LICENCE = (
    "IXI (brain-development.org), CC BY-SA 3.0, processed by NiChart_Project under the CBICA "
    "agreement v1.1; derived images keep CC BY-SA 3.0."
)
Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Lesion(NamedTuple):
    """How hard the question is.

    `radius` in pixels, `contrast` as the standard deviation of the pattern in intensity units, and
    `margin`, the least distance of the lesion to the edge of the brain in pixels.
    """

    radius: float = 3.5
    contrast: float = 0.12
    margin: int = 3

    positions = range(18, 42, 2)  # 12 slices from the temporal lobes up, each < 80 % black

    def drawn(self, picture: Picture, sick: bool, rng: np.random.Generator) -> tuple[Picture, Mask]:
        """Return a slice, with a lesion where it is sick, and the mask of the lesion."""
        if not sick:
            return picture, np.zeros(picture.shape, bool)
        brain = ndimage.binary_fill_holes(picture > 0)
        region = ndimage.binary_erosion(brain, iterations=self.margin)
        image = picture.astype(np.float32) / np.float32(255)
        image, mask = insert_lesion(image, region, rng, self.radius, self.contrast)
        return np.rint(image * 255).astype(np.uint8), mask


def square(volume: Picture, size: int) -> Picture:
    """Cut or pad `volume` to (size, size, Z) in plane, the brain's bounding box in the middle.

    Args:
        volume: (X, Y, Z), background 0.
        size: side in pixels; rows of the brain beyond it are cut (the longest IXI brain has 65).
    """
    result = volume
    for axis in (0, 1):
        inside = np.flatnonzero((volume > 0).any(axis=tuple({0, 1, 2} - {axis})))
        start = (int(inside[0]) + int(inside[-1]) + 1 - size) // 2
        pad = [(0, 0)] * 3
        pad[axis] = (size, size)
        rows = range(start + size, start + 2 * size)
        result = np.pad(result, pad).take(rows, axis=axis)
    return np.asarray(result)


def lesioned_slices(group: str, rank: int, seed: int, slices: int) -> set[int]:
    """Which of so many slices of a brain get a lesion: a random half.

    Args:
        group: name of the part and fold of the patient.
        rank: number of the patient in its group; an even one and the next get opposite halves.
        seed: of the draw.
        slices: of one brain.
    """
    rng = np.random.default_rng([seed, rank // 2, *group.encode()])
    order = rng.permutation(slices).tolist()
    return set(order[rank % 2 :: 2])


def brain_slices(
    volume: Picture, size: int, chosen: set[int], rng: np.random.Generator, lesion: Lesion | Tumour
) -> list[tuple[int, Picture, Mask]]:
    """Return position, picture and lesion mask of every slice of one brain, anterior side up."""
    volume = square(volume[:, :, lesion.positions], size)
    pictures = [np.rot90(volume[:, :, index]) for index in range(volume.shape[2])]
    return [
        (position, *lesion.drawn(picture, index in chosen, rng))
        for index, (position, picture) in enumerate(zip(lesion.positions, pictures))
    ]


def split_patients(patients: list[str], seed: int) -> dict[str, tuple[str, int | None]]:
    """Part and test fold of each patient: 60 % training, 10 % validation, the rest test."""
    order = seeded_order(patients, seed)
    training, validation = round(0.6 * len(order)), round(0.7 * len(order))
    return {
        patient: ("training", None)
        if index < training
        else ("validation", None)
        if index < validation
        else ("test", (index - validation) % 3)
        for index, patient in enumerate(order)
    }


def read_volumes(source: Path) -> dict[str, Picture]:
    """Volumes by patient, the IXI number before the first dash of the scan's name."""
    path = source / VOLUMES
    require(path.is_file(), f"{path}: must exist, got no such file. Give the IXI folder.")
    with np.load(path) as archive:
        return {
            str(name).split("-")[0]: volume for name, volume in zip(archive["id"], archive["t1"])
        }


def write_slices(source: Path, target: Path, size: int, seed: int, lesion: Lesion | Tumour) -> Path:
    """Write all pictures, masks and ``manifest.json`` to `target` and return the manifest's path.

    Raises:
        InputError: no volumes in `source`, or `target` holds something already.
    """
    volumes = read_volumes(source)
    for folder in ("images", "masks"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    require(
        not any((target / "images").iterdir()),
        f"{target}: target must be empty, got images. Delete them or choose another folder.",
    )
    parts: dict[str, list[dict[str, Any]]] = {"training": [], "validation": [], "test": []}
    sha256 = {}
    ranks: Counter[str] = Counter()
    split = split_patients(list(volumes), seed)
    for patient, volume in sorted(volumes.items()):
        part, fold = split[patient]
        group = f"{part} {fold}"
        chosen = lesioned_slices(group, ranks[group], seed, len(lesion.positions))
        ranks[group] += 1
        rng = np.random.default_rng([seed, *patient.encode()])
        for position, picture, mask in brain_slices(volume, size, chosen, rng, lesion):
            entry: dict[str, Any] = {"patient": patient, "position": position}
            entry["label"] = int(mask.any())
            entry |= {} if fold is None else {"fold": fold}
            for key, pixels in (("image", picture), ("mask", mask.astype(np.uint8) * 255)):
                entry[key] = f"{key}s/{patient}_{position}.png"
                Image.fromarray(pixels).save(target / entry[key])
                sha256[entry[key]] = hashlib.sha256((target / entry[key]).read_bytes()).hexdigest()
            parts[part].append(entry)
    return write_manifest(target, {**parts, **_about(parts, sha256, size, seed, lesion)})


def _about(
    parts: dict[str, list[dict[str, Any]]],
    sha256: dict[str, str],
    size: int,
    seed: int,
    lesion: Lesion | Tumour,
) -> dict[str, Any]:
    """Everything of the manifest but the entries."""
    counts = {
        part: {
            "patients": len({entry["patient"] for entry in entries}),
            "images": len(entries),
            "with_lesion": sum(entry["label"] for entry in entries),
        }
        for part, entries in parts.items()
    }
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "pillow")}
    return {
        "source": "IXI, Hammersmith Hospital, T1-weighted, 3 mm, with inserted lesions",
        "licence": LICENCE,
        "arguments": {"size": size, "seed": seed, **lesion._asdict()},
        "versions": {"monai-contrastive-bundles": common.__version__, **versions},
        "counts": counts,
        "sha256": sha256,
        "skipped": [],
    }


def main() -> None:
    """Read the command line and print where the manifest lies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help=f"folder with {VOLUMES}")
    parser.add_argument("--target", type=Path, required=True, help="empty folder to write to")
    parser.add_argument("--size", type=int, default=64, help="side of a picture in pixels")
    parser.add_argument("--seed", type=int, default=0, help="split, slices and lesions")
    for name, default in Lesion()._asdict().items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help="of the lesion")
    parser.add_argument("--tumours", action="store_true", help="large bright ones instead")
    args = parser.parse_args()
    lesion = Tumour() if args.tumours else Lesion(args.radius, args.contrast, args.margin)
    try:
        print(write_slices(args.source, args.target, args.size, args.seed, lesion))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
