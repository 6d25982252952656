"""A variational autoencoder as a method: what a prior can be made of without labels.

One training step, with the Gaussian N(mu, diag s^2) of the code of an image x of M values and the
image x' decoded from a draw of it (Kingma and Welling, ICLR 2014, Eq. 10, of Gaussian pixels)::

    minimise  1/M ( |x - x'|^2 / (2 variance) + beta KL( N(mu, diag s^2) || N(0, I) ) )

averaged over the images; beta = 1 is minus the evidence lower bound, another beta that of Higgins
et al. (beta-VAE, ICLR 2017). Dufumier et al. (ICML 2023) use mu as prior of 3D brains and say no
more of their autoencoder; its settings here are ours.

Papers: https://arxiv.org/abs/1312.6114, https://arxiv.org/abs/2206.01646
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from common.checks import require
from common.methods.method import Method, Phase
from common.networks import ImageClassifier, VariationalEncoder

__all__ = ["VariationalAutoencoder"]


class VariationalAutoencoder(Method):
    """Reconstruct images from a code that is close to a standard Gaussian; see the module.

    The terms "squared_error" (mean over the values of an image) and "divergence" (KL of an image,
    in nats) are logged. The classifier's head is not trained.

    Args:
        classifier: an `ImageClassifier` of a `common.networks.VariationalEncoder`.
        policy: draws the parameters of the transformation, see `Method`; None (and `transform`
            None) for images as they are.
        transform: ``(x, lam) -> x``; the transformed image is what is reconstructed.
        variance: of a value of an image around its reconstruction, in its squared unit, above 0.
        beta: weight of the divergence, at least 0.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        *,
        variance: float = 1.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__(classifier, policy, transform)
        encoder = classifier.encoder
        require(
            isinstance(encoder, VariationalEncoder),
            "VariationalAutoencoder: classifier must have a VariationalEncoder, got "
            f"{type(encoder).__name__}.",
        )
        require(
            0 < variance < math.inf,
            f"VariationalAutoencoder: variance must be above 0 and finite, got {variance}.",
        )
        require(
            0 <= beta < math.inf,
            f"VariationalAutoencoder: beta must be at least 0 and finite, got {beta}.",
        )
        self.variance = variance
        self.beta = beta

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase (encoder and decoder) for ``batch["image"] (B, C, *spatial)``."""
        x = self.transformed(batch["image"])
        encoder: Any = self.classifier.encoder
        image, mean, log_variance = (part.float() for part in encoder.reconstruct(x))
        error = (image - x.float()).square().mean()
        spread = mean.square() + log_variance.exp() - 1 - log_variance
        divergence = 0.5 * spread.sum(dim=1).mean()
        loss = error / (2 * self.variance) + self.beta / x[0].numel() * divergence
        terms = {"squared_error": error.detach(), "divergence": divergence.detach()}
        yield Phase("encoder", loss, terms)
