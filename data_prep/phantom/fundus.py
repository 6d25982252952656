"""A retina that is nobody's: disc, vessels, optic disc, macula; spots in half of the eyes.

RGB PNG, both eyes of every patient, mirror images of each other in plan; three sites with their own
colour, sharpness and noise. ``label`` is 1 where there are haemorrhages (small and dark) and
exudates (small and yellow); ``grade`` is 0, 1, 2 or 4 for none, up to three, up to eight, and more,
and ``referable`` is grade 2 or above. Both eyes of a patient have the label in four of five
patients. Ours; no paper describes it.

Counts to expect (ours): 60 patients give 120 images.
"""

import argparse
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data.fundus import MARK
from common.data.prepare import Preparation
from data_prep.machinery import Entry, Item, Output, Plan, encode_png, split_by_share
from data_prep.phantom.texture import Field, soft_step

__all__ = ["draw_eye", "plan"]

Array = npt.NDArray[np.float32]

PATIENTS, SIDE = 60, 64
EYES = ("R", "L")
SAME = 0.8  # share of the patients whose eyes have the same label
RADIUS = 0.95  # of the field of view, of half the image side
SITES = (  # colour of the retina, noise
    ((0.80, 0.38, 0.16), 0.012),
    ((0.70, 0.42, 0.24), 0.02),
    ((0.86, 0.34, 0.12), 0.028),
)
DARK_RED, YELLOW = (0.42, 0.1, 0.06), (0.98, 0.86, 0.45)


@dataclass(frozen=True)
class PhantomEyes:
    """The two eyes of one patient to draw.

    Args:
        index: from 0.
        size: pixels of a side.
        seed: of the whole phantom.
    """

    index: int
    size: int
    seed: int


def plan(options: argparse.Namespace) -> Plan:
    """Lay out the patients.

    Raises:
        InputError: too few patients or pixels, or not 2D.
    """
    count = PATIENTS if options.patients is None else options.patients
    size = SIDE if options.size is None else options.size
    require(options.dims == 2, f"phantom: --dims must be 2 for --kind fundus, got {options.dims}.")
    require(options.slices in (None, 2), f"phantom: --slices must be 2, got {options.slices}.")
    require(count >= 6, f"phantom: --patients must be >= 6, got {count}.")
    require(size >= 32, f"phantom: --size must be >= 32, got {size}.")
    patients = [PhantomEyes(index, size, options.seed) for index in range(count)]
    arguments = {key: value for key, value in asdict(patients[0]).items() if key != "index"}
    return Plan(
        source="synthetic fundus phantom (data_prep phantom)",
        licence="CC0-1.0: synthetic, no patient",
        arguments={"kind": "fundus", "patients": count, **arguments},
        items=[Item(_name(patient), patient) for patient in patients],
        convert=convert,
        split=partial(split_by_share, seed=options.seed),
        extra={
            "classes": {"label": ["no spots", "spots"]},
            **Preparation("fundus", size, 8).record(),
        },
    )


def convert(patient: PhantomEyes, output: Output) -> list[Entry]:
    """Draw both eyes of one patient and write them."""
    rng = np.random.default_rng([patient.seed, patient.index, 7])
    age, site = int(rng.integers(20, 80, endpoint=True)), int(rng.integers(3))
    ill = bool(patient.index % 2)
    odd_eye = int(rng.integers(2)) if rng.random() > SAME else None
    entries = []
    for number, eye in enumerate(EYES):
        label = int(ill != (number == odd_eye))
        spots = int(rng.integers(1, 15)) if label else 0
        grade = (0, 1, 2, 4)[int(np.searchsorted([1, 4, 9], spots, side="right"))]
        pixels = draw_eye(rng, eye, patient.size, site, age, spots)
        image = output.write(f"images/{_name(patient)}/{eye}.png", encode_png(pixels, MARK))
        entries.append(
            {
                "image": image,
                "patient": _name(patient),
                "eye": eye,
                "age": age,
                "site": site,
                "label": label,
                "grade": grade,
                "referable": int(grade >= 2),
            }
        )
    return entries


def draw_eye(
    rng: np.random.Generator, eye: str, size: int, site: int, age: float, spots: int
) -> npt.NDArray[np.uint8]:
    """Draw one eye as its camera shows it.

    Args:
        rng: draws the anatomy and the noise.
        eye: "R": the optic disc lies on the viewer's right; "L": its mirror image.
        size: pixels of a side.
        site: 0, 1 or 2.
        age: years; the lens of the old dims the blue.
        spots: haemorrhages and exudates.

    Returns:
        ``(size, size, 3)``.
    """
    line = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    y, x = np.meshgrid(line, line if eye == "R" else -line, indexing="ij")
    pixel = 2 / size
    colour, noise = SITES[site]
    points = np.stack([x, y], -1)
    radius = np.hypot(x, y).astype(np.float32)
    light = 1 - 0.35 * radius**2 + 0.05 * Field(rng, 2.5, dims=2)(points)
    dim = np.array([1, 1, 1 - 0.4 * (age - 20) / 60], np.float32)
    image = light[..., None] * np.array(colour, np.float32) * dim
    disc = np.array([rng.uniform(0.45, 0.55), rng.uniform(-0.08, 0.08)], np.float32)
    image *= 1 - 0.35 * np.exp(-(((x + 0.12) ** 2 + y**2) / 0.03))[..., None]  # the macula
    image = _over(image, _vessels(rng, x, y, disc, pixel), (0.45, 0.08, 0.05), 0.75)
    blob = np.hypot((x - disc[0]) / 0.8, y - disc[1])
    image = _over(image, soft_step(0.13 - blob, 1.5 * pixel), (0.98, 0.82, 0.5), 0.9)
    for number in range(spots):
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.75)
        place = np.hypot(x - far * np.cos(angle), y - far * np.sin(angle))
        spot = soft_step(rng.uniform(0.025, 0.05) - place, pixel)
        image = _over(image, spot, YELLOW if number % 3 == 2 else DARK_RED, 0.85)
    image *= soft_step(RADIUS - radius, pixel)[..., None]
    image += noise * rng.standard_normal(image.shape, np.float32) * (radius < RADIUS)[..., None]
    return np.asarray(np.rint(255 * image.clip(0, 1)), np.uint8)


def _over(image: Array, where: Array, colour: tuple[float, float, float], share: float) -> Array:
    """Lay a colour over the image."""
    weight = np.float32(share) * where[..., None]
    return np.asarray(image * (1 - weight) + weight * np.array(colour, np.float32))


def _vessels(rng: np.random.Generator, x: Array, y: Array, disc: Array, pixel: float) -> Array:
    """Four arcades from the optic disc: two arch around the macula, two run to the near rim."""
    covered = np.zeros_like(x)
    for up in (-1, 1):
        for height, back in ((rng.uniform(0.5, 0.6), 1.0), (rng.uniform(0.4, 0.6), -0.45)):
            along = (disc[0] - x) / back  # 0 at the disc
            wave = 0.03 * np.sin(rng.uniform(8, 12) * along + rng.uniform(0, 6))
            course = disc[1] + up * (height * np.sqrt(np.clip(along, 0, None)) + wave)
            width = 0.035 * np.clip(1 - 0.6 * along, 0.25, 1)
            covered = np.maximum(
                covered, soft_step(width - np.abs(y - course), 1.5 * pixel) * (along > 0)
            )
    return covered


def _name(patient: PhantomEyes) -> str:
    return f"p{patient.index + 1:04d}"
