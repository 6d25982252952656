"""Policies that do not look at the image: they draw the parameters (Ruppli et al. 2022, § 2.3).

They have no weights. Without a generator they draw what the engine has seeded, the same for an
image on however many ranks; outside a training from PyTorch's global one of the device of ``x``.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from common.checks import require
from common.distributed import uniform

__all__ = ["EachWithProbability", "Uniform"]


class Uniform(nn.Module):
    """Draw every parameter uniformly in [0, 1) (the paper's strategies "Random").

    Args:
        n_parameters: K, parameters per image; `Composition.n_parameters`.
    """

    def __init__(self, n_parameters: int = 7) -> None:
        super().__init__()
        require(n_parameters > 0, f"Uniform: n_parameters must be positive, got {n_parameters}.")
        self.n_parameters = n_parameters

    def forward(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Return ``lam (B, K)`` for ``x (B, C, *spatial)``, on its device, float32 at least."""
        return _uniform(x, self.n_parameters, generator)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"n_parameters={self.n_parameters}"


class EachWithProbability(nn.Module):
    """Apply each transformation with a probability, with uniform parameters.

    The paper's base SimCLR and supervised strategies ("each transform applied with p = 0.5").

    Differs from the paper: nothing known.

    Args:
        probability: chance in [0, 1] that an image receives a transformation, drawn separately
            for every image and transformation; or one chance for each transformation.
        sizes: parameters of each transformation; `Composition.sizes`.
    """

    def __init__(
        self,
        probability: float | Sequence[float] = 0.5,
        sizes: Sequence[int] = (1, 1, 2, 1, 1, 1),
    ) -> None:
        super().__init__()
        each = probability if isinstance(probability, Sequence) else [probability] * len(sizes)
        require(
            all(0 <= chance <= 1 for chance in each),
            f"EachWithProbability: probability must be in [0, 1], got {probability}.",
        )
        require(
            len(each) == len(sizes),
            f"EachWithProbability: probability must be one number, or {len(sizes)}, one for each "
            f"transformation, got {len(each)}.",
        )
        require(
            len(sizes) > 0 and all(size > 0 for size in sizes),
            f"EachWithProbability: sizes must be positive counts, got {list(sizes)}. Use those of "
            "the Composition.",
        )
        self.probability = probability
        self.sizes = tuple(sizes)
        self.n_parameters = sum(self.sizes)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Return ``lam (B, K)`` for ``x (B, C, *spatial)``: NaN where one is not applied."""
        lam = _uniform(x, self.n_parameters, generator)
        drawn = _uniform(x, len(self.sizes), generator)
        applied = drawn < torch.tensor(self.probability, device=x.device, dtype=drawn.dtype)
        sizes = torch.tensor(self.sizes, device=x.device)
        applied = applied.repeat_interleave(sizes, dim=1, output_size=self.n_parameters)
        return lam.masked_fill(~applied, torch.nan)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        return f"probability={self.probability}, sizes={self.sizes}"


def _uniform(x: Tensor, count: int, generator: Generator | None) -> Tensor:
    dtype = torch.promote_types(x.dtype, torch.float32)
    if generator is None:
        return uniform(x.shape[0], count, x.device, dtype)
    return torch.rand(x.shape[0], count, generator=generator, device=x.device, dtype=dtype)
