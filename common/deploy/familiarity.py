"""How like the training images an image is, as its encoder sees it: a percentile, and a warning.

The reference that goes with a model (``"familiarity"`` of ``model.json``) is a probabilistic PCA
(Tipping and Bishop 1999, https://doi.org/10.1111/1467-9868.00196) of the training embeddings after
a signed square root, which tames the long tail of pooled activations. The distance of an embedding
is its Mahalanobis distance there: along the leading directions in their standard deviations, and
across all others in one common standard deviation. The familiarity is the share of training-like
images that lie at least as far away, in per cent.

Training images themselves cannot say how far an image of their kind lies away: the encoder and the
reference were fitted to them, so theirs are too short. The distances of held-out images are used,
the validation part's, which neither has seen; where there are too few, those of training images
from references without them, which are somewhat too short still, so that it warns too often
(`held_out` is 0 then). Their logarithms are taken as normal and a new one is judged by the
prediction interval (Student's t): no single odd film sets the bar, and few images widen it.

Privacy: no embedding of an image is kept. The reference holds a mean, at most one direction for ten
training images (64 at most) with its variance, and two numbers for all distances, of at least 20
images. A direction may lean to a group of odd images; the weights of the network, which go with it,
know the training images far better. Treat both as your rules treat the images.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.decomposition import PCA

from common.checks import require
from common.deploy.recorded import not_as_written

__all__ = ["FEWEST", "WARN_BELOW", "Familiarity", "familiarity_warning"]

FEWEST = 20  # images to fit the reference on, and to measure distances of
MOST_DIRECTIONS = 64
IMAGES_A_DIRECTION = 10
FOLDS = 5
WARN_BELOW = 1.0  # per cent
LEAST = 1e-6  # share of the mean variance below which a direction is a rounding error

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Familiarity:
    """A reference of training embeddings.

    Attributes:
        mean: ``(F,)`` of the rooted embeddings.
        directions: ``(R, F)`` orthonormal.
        variance: ``(R,)`` along them.
        rest: variance along each other direction.
        level: mean of the logarithms of the distances.
        spread: their standard deviation.
        images: number of training images.
        held_out: number of images whose distances were taken; 0: training images, left out in turn.
    """

    mean: Floats
    directions: Floats
    variance: Floats
    rest: float
    level: float
    spread: float
    images: int
    held_out: int

    @classmethod
    def fit(
        cls, h: NDArray[Any], held_out: NDArray[Any] | None = None, seed: int = 0
    ) -> "Familiarity | None":
        """Fit the reference.

        Args:
            h: ``(N, F)`` embeddings of training images.
            held_out: ``(M, F)`` of images that the encoder was not trained on; none, or fewer than
                20, for training images left out in turn.
            seed: of the parts that are left out.

        Returns:
            The reference; None for fewer than 20 training images, or where all embeddings are the
            same: nothing could be said.
        """
        rooted = _root(h)
        if len(rooted) < FEWEST or rooted.shape[1] < 2 or not rooted.var(axis=0).sum() > 0:
            return None
        mean, directions, variance, rest = _principal(rooted)
        enough = held_out is not None and len(held_out) >= FEWEST
        if held_out is not None and enough:
            far = _distance(_root(held_out), mean, directions, variance, rest)
        else:
            far = _left_out(rooted, seed)
        logs = np.log(np.maximum(far, np.finfo(float).tiny))
        return cls(
            *(mean, directions, variance, rest),
            level=float(logs.mean()),
            spread=max(float(logs.std(ddof=1)), 1e-6),
            images=len(rooted),
            held_out=len(far) if enough else 0,
        )

    def distance(self, h: NDArray[Any]) -> Floats:
        """Return the distances ``(N,)`` of embeddings ``(N, F)``."""
        return _distance(_root(h), self.mean, self.directions, self.variance, self.rest)

    def percent(self, h: NDArray[Any]) -> Floats:
        """Return the familiarity ``(N,)`` of embeddings ``(N, F)``, in 0 to 100.

        Raises:
            InputError: embeddings of another width.
        """
        require(
            h.ndim == 2 and h.shape[1] == len(self.mean),
            f"familiarity: embeddings must have {len(self.mean)} features, got {h.shape}. Evaluate "
            "the model again.",
        )
        count = self.held_out or self.images
        logs = np.log(np.maximum(self.distance(h), np.finfo(float).tiny))
        away = (logs - self.level) / (self.spread * math.sqrt(1 + 1 / count))
        return np.asarray(100 * student.sf(away, count - 1))

    def record(self) -> dict[str, Any]:
        """Return it for JSON: arrays as base64 of float32 and, for `directions`, float16."""
        return {
            "features": len(self.mean),
            "mean": _packed(self.mean, "<f4"),
            "directions": _packed(self.directions, "<f2"),
            "variance": _packed(self.variance, "<f4"),
            **{name: getattr(self, name) for name in _NUMBERS},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None, where: str) -> "Familiarity | None":
        """Read what `record` wrote; None where a model has none.

        Raises:
            InputError: something else.
        """
        if not record:
            return None
        try:
            width = int(record["features"])
            arrays = (
                _unpacked(record["mean"], "<f4"),
                _unpacked(record["directions"], "<f2").reshape(-1, width),
                _unpacked(record["variance"], "<f4"),
            )
            numbers = {name: kind(record[name]) for name, kind in _NUMBERS.items()}
            sane = (
                len(arrays[0]) == width
                and len(arrays[1]) == len(arrays[2]) > 0
                and all(np.isfinite(array).all() for array in arrays)
                and arrays[2].min() > 0
                and all(map(math.isfinite, numbers.values()))
                and min(numbers["rest"], numbers["spread"], numbers["images"] - 1) > 0
            )
        except (KeyError, TypeError, ValueError):
            sane = False
        if not sane:
            raise not_as_written("familiarity", where)
        return cls(*arrays, **numbers)


_NUMBERS: dict[str, type] = {
    **{"rest": float, "level": float, "spread": float},
    **{"images": int, "held_out": int},
}


def familiarity_warning(percent: float) -> str:
    """Say in plain words that an image is a stranger; "" for a familiarity of 1 % or more.

    >>> familiarity_warning(0.2)
    'unlike the training images (familiarity 0.2 %): do not rely on the prediction'
    """
    if percent >= WARN_BELOW:
        return ""
    written = f"{percent:.1g}" if percent >= 0.01 else "below 0.01"
    return f"unlike the training images (familiarity {written} %): do not rely on the prediction"


def _root(h: NDArray[Any]) -> Floats:
    """Signed square roots."""
    values = np.asarray(h, np.float64)
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def _principal(rooted: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Mean, directions, their variances and that of the rest, rounded as a record keeps them."""
    count, width = rooted.shape
    number = max(1, min(MOST_DIRECTIONS, count // IMAGES_A_DIRECTION, width - 1))
    fitted = PCA(number, svd_solver="covariance_eigh").fit(rooted)
    least = LEAST * float(rooted.var(axis=0).mean())
    mean = fitted.mean_.astype("<f4").astype(float)
    directions = fitted.components_.astype("<f2").astype(float)
    variance = np.maximum(fitted.explained_variance_, least).astype("<f4").astype(float)
    return mean, directions, variance, max(float(fitted.noise_variance_), least)


def _distance(
    rooted: Floats, mean: Floats, directions: Floats, variance: Floats, rest: float
) -> Floats:
    centred = rooted - mean
    # by torch, whose threads the network has left idle: those of NumPy would be as many again
    along = (torch.from_numpy(centred) @ torch.from_numpy(directions).T).numpy()
    across = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
    return np.asarray(np.sqrt((along**2 / variance).sum(axis=1) + across / rest))


def _left_out(rooted: Floats, seed: int) -> Floats:
    """Distances of images from references of the others."""
    part = np.random.default_rng(seed).permutation(len(rooted)) % FOLDS
    far = np.empty(len(rooted))
    for number in range(FOLDS):
        away = part == number
        far[away] = _distance(rooted[away], *_principal(rooted[~away]))
    return far


def _packed(array: Floats, dtype: str) -> str:
    return base64.b64encode(array.astype(dtype).tobytes()).decode()


def _unpacked(text: str, dtype: str) -> Floats:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype).astype(float)
