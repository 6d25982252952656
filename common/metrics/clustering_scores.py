"""How well k-means finds the classes: adjusted mutual information and silhouette.

As "No Free Lunch in Self Supervised Representation Learning", section 3 and appendix B.3, has
them: k-means on the representations; the agreement of its clusters U with the classes V, freed of
chance, and how much nearer a row lies to its own cluster than to the next::

    AMI = (I(U, V) - E I) / (max(H(U), H(V)) - E I)          silhouette = mean (b - a) / max(a, b)

Vinh et al. 2010 and scikit-learn's default divide by the mean of both entropies instead, which
gives other numbers; both are returned.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score

from common.checks import require

__all__ = ["clustering_scores"]


def clustering_scores(
    features: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    clusters: int | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Cluster the rows by k-means (ten starts) and compare the clusters with the classes.

    Args:
        features: ``(N, F)`` representations, finite, as they are: nothing is scaled here.
        label: ``(N,)`` classes; rows with -1 (not known) are left out.
        clusters: K, from 2 to N - 1; None is the number of classes.
        seed: of the starts.

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
    cluster = KMeans(chosen, n_init=10, random_state=seed).fit_predict(features)
    return {
        "ami": float(adjusted_mutual_info_score(label, cluster, average_method="max")),
        "ami_arithmetic": float(adjusted_mutual_info_score(label, cluster)),
        "silhouette": float(silhouette_score(features, cluster)),
    }
