"""A variational autoencoder whose mean is the representation: MONAI's, in 2D and 3D.

For each image the encoder gives a Gaussian N(mu, diag e^logvar) of a code, and the decoder an image
from a code drawn from it (Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014). As a
prior of other methods the image is described by mu (Dufumier et al., ICML 2023).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from monai.networks.nets import VarAutoEncoder
from torch import Tensor, nn

from common.checks import require

__all__ = ["Reconstruction", "VariationalEncoder"]


class Reconstruction(NamedTuple):
    """An image decoded from a drawn code, and the Gaussian it was drawn from.

    Attributes:
        image: ``(B, C, *spatial)``.
        mean: mu ``(B, latent)``.
        log_variance: ``(B, latent)``.
    """

    image: Tensor
    mean: Tensor
    log_variance: Tensor


class VariationalEncoder(nn.Module):
    """MONAI's `VarAutoEncoder`; as an encoder, ``x (B, C, *spatial) -> mu (B, latent)``.

    Put it into an `ImageClassifier`, train it with `common.methods.VariationalAutoencoder`, and
    everything that reads a representation reads mu. The decoder is part of the weights.

    Args:
        in_shape: C and the spatial shape of the images, in 2D or 3D; other shapes are refused.
        latent: width of mu.
        channels: of the levels; each halves the sides (rounded up).
        norm: a MONAI normalisation name.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        latent: int = 64,
        channels: Sequence[int] = (16, 32, 64, 128),
        norm: str = "BATCH",
    ) -> None:
        super().__init__()
        shape = tuple(int(n) for n in in_shape)
        require(
            len(shape) in (3, 4),
            f"VariationalEncoder: in_shape must be (C, H, W) or (C, X, Y, Z), got {shape}.",
        )
        require(latent >= 1, f"VariationalEncoder: latent must be at least 1, got {latent}.")
        self.in_shape = shape
        self.out_features = latent
        self.network = VarAutoEncoder(
            len(shape) - 1,
            shape,
            shape[0],
            latent,
            tuple(channels),
            (2,) * len(channels),
            norm=norm,
            use_sigmoid=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return mu ``(B, latent)`` of ``x (B, C, *spatial)``."""
        mean: Tensor = self.network.encode_forward(self._checked(x))[0]
        return mean

    def reconstruct(self, x: Tensor) -> Reconstruction:
        """Encode, draw a code (of the global random state) and decode.

        Returns:
            The image has the shape of `x`: where a side is no multiple of ``2 ** len(channels)``,
            the decoder's is longer, and its end is cut off.
        """
        mean, log_variance = self.network.encode_forward(self._checked(x))
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        image = self.network.decode_forward(code, use_sigmoid=False)
        for axis, side in enumerate(x.shape[2:], start=2):
            image = image.narrow(axis, 0, side)
        return Reconstruction(image, mean, log_variance)

    def _checked(self, x: Tensor) -> Tensor:
        require(
            tuple(x.shape[1:]) == self.in_shape,
            f"VariationalEncoder: x must be (B, {', '.join(map(str, self.in_shape))}), got "
            f"{tuple(x.shape)}. Set in_shape, and train again.",
        )
        return x
