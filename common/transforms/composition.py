"""Several transformations in an order, sharing one parameter vector per image."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from common.checks import require
from common.transforms.blur import blur
from common.transforms.crop import crop
from common.transforms.flip import flip
from common.transforms.noise import noise
from common.transforms.rotate import rotate

__all__ = ["Composition"]


class Composition(nn.Module):
    """Apply transformations one after the other, each with its own columns of ``lam``.

    The default is the composition of Ruppli et al. 2022, section 2.2: ``T = R o Flip_1 o Flip_0 o
    Crop o N o G``, the blur G first and the rotation R last: 7 parameters in 2D. In 3D it also
    flips the third axis, and crop and rotation take three numbers: 11 parameters.

    Differs from the paper: nothing known in 2D; 3D is ours.

    Args:
        order: names in the order of application, any of "blur", "noise", "crop", "flip_0",
            "flip_1", ("flip_2" in 3D,) "rotate", each at most once; None is the paper's order.
        spatial_dims: 2 or 3.

    Attributes:
        order: the names, in order of application.
        sizes: number of parameters of each transformation, in that order.
        names: one name per parameter, such as "crop_0": the columns of ``lam``.
        n_parameters: K, their number.

    >>> Composition().names
    ('blur', 'noise', 'crop_0', 'crop_1', 'flip_0', 'flip_1', 'rotate')
    """

    def __init__(self, order: Sequence[str] | None = None, spatial_dims: int = 2) -> None:
        super().__init__()
        require(
            spatial_dims in (2, 3), f"Composition: spatial_dims must be 2 or 3, got {spatial_dims}."
        )
        flips = [f"flip_{axis}" for axis in range(spatial_dims)]
        valid = ("blur", "noise", "crop", *flips, "rotate")
        self.order = valid if order is None else tuple(order)
        for name in self.order:
            require(
                name in valid,
                f"Composition: order must name {', '.join(valid)}, got {name!r}.",
            )
        require(
            0 < len(self.order) == len(set(self.order)),
            f"Composition: order must name at least one transformation and each once, got "
            f"{list(self.order)}.",
        )
        several = {"crop": spatial_dims, "rotate": 1 if spatial_dims == 2 else 3}
        self.spatial_dims = spatial_dims
        self.sizes = tuple(several.get(name, 1) for name in self.order)
        self.n_parameters = sum(self.sizes)
        self.names = tuple(
            name if size == 1 else f"{name}_{index}"
            for name, size in zip(self.order, self.sizes)
            for index in range(size)
        )

    def forward(self, x: Tensor, lam: Tensor, generator: Generator | None = None) -> Tensor:
        """Return the transformed images.

        Args:
            x: images ``(B, C, *spatial)``.
            lam: parameters ``(B, K)`` in [0, 1]; a NaN among those of a transformation means that
                it is not applied to that image, which then passes unchanged.
            generator: source of the noise, on the device of `x`; None is the global one.

        Returns:
            Images of the shape and dtype of `x`, differentiable in `x` and `lam` (0 at NaN).
        """
        return self._transform(x, lam, generator, self.order)

    def geometric(self, x: Tensor, lam: Tensor) -> Tensor:
        """Apply only crop, flips and rotation, as to the lesion masks that go with the images.

        Args:
            x: masks ``(B, C, *spatial)``, floating point.
            lam: the same parameters ``(B, K)`` as for the images.
        """
        return self._transform(
            x, lam, None, [name for name in self.order if name not in ("blur", "noise")]
        )

    def extra_repr(self) -> str:
        """Return the order for ``print(model)``."""
        return f"order={list(self.order)}, spatial_dims={self.spatial_dims}"

    def _transform(
        self, x: Tensor, lam: Tensor, generator: Generator | None, only: Sequence[str]
    ) -> Tensor:
        require(
            x.dim() == self.spatial_dims + 2,
            f"Composition: x must have {self.spatial_dims} spatial axes, got shape "
            f"{tuple(x.shape)}. Set spatial_dims.",
        )
        require(
            tuple(lam.shape) == (x.shape[0], self.n_parameters),
            f"Composition: lam must have shape {(x.shape[0], self.n_parameters)}, got "
            f"{tuple(lam.shape)}. Its columns are {', '.join(self.names)}.",
        )
        parts = torch.split(lam, list(self.sizes), dim=1)
        applied = torch.stack([~part.isnan().any(dim=1) for part in parts]).cpu()
        tracked = torch.is_grad_enabled() and (x.requires_grad or lam.requires_grad)
        out = x
        for name, part, chosen in zip(self.order, parts, applied):
            if name not in only or not chosen.any():
                continue
            if chosen.all():
                out = _one(name, out, part, generator)
                continue
            rows = chosen.nonzero().squeeze(1).to(x.device)
            changed = _one(name, out.index_select(0, rows), part.index_select(0, rows), generator)
            if tracked or out is x:
                out = out.index_copy(0, rows, changed)
            else:
                out.index_copy_(0, rows, changed)
        return out


def _one(name: str, x: Tensor, lam: Tensor, generator: Generator | None) -> Tensor:
    """Apply the transformation called `name`, every image of which has parameters."""
    if name.startswith("flip_"):
        return flip(x, lam, axis=int(name[-1]))
    if name == "noise":
        return noise(x, lam, generator=generator)
    if name == "blur":
        return blur(x, lam)
    return crop(x, lam) if name == "crop" else rotate(x, lam)
