"""How well k-means finds the classes: adjusted mutual information and silhouette.

As "No Free Lunch in Self Supervised Representation Learning", section 3 and appendix B.3, has
them: k-means on the representations; the agreement of its clusters U with the classes V, freed of
chance, and how much nearer a row lies to its own cluster than to the next::

    AMI = (I(U, V) - E I) / (max(H(U), H(V)) - E I)          silhouette = mean (b - a) / max(a, b)

Vinh et al. 2010 and scikit-learn's default divide by the mean of both entropies instead, which
gives other numbers; both are returned.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score

from common.checks import require

__all__ = ["Clustering", "agreement", "clustering_scores", "fit_clusters", "silhouette"]

_STARTS = 10
SAMPLE = 5_000  # rows that a silhouette is computed on, at most: its cost grows with their square


class Clustering(NamedTuple):
    """What k-means found.

    Attributes:
        cluster: ``(N,)``, the cluster of each row, from 0.
        centre: ``(K, F)``.
    """

    cluster: NDArray[np.int64]
    centre: NDArray[np.floating[Any]]


def clustering_scores(
    features: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    clusters: int | None = None,
    seed: int = 0,
    starts: int = _STARTS,
) -> dict[str, float]:
    """Cluster the rows by k-means and compare the clusters with the classes.

    Args:
        features: ``(N, F)`` representations, finite, as they are: nothing is scaled here.
        label: ``(N,)`` classes; rows with -1 (not known) are left out.
        clusters: K, from 2 to N - 1; None is the number of classes.
        seed: of the starts.
        starts: of k-means, the best of which is taken.

    Returns:
        ``ami``, by the larger entropy, and ``ami_arithmetic``, by the mean: 1 where clusters and
        classes agree, about 0 by chance. ``silhouette`` of the clusters, in [-1, 1]; it asks for no
        label, so a representation that forgot the classes can still have a large one.

    Raises:
        InputError: shapes that do not fit, values that are not finite, a K out of range, or fewer
            different rows than K.
    """
    features, label = np.asarray(features), np.asarray(label)
    require(
        features.ndim == 2 and label.shape == (len(features),),
        "clustering_scores: label must have one value for each row of features (N, F), got shapes "
        f"{label.shape} and {features.shape}.",
    )
    require(bool(np.isfinite(features).all()), "clustering_scores: features must be finite.")
    features, label = features[label >= 0], label[label >= 0]
    chosen = len(np.unique(label)) if clusters is None else clusters
    different = len(np.unique(features, axis=0))
    require(
        2 <= chosen < len(features) and chosen <= different,
        "clustering_scores: clusters (by default the number of classes) must be at least 2, below "
        f"the number of rows and at most that of different rows, got {chosen} for {len(features)} "
        f"labelled rows, {different} of them different.",
    )
    cluster = fit_clusters(features, chosen, seed, starts).cluster
    return agreement(label, cluster) | {"silhouette": silhouette(features, cluster)}


def fit_clusters(
    features: NDArray[np.floating[Any]], clusters: int, seed: int = 0, starts: int = _STARTS
) -> Clustering:
    """Cluster the rows by k-means.

    Args:
        features: ``(N, F)``, finite, as they are.
        clusters: K. Of a collapsed representation, with fewer different rows, some stay empty.
        seed: of the starts.
        starts: of k-means, the best of which is taken.

    Raises:
        InputError: values that are not finite, or a K outside 2 to N.
    """
    require(bool(np.isfinite(features).all()), "fit_clusters: features must be finite.")
    require(
        2 <= clusters <= len(features),
        f"fit_clusters: clusters must be from 2 to the number of rows, {len(features)}, got "
        f"{clusters}.",
    )
    require(starts >= 1, f"fit_clusters: starts must be at least 1, got {starts}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters
        found = KMeans(clusters, n_init=starts, random_state=seed).fit(features)
    return Clustering(found.labels_.astype(np.int64), found.cluster_centers_)


def agreement(
    label: NDArray[np.integer[Any]], cluster: NDArray[np.integer[Any]]
) -> dict[str, float]:
    """Compare clusters with classes.

    Args:
        label: ``(N,)`` classes; rows with -1 (not known) are left out.
        cluster: ``(N,)``.

    Returns:
        ``ami`` and ``ami_arithmetic``, see `clustering_scores`.
    """
    known = label >= 0
    return {
        name: float(adjusted_mutual_info_score(label[known], cluster[known], average_method=mean))
        for name, mean in (("ami", "max"), ("ami_arithmetic", "arithmetic"))
    }


def silhouette(
    features: NDArray[np.floating[Any]],
    cluster: NDArray[np.integer[Any]],
    most: int = SAMPLE,
    seed: int = 0,
) -> float:
    """Compute the mean silhouette, in [-1, 1]; 0 where all rows are of one cluster.

    Args:
        features: ``(N, F)``.
        cluster: ``(N,)``.
        most: rows, drawn by chance where there are more.
        seed: of that draw.
    """
    rows = np.random.default_rng(seed).permutation(len(features))[:most]
    rows.sort()
    if not 2 <= len(np.unique(cluster[rows])) < len(rows):
        return 0.0
    return float(silhouette_score(features[rows], cluster[rows]))
