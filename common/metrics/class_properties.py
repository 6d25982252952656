"""What the images of a class look like, in numbers: dimension, texture, frequencies, covariance.

"No Free Lunch in Self Supervised Representation Learning", section 3.1 and Table 1, names four
properties and prints no formula. Ours:

- intrinsic dimension: maximum likelihood by the distances to the 20 nearest images of the class
  (Levina and Bickel, NIPS 2004, https://papers.nips.cc/paper/2577), averaged as MacKay and
  Ghahramani say (http://www.inference.org.uk/mackay/dimension/): inverses, not estimates;
- texture: contrast, homogeneity, energy and correlation of grey-level co-occurrence matrices (32
  levels, neighbours in four directions; scikit-image), averaged over images;
- Fourier: the share of power above half the highest frequency, and the slope of log power over log
  frequency, of the power averaged over images and directions;
- covariance: the share of variance of the first principal component, and the effective rank.

Differs from the paper: dimension and covariance are those of pixels, not of features of a network
trained on ImageNet with labels, unless such features are given as `rows`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from common.checks import InputError, require
from common.metrics.effective_rank import effective_rank

__all__ = ["PROPERTIES", "class_properties", "intrinsic_dimension"]

PROPERTIES = {
    "intrinsic dimension": ("dimension",),
    "texture": ("contrast", "homogeneity", "energy", "correlation"),
    "Fourier": ("power in high frequencies", "slope of the spectrum"),
    "covariance": ("variance of the first component", "effective rank"),
}
NEIGHBOURS = 20
LEVELS = 32
_DIRECTIONS = tuple(np.pi * np.arange(4) / 4)

Floats = NDArray[np.floating[Any]]


def class_properties(images: Floats, rows: Floats | None = None) -> dict[str, Floats]:
    """Describe the images of one class.

    Args:
        images: ``(N, C, H, W)`` in [0, 1], N > `NEIGHBOURS`, at least 8 pixels a side; grey values
            are the mean over channels.
        rows: ``(N, F)`` features of them for dimension and covariance; pixels unless given.

    Returns:
        By the names of `PROPERTIES`, the numbers listed there.

    Raises:
        InputError: too few or too small images, or scikit-image is not installed.
    """
    images = np.asarray(images, dtype=float)
    require(
        images.ndim == 4 and len(images) > NEIGHBOURS and min(images.shape[2:]) >= 8,
        f"class_properties: images must be (N > {NEIGHBOURS}, C, H, W) of at least 8 pixels a "
        f"side, got {images.shape}. Leave out the properties, or give more images of each class.",
    )
    rows = images.reshape(len(images), -1) if rows is None else np.asarray(rows, dtype=float)
    grey = images.mean(axis=1)
    first = PCA(1, svd_solver="randomized", random_state=0).fit(rows).explained_variance_ratio_[0]
    return {
        "intrinsic dimension": np.array([intrinsic_dimension(rows)]),
        "texture": _texture(grey),
        "Fourier": _fourier(grey),
        "covariance": np.array([first, effective_rank(rows)]),
    }


def intrinsic_dimension(rows: Floats, neighbours: int = NEIGHBOURS) -> float:
    """Estimate of how many numbers the rows depend on; see the module.

    Args:
        rows: ``(N, F)``, N > `neighbours`; a row that is there twice counts once.
        neighbours: how many of each row are looked at, at least 2.

    Returns:
        The estimate; NaN where fewer than `neighbours` + 1 rows differ.
    """
    different = np.unique(np.asarray(rows, dtype=float), axis=0)
    if len(different) <= neighbours:
        return float("nan")
    near = NearestNeighbors(n_neighbors=neighbours + 1, algorithm="brute").fit(different)
    distance = near.kneighbors(different)[0][:, 1:]
    return float(1 / np.log(distance[:, -1:] / distance[:, :-1]).mean())


def _texture(grey: Floats) -> Floats:
    try:
        from skimage import feature
    except ImportError:
        raise InputError(
            "class_properties: texture needs the package scikit-image, got none. pip install "
            '"monai-contrastive-bundles[analysis]", or pip install -e ".[analysis]" in a checkout.'
        ) from None
    texture: Any = feature
    levels = np.minimum((grey * LEVELS).astype(np.uint8), LEVELS - 1)
    found = []
    for image in levels:
        pairs = texture.graycomatrix(image, [1], _DIRECTIONS, LEVELS, symmetric=True, normed=True)
        found.append([texture.graycoprops(pairs, name).mean() for name in PROPERTIES["texture"]])
    return np.asarray(np.mean(found, axis=0))


def _fourier(grey: Floats) -> Floats:
    frequency, power = mean_power(grey)
    high = power[frequency > frequency[-1] / 2].sum() / max(power.sum(), 1e-300)
    slope = np.polyfit(np.log(frequency), np.log(np.maximum(power, 1e-300)), 1)[0]
    return np.array([high, slope])


def mean_power(grey: Floats) -> tuple[Floats, Floats]:
    """Return whole frequencies from 1 up to Nyquist's, and the mean power at each.

    Args:
        grey: ``(N, H, W)``; frequencies are periods along the shorter side, rounded.
    """
    sides = grey.shape[1:]
    grey = grey - grey.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(grey)) ** 2).mean(axis=0)
    across = [min(sides) * np.fft.fftfreq(side) for side in sides]
    radius = np.rint(np.hypot(*np.meshgrid(*across, indexing="ij"))).astype(int)
    wanted = np.arange(1, min(sides) // 2 + 1)
    total = np.bincount(radius.ravel(), power.ravel())
    count = np.bincount(radius.ravel())
    return wanted.astype(float), total[wanted] / count[wanted]
