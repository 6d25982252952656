"""Which tensors of a method leave a client, and how those that come back are taken in.

::

    encoder, heads, prototypes, policy, their momentum copies, centres     shared
    running means and variances of batch normalisation                     by choice
    queues and all other buffers, which may tell of single images          stay, always
    optimisers, schedules, images, labels                                  never looked at

A momentum encoder is linear in the encoders it followed, so the average of the copies is the copy
of the average: it is shared like the rest, or named in `keep` (Zhuang et al., Divergence-aware
federated self-supervised learning, ICLR 2022, keep the target network). Statistics that stay are
those of Andreux et al., Siloed federated learning for multi-centric histopathology datasets, 2020.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.losses import DINO
from common.methods import Method
from common.networks import StandardizedEncoder

__all__ = ["SharedWeights"]

CURE = "Client and server must run the same bundle with the same dials, keep and batch_statistics."


class SharedWeights(nn.Module):
    """A method as others see it: its ``state_dict`` holds what is shared, and nothing else.

    Args:
        method: the method that is trained here.
        keep: parts that stay, by their names in the method ("classifier.head", "teacher").
        batch_statistics: "shared", or "kept": every client normalises by its own.
        forward: what a call computes; the method's prediction unless given.

    Raises:
        InputError: a part that does not exist, statistics where there are none, or an encoder that
            stays: nothing would be learned together.
    """

    def __init__(
        self,
        method: Method,
        keep: Sequence[str] = (),
        batch_statistics: str = "shared",
        forward: nn.Module | None = None,
    ) -> None:
        super().__init__()
        require(
            batch_statistics in ("shared", "kept"),
            f"batch_statistics: must be shared or kept, got {batch_statistics!r}.",
        )
        self._method = (method,)  # not a part: its state is not this module's
        self.network: nn.Module = method if forward is None else forward
        known = method.state_dict()
        for part in keep:
            require(
                any(_within(name, part) for name in known),
                f"keep: must name parts of {type(method).__name__}, "
                f"{', '.join(dict(method.named_children()))}, or parts of these, got {part!r}.",
            )
        stays = set(_statistics(method)) if batch_statistics == "kept" else set()
        require(
            bool(stays) or batch_statistics == "shared",
            "batch_statistics: must be shared for a network without batch normalisation, got "
            "'kept'. Leave it out.",
        )
        stays |= {name for name in known if any(_within(name, part) for part in keep)}
        stays |= set(_local_buffers(method))
        self.names = _learned(known, stays)
        self._require_an_encoder(stays)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the network makes of the arguments."""
        return self.network(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return a copy of what is shared, by its names in the method."""
        return OrderedDict((name, value.clone()) for name, value in self._own().items())

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False
    ) -> None:
        """Take in what is shared, all of it or nothing, whatever `strict` says.

        Raises:
            InputError: other names or shapes, or numbers that are not finite.
        """
        self.check(state_dict)
        with torch.no_grad():
            for name, value in self._own().items():
                value.copy_(torch.as_tensor(state_dict[name]))

    def check(self, received: Mapping[str, Any]) -> None:
        """Refuse tensors that are not exactly those that are shared; see `load_state_dict`."""
        missing = [name for name in self.names if name not in received]
        others = [name for name in received if name not in self.names]
        require(
            not missing and not others,
            f"weights from the server: must be the {len(self.names)} tensors that are shared, got "
            f"{len(missing)} missing and {len(others)} others ({(missing or others or [''])[0]}). "
            f"{CURE}",
        )
        for name, value in self._own().items():
            got = _tensor(received[name], name)
            require(
                got.shape == value.shape,
                f"weights from the server: {name} must have shape {tuple(value.shape)}, got "
                f"{tuple(got.shape)}. {CURE}",
            )
            require(
                bool(torch.isfinite(got).all()),
                f"weights from the server: {name} must be finite, got NaN or infinity. Go on from "
                "the round before, with lower learning rates.",
            )

    def _own(self) -> dict[str, Tensor]:
        state = self._method[0].state_dict()
        return {name: state[name].detach() for name in self.names}

    def _require_an_encoder(self, stays: set[str]) -> None:
        encoder = self._method[0].classifier.encoder
        learned = {f"classifier.encoder.{name}" for name, _ in encoder.named_parameters()}
        require(
            not learned or not learned <= stays,
            "keep: must leave the encoder that is deployed to be shared, got "
            f"{len(learned)} of its {len(learned)} tensors kept. Train alone instead.",
        )


def _tensor(value: Any, name: str) -> Tensor:
    """What was received under a name, of real numbers."""
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        tensor = None
    require(
        tensor is not None and not tensor.is_complex(),
        f"weights from the server: {name} must be a tensor of real numbers, got "
        f"{type(value).__name__}. {CURE}",
    )
    return tensor  # type: ignore[return-value]  # never None here


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _learned(state: Mapping[str, Tensor], stays: set[str]) -> tuple[str, ...]:
    """Names of tensors of real numbers, each tensor once; none that stays under another name."""
    kept = {_place(state[name]) for name in stays}
    seen: set[tuple[int, torch.Size]] = set()
    names = []
    for name, value in state.items():
        place = _place(value)
        if value.is_floating_point() and value.numel() and place not in seen | kept:
            seen.add(place)
            names.append(name)
    return tuple(names)


def _place(value: Tensor) -> tuple[int, torch.Size]:
    return value.data_ptr(), value.shape


def _statistics(method: Method) -> Iterator[str]:
    """Running statistics of normalisations, by the names that PyTorch gives them."""
    for name, _ in method.named_buffers(remove_duplicate=False):
        if name.rpartition(".")[2].startswith("running_"):
            yield name


def _local_buffers(method: Method) -> Iterator[str]:
    """Buffers that may hold what a single image gave, such as a queue: all that are not known."""
    known = set(_statistics(method))
    for path, module in method.named_modules():
        if isinstance(module, DINO | StandardizedEncoder):
            known |= {f"{path}.{name}" for name, _ in module.named_buffers(recurse=False)}
    yield from (name for name in method.state_dict() if name not in known | _parameters(method))


def _parameters(method: Method) -> set[str]:
    return {name for name, _ in method.named_parameters(remove_duplicate=False)}
