"""How the augmented views of an image lie together, and apart from those of others.

Cheng et al. (2025), Fig. 2: the Euclidean distance of a positive pair (two views of one image) and
of a negative pair (views of two images), and how well the views of each image form a cluster.

Differs from the paper: it does not say how many images and views; negative pairs are here, as in
its section 2.1, one first and one second view, of all pairs of images.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from common.checks import require

__all__ = ["AugmentationGroups", "augmentation_groups", "group_map"]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class AugmentationGroups:
    """Distances between views, and the silhouette of images as clusters of their views.

    Attributes:
        positive: ``(N V (V - 1) / 2,)`` distances of views of one image.
        negative: ``(N (N - 1),)`` distances of the first view of one image and the second of
            another.
        silhouette: mean over all views, in [-1, 1]; greater where images stand apart.
    """

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]
    silhouette: float


def augmentation_groups(h: Floats) -> AugmentationGroups:
    """Measure the groups of views that images make.

    Args:
        h: ``(N, V, F)``, representations of V >= 2 views of N >= 2 images.

    Returns:
        Distances and silhouette; see `AugmentationGroups`.
    """
    h = _checked("augmentation_groups", h)
    n, views, features = h.shape
    first, second = np.triu_indices(views, 1)
    positive = np.linalg.norm(h[:, first] - h[:, second], axis=2).reshape(-1)
    negative = np.concatenate(
        [np.delete(np.linalg.norm(h[i, 0] - h[:, 1], axis=1), i) for i in range(n)]
    )
    group = np.repeat(np.arange(n), views)
    return AugmentationGroups(
        positive, negative, float(silhouette_score(h.reshape(-1, features), group))
    )


def group_map(h: Floats, *, perplexity: float = 30.0, seed: int = 0) -> NDArray[np.float64]:
    """Place all views on a plane by t-SNE (van der Maaten and Hinton 2008).

    Args:
        h: ``(N, V, F)``, as in `augmentation_groups`.
        perplexity: about how many neighbours a view has; lowered to a third of the views.
        seed: of the optimisation.

    Returns:
        ``(N, V, 2)`` places; only which views are near each other has a meaning.
    """
    h = _checked("group_map", h)
    n, views, features = h.shape
    rows = h.reshape(-1, features)
    few = min(perplexity, (len(rows) - 1) / 3)
    places = TSNE(perplexity=few, init="pca", random_state=seed).fit_transform(rows)
    return np.asarray(places, dtype=np.float64).reshape(n, views, 2)


def _checked(name: str, h: Floats) -> NDArray[np.float64]:
    wide: NDArray[np.float64] = np.asarray(h, dtype=np.float64)
    require(
        wide.ndim == 3 and min(wide.shape[:2]) >= 2,
        f"{name}: h must be (N >= 2, V >= 2, F), got shape {wide.shape}.",
    )
    return wide
