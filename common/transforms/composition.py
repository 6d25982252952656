"""Several transformations in an order, sharing one parameter vector per image."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from common.checks import InputError, require
from common.transforms.declaration import DECLARED, Declaration

__all__ = ["Composition"]

Transform = Callable[..., Tensor]
CACHED = 2**21  # values of a group of images: 8 MB in float32


class Composition(nn.Module):
    """Apply transformations one after the other, each with its own columns of ``lam``.

    The default is the composition of Ruppli et al. 2022, section 2.2: ``T = R o Flip_1 o Flip_0 o
    Crop o N o G``, the blur G first and the rotation R last: 7 parameters in 2D. In 3D it also
    flips the third axis, and crop and rotation take three numbers: 11 parameters.

    The augmentations of y-aware (Dufumier et al. 2021) are an order and settings::

        Composition(
            ["mirror", "blur", "noise", "cutout", "crop_resize"],
            spatial_dims=3,
            settings={
                "blur": {"min_sigma": 0.1, "max_sigma": 1.0},
                "noise": {"min_std": 0.1, "max_std": 1.0},
            },
        )

    Differs from the paper: nothing known in 2D; 3D is ours.

    Args:
        order: names in the order of application, any of "blur", "noise", "crop", "flip_0",
            "flip_1", ("flip_2" in 3D,) "rotate", "mirror", "cutout", "crop_resize", "affine",
            "shift", "bias_field", "axis_blur", "center_crop", "pad", and for photographs
            "resized_crop", "color_jitter", "grayscale", "solarize", "erase", "invert"
            (`common.transforms.photo`), each at most once; None is the paper's order.
        spatial_dims: 2 or 3.
        settings: by name, keyword arguments of that transformation's function, such as
            ``{"cutout": {"size": 0.25}}``; what is not named keeps its default.

    Attributes:
        order: the names, in order of application.
        sizes: number of parameters of each transformation, in that order.
        names: one name per parameter, such as "crop_0": the columns of ``lam``.
        units: what 0 and 1 mean for each of them with these settings, such as ("0 px", "2 px").
        n_parameters: K, their number.

    >>> Composition().names
    ('blur', 'noise', 'crop_0', 'crop_1', 'flip_0', 'flip_1', 'rotate')
    """

    def __init__(
        self,
        order: Sequence[str] | None = None,
        spatial_dims: int = 2,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        require(
            spatial_dims in (2, 3), f"Composition: spatial_dims must be 2 or 3, got {spatial_dims}."
        )
        flips = [f"flip_{axis}" for axis in range(spatial_dims)]
        default = ("blur", "noise", "crop", *flips, "rotate")
        valid = (*default, *sorted(DECLARED.keys() - {"flip", *default}))
        self.order = default if order is None else tuple(order)
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
        self.settings = _checked_settings(self.order, settings or {})
        self.spatial_dims = spatial_dims
        self.sizes = tuple(
            _declared(name).n_parameters(spatial_dims, self.settings.get(name, {}))
            for name in self.order
        )
        self.n_parameters = sum(self.sizes)
        self.names = tuple(
            name if size == 1 else f"{name}_{index}"
            for name, size in zip(self.order, self.sizes)
            for index in range(size)
        )
        self.units = tuple(
            _declared(name).units(self.settings.get(name, {}))
            for name, size in zip(self.order, self.sizes)
            for _ in range(size)
        )

    def forward(self, x: Tensor, lam: Tensor, generator: Generator | None = None) -> Tensor:
        """Return the transformed images.

        Args:
            x: images ``(B, C, *spatial)``; uint8 stands for x / 255.
            lam: parameters ``(B, K)`` in [0, 1]; a NaN among those of a transformation means that
                it is not applied to that image, which then passes unchanged.
            generator: source of the noise, on the device of `x`; None is the global one.

        Returns:
            Images of the shape and dtype of `x`, or of the size that "resized_crop" is set to,
            which must then be applied to every image; differentiable in `x` and `lam` (0 at NaN).
        """
        return self._transform(x, lam, generator, self.order)

    def geometric(self, x: Tensor, lam: Tensor) -> Tensor:
        """Apply all that moves pixels, as to the lesion masks that go with the images.

        Args:
            x: masks ``(B, C, *spatial)``, floating point.
            lam: the same parameters ``(B, K)`` as for the images.
        """
        moving = [name for name in self.order if _declared(name).moves_pixels]
        return self._transform(x, lam, None, moving)

    def extra_repr(self) -> str:
        """Return the settings for ``print(model)``."""
        settings = f", settings={self.settings}" if self.settings else ""
        return f"order={list(self.order)}, spatial_dims={self.spatial_dims}{settings}"

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
        applied = self._applicable(lam)
        size = self.settings.get("resized_crop", {}).get("size")
        missing = int((~applied[self.order.index("resized_crop")]).sum()) if size else 0
        require(
            missing == 0,
            "Composition: resized_crop with a size must be applied to every image, got NaN for "
            f"{missing} of {len(x)}. Set its probability to 1.",
        )
        if x.dtype == torch.uint8 and not (self.order[0] == "resized_crop" and applied[0].all()):
            x = x / 255
        tracked = torch.is_grad_enabled() and (x.requires_grad or lam.requires_grad)
        values = x.shape[1] * size**2 if size else x[:1].numel()
        groups = math.ceil(len(x) * values / CACHED)
        if tracked or x.device.type != "cpu" or groups <= 1:
            return self._applied(x, lam, applied, generator, only, tracked)
        rows = math.ceil(len(x) / groups)
        out = x
        for start in range(0, len(x), rows):  # a group stays in the cache for all transformations
            group = slice(start, start + rows)
            done = self._applied(x[group], lam[group], applied[:, group], generator, only, tracked)
            out = done.new_empty(len(x), *done.shape[1:]) if start == 0 else out
            out[group] = done
        return out

    def _applicable(self, lam: Tensor) -> Tensor:
        """Return which transformations apply to which image, ``(transformations, B)`` on the CPU.

        Raises:
            InputError: a parameter outside [0, 1] that is not NaN.
        """
        outside = (lam < 0) | (lam > 1)  # NaN is neither
        rows = [~part.isnan().any(dim=1) for part in self._split(lam)]
        *applied, wrong = torch.stack([*rows, outside.any(dim=1)]).cpu()
        if wrong.any():
            raise InputError(
                "Composition: lam must lie in [0, 1], or be NaN for what is not applied, got "
                f"{float(lam.detach()[outside][0]):g}."
            )
        return torch.stack(applied)

    def _split(self, lam: Tensor) -> tuple[Tensor, ...]:
        return torch.split(lam, list(self.sizes), dim=1)

    def _applied(
        self,
        x: Tensor,
        lam: Tensor,
        applied: Tensor,
        generator: Generator | None,
        only: Sequence[str],
        tracked: bool,
    ) -> Tensor:
        """Apply each transformation to the rows that `applied` ``(transformations, B)`` names."""
        out = x
        for name, part, chosen in zip(self.order, self._split(lam), applied):
            if name not in only or not chosen.any():
                continue
            function = self._function(name, generator)
            if chosen.all():
                out = function(out, part)
                continue
            rows = chosen.nonzero().squeeze(1).to(x.device)
            changed = function(out.index_select(0, rows), part.index_select(0, rows))
            if tracked or out is x:
                out = out.index_copy(0, rows, changed)
            else:
                out.index_copy_(0, rows, changed)
        return out

    def _function(self, name: str, generator: Generator | None) -> Transform:
        """Return the transformation called `name` as a function of images and parameters."""
        declared, settings = _declared(name), dict(self.settings.get(name, {}))
        if name.startswith("flip_"):
            settings["axis"] = int(name[-1])
        if declared.is_random():
            settings["generator"] = generator
        return partial(declared.function, **settings)


def _declared(name: str) -> Declaration:
    """Return what the file of a transformation says of it; "flip_0" is `flip` along axis 0."""
    return DECLARED["flip" if name.startswith("flip_") else name]


def _checked_settings(
    order: Sequence[str], settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return a copy of `settings`, all of which belong to a transformation of `order`."""
    for name, values in settings.items():
        require(
            name in order,
            f"Composition: settings must be of {', '.join(order)}, got {name!r}.",
        )
        free = list(_declared(name).settings())
        for key in values:
            require(
                key in free,
                f"Composition: settings of {name} must be {', '.join(free) or 'empty'}, got "
                f"{key!r}.",
            )
    return {name: dict(values) for name, values in settings.items()}
