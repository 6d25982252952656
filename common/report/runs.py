"""A finished run as the report sees it; `common.report.load` reads it from a folder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float64]


@dataclass(frozen=True)
class Epoch:
    """AUC of one epoch: mean and standard deviation over the hold-out folds, in [0, 1]."""

    number: int
    auc: float
    spread: float


@dataclass(frozen=True)
class Interval:
    """Uncertainty of the last epoch's AUC: `level` in (0, 1), bounds in [0, 1], how it was made."""

    level: float
    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Transform:
    """What the transformations did on the evaluation images.

    Attributes:
        names: K parameters, in the order of lambda.
        mean: K means of lambda over images, in [0, 1]; NaN where never applied.
        spread: K standard deviations of lambda over images; NaN where never applied.
        edges: the bins' borders, increasing.
        counts: (K, bins) images per bin.
        lesion_kept: share of transformed images that keep the lesion, in [0, 1], or None.
        n_lesion_images: images that share was counted on.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[tuple[float, ...], ...]
    lesion_kept: float | None
    n_lesion_images: int


@dataclass(frozen=True)
class History:
    """Training terms: the epochs, and per term one value an epoch (NaN where not recorded)."""

    epochs: tuple[float, ...]
    terms: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Gallery:
    """Example images: `image`, `transformed` (n, H, W) in [0, 1], `lam` (n, K), n names."""

    names: tuple[str, ...]
    image: Images
    transformed: Images
    lam: Images
    mask: Images | None
    transformed_mask: Images | None


@dataclass(frozen=True)
class Run:
    """One trained and evaluated model; `baselines` holds their AUC by name."""

    folder: Path
    bundle: str
    strategy: str
    seed: int
    settings: dict[str, Any]
    versions: dict[str, Any]
    counts: dict[str, Any]
    epochs: tuple[Epoch, ...]
    auc: float
    interval: Interval
    baselines: dict[str, float]
    transform: Transform | None
    history: History | None
    gallery: Gallery | None


def finite_mean(values: Sequence[float]) -> float:
    """Return the mean of the finite entries, NaN when there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
