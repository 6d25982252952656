"""Whole brains that age: ``python -m data_prep phantom --kind brain --dims 3 --task age``.

With age the ventricles and the sulci widen and the cortex thins, each with noise of its own; heads
differ in size and pose, so that no voxel means the same thing in two brains. Half of the subjects
are cases: their deep nuclei are smaller. Each site has its own contrast, gain and noise, and ages
of its own, as real sites do. Four sites are in the training, the validation and the internal test
set; three more, which nobody has trained on, make the external one. Ours; no paper describes it.

Counts to expect (ours): 96 training, 16 validation, 24 internal and 24 external test volumes of
32 × 32 × 32 voxels, float16 in [0, 1], in stacks.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from common.checks import require
from data_prep.machinery import Entry, Item, Output, Plan, split_as_told
from data_prep.phantom.brain import Brain, frame_points

__all__ = ["AgeingSubject", "plan"]

Array = npt.NDArray[np.float32]

# exponent of the intensities, gain, noise; the last three are the unseen sites
SITES = (
    (0.85, 1.0, 0.015),
    (1.0, 0.9, 0.022),
    (1.2, 1.05, 0.03),
    (0.95, 0.8, 0.02),
    (1.1, 0.95, 0.018),
    (0.8, 0.9, 0.028),
    (1.3, 1.0, 0.02),
)
SEEN = 4
FIRST_AGE, AGE_SPAN, AGE_STEP = 20.0, 44.0, 5.3  # years: site k starts 5.3 k years later
GROUPS = {"training": 12, "validation": 2, "internal": 3, "external": 3}  # of every 20 subjects
STACK = 48  # subjects of one file


@dataclass(frozen=True)
class AgeingSubject:
    """One subject to draw.

    Args:
        index: from 0, of the whole phantom.
        age: years.
        site: index into `SITES`.
        case: whether the nuclei are small.
        size: voxels of a side.
        seed: of the whole phantom.
    """

    index: int
    age: float
    site: int
    case: bool
    size: int
    seed: int

    def draw(self) -> Array:
        """The volume, (size, size, size) in [0, 1], in (x, y, z) order."""
        rng = np.random.default_rng([self.seed, self.index, 3])
        brain = Brain(rng, self.age, 0)
        years = (self.age - FIRST_AGE) / 60
        brain.ventricle = 0.04 + 0.12 * years + rng.normal(0, 0.008)
        brain.cortex = 0.15 - 0.09 * years + rng.normal(0, 0.008)
        brain.sulcus = 0.15 + 0.25 * years + rng.normal(0, 0.02)
        brain.nuclei = (0.5 if self.case else 1.0) + rng.normal(0, 0.08)
        brain.darkness = 0.35
        brain.scanner = SITES[self.site]
        turn = Rotation.from_rotvec(rng.normal(0, 0.08, 3)).as_matrix().astype(np.float32)
        points = frame_points(self.size, 3, 0, 1) @ turn - rng.normal(0, 0.035, 3)
        return brain(points.astype(np.float32), 2 / self.size)[0]


def plan(options: argparse.Namespace) -> Plan:
    """Lay out the stacks.

    Raises:
        InputError: another kind than brain, not 3D, or too few subjects or voxels.
    """
    require(
        options.kind == "brain" and options.dims == 3,
        "phantom: --task age must have --kind brain --dims 3, got "
        f"--kind {options.kind} --dims {options.dims}.",
    )
    count = 160 if options.patients is None else options.patients
    size = 32 if options.size is None else options.size
    require(count >= 20, f"phantom: --patients must be >= 20 for --task age, got {count}.")
    require(size >= 16, f"phantom: --size must be >= 16, got {size}.")
    items = []
    for group, members in _subjects(count, size, options.seed).items():
        for number, start in enumerate(range(0, len(members), STACK)):
            key = f"{group}_{number:03d}"
            items.append(Item(key, (group, key, tuple(members[start : start + STACK]))))
    return Plan(
        source="synthetic ageing brains (data_prep phantom --task age)",
        licence="CC0-1.0: synthetic, no patient",
        arguments={"patients": count, "seed": options.seed, "size": size, "task": "age"},
        items=items,
        convert=convert,
        split=split_as_told,
        extra={
            "classes": {
                "label": ["control", "case"],
                "site": [f"site {number + 1}" for number in range(len(SITES))],
            },
            "orientation": "RAS",
        },
    )


def convert(payload: tuple[str, str, tuple[AgeingSubject, ...]], output: Output) -> list[Entry]:
    """Draw one stack, a subject at a time."""
    group, key, subjects = payload
    path, size = f"images/{key}.npy", subjects[0].size

    def rows() -> Iterator[npt.NDArray[Any]]:
        for subject in subjects:
            yield subject.draw()

    output.write_stack(path, rows(), (size, size, size), "float16")
    split = group if group in ("internal", "external") else "train"
    return [
        {
            "image": path,
            "index": index,
            "patient": f"p{subject.index + 1:04d}",
            "part": "test" if split != "train" else group,
            "split": split,
            "age": subject.age,
            "site": subject.site,
            "label": int(subject.case),
        }
        for index, subject in enumerate(subjects)
    ]


def _subjects(count: int, size: int, seed: int) -> dict[str, list[AgeingSubject]]:
    """Subjects by group; in each, every site has as many cases as controls, as far as it goes."""
    slots = [group for group, share in GROUPS.items() for _ in range(share)]
    groups: dict[str, list[AgeingSubject]] = {group: [] for group in GROUPS}
    for index in range(count):
        group = slots[index % len(slots)]
        first, sites = (SEEN, len(SITES) - SEEN) if group == "external" else (0, SEEN)
        turn, place = divmod(len(groups[group]), 2 * sites)
        rng = np.random.default_rng([seed, list(GROUPS).index(group), turn, 4])
        case, site = divmod(int(rng.permutation(2 * sites)[place]), sites)
        years = np.random.default_rng([seed, index, 5]).uniform(0, AGE_SPAN)
        age = round(FIRST_AGE + AGE_STEP * site + years, 1)
        groups[group].append(AgeingSubject(index, age, first + site, bool(case), size, seed))
    return groups
