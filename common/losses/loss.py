"""A loss as a module: it keeps its settings, shows them, and hands them to its function."""

from typing import Any

from torch import nn

__all__ = ["Loss"]


class Loss(nn.Module):
    """The base of a loss ``(z, **targets) -> scalar``; ``forward`` calls a function.

    Args:
        settings: keyword arguments of the function, each an attribute of its name, which a
            schedule may change.

    Attributes:
        targets: the columns of the batch that ``forward`` reads beside z.
    """

    targets: tuple[str, ...] = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self._names = tuple(settings)
        for name, value in settings.items():
            setattr(self, name, value)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as they are now."""
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
