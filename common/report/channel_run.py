"""What a run with a channel that chooses crops adds: figures, and the arrays of ``channel.npz``."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report.arrays import read_arrays
from common.report.fields import CURE, Fields

__all__ = ["Channel", "ChannelPictures", "load_channel"]

PICTURES = "channel.npz"
READOUTS = ("projection", "features")
AVERAGES = ("mean", "top", "oracle")
AXES = {
    "image": 3,
    "image_label": 1,
    "probability": 3,
    "similarity": 1,
    "point": 2,
    "point_label": 1,
}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChannelPictures:
    """Images and points of a run.

    Attributes:
        image: ``(n, H, H)`` in [0, 1].
        image_label: ``(n,)``.
        probability: ``(n, side, side)``, P of the crops row by row.
        similarity: sorted, in [0, 1].
        point: ``(m, 2)``.
        point_label: ``(m,)``.
    """

    image: Floats
    image_label: NDArray[np.int64]
    probability: Floats
    similarity: Floats
    point: Floats
    point_label: NDArray[np.int64]


@dataclass(frozen=True)
class Channel:
    """A run whose encoder sees crops.

    Attributes:
        accuracy: in percent, by (readout, average), the penalty of the regression chosen.
        accuracy_at_1: the same at C = 1.
        potential: mean pairwise Gaussian potential of the projections.
        touching: mean and standard deviation over images of P on crops that touch something.
        entropy: mean and standard deviation over images of the entropy of P in nats.
        crop_size: side of a crop in pixels.
        stride: pixels between neighbouring crops.
        crops: their number.
        top: crops of the average "top".
        pictures: None where channel.npz is absent.
    """

    accuracy: dict[tuple[str, str], float]
    accuracy_at_1: dict[tuple[str, str], float]
    potential: float
    touching: tuple[float, float]
    entropy: tuple[float, float]
    crop_size: int
    stride: int
    crops: int
    top: int
    pictures: ChannelPictures | None

    @property
    def uniform(self) -> bool:
        """Whether every crop is as likely as any other."""
        return self.entropy[0] > math.log(self.crops) - 1e-4


def load_channel(fields: Fields, folder: Path) -> Channel:
    """Read the block "channel" of evaluation.json, and channel.npz where it is there.

    Raises:
        InputError: a value breaks its rule.
    """
    grid = fields.inside("grid")
    rows = {
        (row.text("readout"), row.text("average")): row for row in fields.items("representations")
    }
    path = folder / PICTURES
    return Channel(
        accuracy={key: 100 * row.number("accuracy", 0, 1) for key, row in rows.items()},
        accuracy_at_1={key: 100 * row.number("accuracy_at_1", 0, 1) for key, row in rows.items()},
        potential=fields.number("gaussian_potential", 0, 1 + 1e-6),
        touching=_moments(fields.inside("touching"), 1 + 1e-4),
        entropy=_moments(fields.inside("entropy"), math.inf),
        crop_size=grid.integer("crop_size"),
        stride=grid.integer("stride"),
        crops=grid.integer("crops"),
        top=fields.integer("top"),
        pictures=_pictures(path, grid.integer("crops")) if path.exists() else None,
    )


def _moments(fields: Fields, highest: float) -> tuple[float, float]:
    return fields.number("mean", 0, highest), fields.number("std", 0)


def _pictures(path: Path, crops: int) -> ChannelPictures:
    arrays = read_arrays(path)
    for name, axes in AXES.items():
        require(
            name in arrays and arrays[name].ndim == axes,
            f"{path}: must hold an array {name!r} of {axes} axes, got {_shapes(arrays)}. {CURE}",
        )
    counts = {name: len(arrays[name]) for name in AXES}
    require(
        counts["image"] == counts["image_label"] == counts["probability"]
        and counts["point"] == counts["point_label"]
        and int(np.prod(arrays["probability"].shape[1:])) == crops,
        f"{path}: must hold a label and {crops} crops for each image, and a label for each point, "
        f"got {_shapes(arrays)}. {CURE}",
    )
    return ChannelPictures(
        image=arrays["image"].astype(np.float64) / 255,
        image_label=arrays["image_label"].astype(np.int64),
        probability=arrays["probability"].astype(np.float64),
        similarity=arrays["similarity"].astype(np.float64),
        point=arrays["point"].astype(np.float64),
        point_label=arrays["point_label"].astype(np.int64),
    )


def _shapes(arrays: dict[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in sorted(arrays.items()))
