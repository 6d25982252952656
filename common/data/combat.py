"""ComBat: the mean and the spread that a site adds to each feature, estimated and taken away.

Of features Y of subjects i at sites s (Johnson, Li and Rabinovic, Biostatistics 2007; of brain
features Fortin et al., NeuroImage 2018)::

    Y_i = alpha + x_i beta + sigma (gamma_s + delta_s^(1/2) e_i)
    Y_i -> alpha + sigma ((Y_i - alpha) / sigma - gamma*_s) / delta*_s^(1/2)

alpha, beta and sigma by least squares, gamma*_s and delta*_s by empirical Bayes: the estimates of
all features of a site shrink towards a normal law of gamma and an inverse gamma law of delta.

Differs from the paper: x (such as age) is known when it is fitted, so that the site does not take
what age explains, and not when it is applied, where it would tell the age that is to be predicted:
x beta then counts as part of the noise. Subjects of a site that was not fitted stay as they are.

Paper: https://doi.org/10.1093/biostatistics/kxj037
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import require

__all__ = ["ComBat"]

_STEPS = 1000
_CLOSE = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ComBat:
    """What was estimated; made by `fit`.

    Attributes:
        alpha: ``(F,)`` mean of a feature over the sites.
        sigma: ``(F,)`` its standard deviation within them; 1 for a constant one.
        sites: ``(S,)``.
        gamma: ``(S, F)`` what each adds, in sigma.
        delta: ``(S, F)`` by what it multiplies the variance.
    """

    alpha: Floats
    sigma: Floats
    sites: NDArray[Any]
    gamma: Floats
    delta: Floats

    @classmethod
    def fit(cls, features: NDArray[Any], site: NDArray[Any], covariates: NDArray[Any]) -> "ComBat":
        """Estimate what the sites add.

        Args:
            features: ``(N, F)``, finite.
            site: ``(N,)``, at least two subjects of each.
            covariates: ``(N, k)`` or ``(N,)``, finite, what features may owe to something else.
        """
        y, x = np.asarray(features, float), np.asarray(covariates, float).reshape(len(features), -1)
        sites, number, count = np.unique(site, return_inverse=True, return_counts=True)
        require(
            int(count.min()) >= 2,
            f"ComBat: site must have at least 2 subjects each, got one of {sites[count.argmin()]}. "
            "Leave it out.",
        )
        at = np.eye(len(sites))[number]
        effects = np.linalg.lstsq(np.hstack([at, x - x.mean(axis=0)]), y, rcond=None)[0]
        alpha = count @ effects[: len(sites)] / len(y)
        explained = (x - x.mean(axis=0)) @ effects[len(sites) :]
        left = y - at @ effects[: len(sites)] - explained
        sigma = np.sqrt(np.mean(left**2, axis=0))
        varies = sigma > 1e-9 * np.abs(y).max(axis=0)
        sigma = np.where(varies, sigma, 1.0)
        z = np.where(varies, (y - alpha - explained) / sigma, 0.0)
        gamma, delta = np.zeros((len(sites), y.shape[1])), np.ones((len(sites), y.shape[1]))
        for place in range(len(sites)):
            here = z[number == place][:, varies]
            gamma[place, varies], delta[place, varies] = _shrunk(here)
        return cls(alpha, sigma, sites, gamma, delta)

    def transform(self, features: NDArray[Any], site: NDArray[Any]) -> Floats:
        """Take away what the sites add; features ``(N, F)``, site ``(N,)`` -> ``(N, F)``."""
        adjusted = np.array(features, dtype=float)
        for place, name in enumerate(self.sites):
            here = site == name
            z = (adjusted[here] - self.alpha) / self.sigma - self.gamma[place]
            adjusted[here] = self.alpha + self.sigma * z / np.sqrt(self.delta[place])
        return adjusted


def _shrunk(z: Floats) -> tuple[Floats, Floats]:
    """Posterior mean and variance of each feature of one site, z ``(n, F)``."""
    n, mean, variance = len(z), z.mean(axis=0), z.var(axis=0, ddof=1)
    centre, width = mean.mean(), mean.var(ddof=1)
    m, s = variance.mean(), variance.var(ddof=1)
    shape, rate = (2 * s + m**2) / s, (m * s + m**3) / s
    gamma, delta = mean, variance
    for _ in range(_STEPS):
        new = (width * n * mean + delta * centre) / (width * n + delta)
        spread = (rate + 0.5 * np.sum((z - new) ** 2, axis=0)) / (n / 2 + shape - 1)
        moved = max(np.abs(new - gamma).max(), np.abs(spread - delta).max())
        gamma, delta = new, spread
        if moved < _CLOSE:
            break
    return gamma, delta
