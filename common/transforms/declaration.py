"""What a transformation says of itself, in its own file: its parameters, geometry and unit.

`Composition` knows every function that is marked with `transformation`, by its name; nothing else
lists them.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import Tensor

__all__ = ["DECLARED", "Declaration", "transformation"]

Size = int | Literal["axes", "turns"] | Callable[[int, Mapping[str, Any]], int]
Function = TypeVar("Function", bound=Callable[..., Tensor])


@dataclass(frozen=True)
class Declaration:
    """A transformation and what its file says of it; see `transformation`."""

    function: Callable[..., Tensor]
    size: Size
    moves_pixels: bool
    ends: tuple[str, str]

    def n_parameters(self, spatial_dims: int, settings: Mapping[str, Any]) -> int:
        """Return the columns of `lam` that it reads, in 2D or 3D with these settings."""
        if callable(self.size):
            return self.size(spatial_dims, settings)
        if isinstance(self.size, int):
            return self.size
        return 1 if (self.size, spatial_dims) == ("turns", 2) else spatial_dims

    def settings(self) -> dict[str, Any]:
        """Return its settings with their defaults."""
        every = inspect.signature(self.function).parameters
        return {
            name: parameter.default
            for name, parameter in every.items()
            if name not in ("x", "lam", "generator", "axis")
        }

    def is_random(self) -> bool:
        """Return whether it draws, and so takes a generator."""
        return "generator" in inspect.signature(self.function).parameters

    def units(self, settings: Mapping[str, Any]) -> tuple[str, str]:
        """Return what ``lam = 0`` and ``lam = 1`` mean with these settings, such as ``2 px``."""
        values = {**self.settings(), **settings}
        zero, one = (end.format(**values) for end in self.ends)
        return zero, one


DECLARED: dict[str, Declaration] = {}


def transformation(
    *, size: Size, moves_pixels: bool, ends: tuple[str, str]
) -> Callable[[Function], Function]:
    """Declare the function below, which stays as it is, as a transformation of `Composition`.

    Args:
        size: columns of `lam` per image: a number, "axes" (one for each spatial axis), "turns"
            (one in 2D, three in 3D), or a function of the number of axes and the settings.
        moves_pixels: whether a lesion's mask must go the same way; False where only intensities
            change.
        ends: what ``lam = 0`` and ``lam = 1`` mean, with units and with settings in braces, such
            as ``("{min_sigma:g} px", "{max_sigma:g} px")``.
    """

    def declare(function: Function) -> Function:
        DECLARED[function.__name__] = Declaration(function, size, moves_pixels, ends)
        return function

    return declare
