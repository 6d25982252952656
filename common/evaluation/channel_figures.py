"""Figures and pictures of a channel that chooses crops, from its table of the test images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from common.evaluation.channel_table import ChannelTable, Key
from common.metrics.gaussian_potential import gaussian_potential
from common.networks import ChannelEncoder
from common.transforms import CropGrid

__all__ = ["channel_figures", "channel_pictures"]

_PICTURES, _PAIRS, _POINTS = 12, 1000, 1000
_SHOWN: Key = ("projection", "mean")

Integers = NDArray[np.int64]


def channel_figures(encoder: ChannelEncoder, test: ChannelTable) -> dict[str, Any]:
    """Return what the block "channel" of ``evaluation.json`` says of the channel itself.

    Args:
        encoder: that made the table.
        test: the images that were scored.

    Returns:
        The mean pairwise Gaussian potential of the projection averaged over P; mean and standard
        deviation over images of the share of P on crops that touch something and of the entropy of
        P in nats; the grid of crops.
    """
    log_p = np.log(np.maximum(test.probability, np.finfo(np.float32).tiny))
    grid = encoder.grid
    return {
        "gaussian_potential": gaussian_potential(test.z[_SHOWN]),
        "touching": _moments(test.touching),
        "entropy": _moments(-(test.probability * log_p).sum(axis=1)),
        "grid": {
            "image_size": grid.image_size,
            "crop_size": grid.crop_size,
            "stride": grid.stride,
            "crops": len(grid),
        },
        "top": encoder.top,
    }


def channel_pictures(
    grid: CropGrid, test: ChannelTable, seed: int = 0
) -> tuple[dict[str, NDArray[Any]], list[float]]:
    """Return what the report draws: the paper's Figs. 3, 6 and 8.

    Args:
        grid: of the crops.
        test: the images that were scored.
        seed: of the random pairs.

    Returns:
        "image" ``(n, H, W)`` uint8, "image_label" ``(n,)`` and "probability" ``(n, side, side)`` of
        12 images, the first of each class and then the next; "similarity" ``(1000,)``, the sorted
        absolute dot products of random pairs of images; "point" ``(m, 2)`` and "point_label"
        ``(m,)``, the first 1 000 projections on their two principal components. And the shares of
        variance that those two hold.
    """
    shown = _first_of_each(test.label)
    side = grid.image_size
    image = test.pixels[shown].toarray().reshape(len(shown), -1, side, side).mean(axis=1)
    z = test.z[_SHOWN].astype(np.float64)
    first, step = np.random.default_rng(seed).integers([0, 1], len(z), (_PAIRS, 2)).T
    similarity = np.abs((z[first] * z[(first + step) % len(z)]).sum(axis=1))
    analysis = PCA(2, svd_solver="full").fit(z[:_POINTS])
    pictures = {
        "image": np.rint(image * 255).astype(np.uint8),
        "image_label": test.label[shown],
        "probability": test.probability[shown].reshape(-1, grid.side, grid.side),
        "similarity": np.sort(similarity).astype(np.float32),
        "point": analysis.transform(z[:_POINTS]).astype(np.float32),
        "point_label": test.label[:_POINTS],
    }
    return pictures, [float(share) for share in np.nan_to_num(analysis.explained_variance_ratio_)]


def _first_of_each(label: Integers) -> Integers:
    """Numbers of 12 images: the first of each class, by class, then the first of the others."""
    first = np.unique(label, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(label)), first)
    return np.concatenate([first, others])[:_PICTURES]


def _moments(values: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Mean and standard deviation over images."""
    return {"mean": float(values.mean()), "std": float(values.std())}
