"""What the report draws of clusters: a map of the images, and those nearest to each centre."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from common.deploy.embedding import Embedded
from common.evaluation.cases import pictures_of
from common.evaluation.run_evaluation import Batches
from common.metrics.clustering_scores import Clustering

__all__ = ["cluster_pictures", "nearest"]

_POINTS = 1_000  # images on the map, at most
_NEAREST = 8  # pictures of a cluster
_PERPLEXITY = 30.0  # of t-SNE: about so many neighbours count


def cluster_pictures(
    images: Embedded, found: Sequence[Clustering], batches: Batches, seed: int = 0
) -> dict[str, NDArray[Any]]:
    """Return a map of the images by t-SNE, and pictures of the clusters.

    Args:
        images: N of them, as the encoder sees them.
        found: their clusters, for each K.
        batches: the N images, in the same order.
        seed: of the draw of the images on the map, and of t-SNE.

    Returns:
        "point" ``(m, 2)``, "point_label" ``(m,)`` (-1 = not known) and, for each K, "point_of_K"
        ``(m,)``: the cluster. "size_of_K" ``(K,)``: images of each cluster; "near_of_K" ``(K, n)``:
        numbers among "picture" of those nearest to its centre, -1 for none. "picture" ``(p, H,
        W)`` or ``(p, H, W, 3)`` uint8 with "picture_label" ``(p,)``.
    """
    rows = np.random.default_rng(seed).permutation(len(images.h))[:_POINTS]
    arrays: dict[str, NDArray[Any]] = {
        "point": _map(images.h[rows], seed),
        "point_label": images.label[rows],
    }
    near = [nearest(images.h, each) for each in found]
    shown = np.unique(np.concatenate([each[each >= 0] for each in near]))
    for each, numbers in zip(found, near):
        count = len(each.centre)
        arrays[f"point_of_{count}"] = each.cluster[rows]
        arrays[f"size_of_{count}"] = np.bincount(each.cluster, minlength=count)
        place = np.searchsorted(shown, numbers)
        arrays[f"near_of_{count}"] = np.where(numbers >= 0, place, -1)
    pictures = pictures_of(batches, shown.tolist())
    return arrays | {"picture": pictures, "picture_label": images.label[shown]}


def nearest(
    features: NDArray[np.floating[Any]], clustering: Clustering, count: int = _NEAREST
) -> NDArray[np.int64]:
    """Return the rows of each cluster that lie nearest to its centre.

    Args:
        features: ``(N, F)``.
        clustering: of them.
        count: rows of a cluster.

    Returns:
        ``(K, count)``, the nearest first; -1 where the cluster has no more.
    """
    rows = np.full((len(clustering.centre), count), -1, dtype=np.int64)
    for number, centre in enumerate(clustering.centre):
        members = np.flatnonzero(clustering.cluster == number)
        distance = np.linalg.norm(features[members] - centre, axis=1)
        own = members[np.argsort(distance, kind="stable")[:count]]
        rows[number, : len(own)] = own
    return rows


def _map(features: NDArray[np.floating[Any]], seed: int) -> NDArray[np.float32]:
    """Places by t-SNE, from the two principal components; all 0 where all rows are one."""
    rows = features.astype(np.float64)
    if len(rows) < 4 or rows.shape[1] < 2 or not np.ptp(rows, axis=0).any():
        return np.zeros((len(rows), 2), np.float32)
    perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
    made = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(rows)
    return np.asarray(made, np.float32)
