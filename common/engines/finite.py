"""What a step of training is made of is finite, or the training stops before the step.

Three checks, each of which copies only a few numbers from the device: of the images of a batch
before anything is computed with them, of the terms and the gradients of a phase before its
optimiser steps, and of the weights at the end of an epoch before anyone saves them. With several
processes all of them stop, and none waits for another.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor
from torch.utils.data import DistributedSampler, SequentialSampler

from common import distributed
from common.checks import InputError
from common.networks import require_finite

__all__ = [
    "batch_names",
    "finite_terms",
    "listed",
    "require_finite_images",
    "require_finite_weights",
]

NAMED = 5  # images in a message


def require_finite_images(engine: Engine, batch: Mapping[str, Any]) -> None:
    """Raise `InputError` with the names of the images of the batch that are not finite.

    Args:
        engine: the trainer, whose loader knows the names.
        batch: "image" ``(B, ...)``, on its device.
    """
    image = batch.get("image")
    if not isinstance(image, Tensor) or not image.is_floating_point() or image.dim() == 0:
        return
    image = image.detach()
    total = image.sum(dtype=torch.promote_types(image.dtype, torch.float32))
    if distributed.world_size() == 1 and math.isfinite(total.item()):
        return
    if not distributed.anywhere(~torch.isfinite(total)):
        return
    bad = ~torch.isfinite(image.reshape(len(image), -1)).all(dim=1)  # the sum alone may overflow
    if not distributed.anywhere(bad.any()):
        return
    numbers = bad.nonzero()[:, 0].tolist()
    names = batch_names(engine)
    images = [names[i] if i < len(names) else f"image {i} of the batch" for i in numbers]
    where = listed(images) or "the batch of another process"
    raise InputError(
        f"ContrastiveTrainer: every image must be finite numbers, got NaN or infinity in {where} "
        f"{_place(engine)}. Leave it out and prepare the data again; the weights are those before "
        "this step."
    )


def finite_terms(
    engine: Engine,
    terms: Mapping[str, Tensor],
    phase: str = "",
    gradients: Sequence[Tensor] = (),
    scale: Tensor | None = None,
) -> dict[str, float]:
    """Return the terms of a step as numbers; refuse terms and gradients that are not finite.

    A gradient that is not finite is left to the loss scale, which then skips the step and falls,
    for as long as that is above 1: a scale of 1 or less is not to blame.

    Args:
        engine: the trainer, for the message.
        terms: name -> scalar.
        phase: whose optimiser is about to step with the gradients.
        gradients: of the phase, the same on all processes.
        scale: by which the gradients are multiplied; None for 1.

    Returns:
        Name -> value.

    Raises:
        InputError: on all processes alike, with the terms, or the phase of the gradient.
    """
    values = [term.detach().float().reshape(()) for term in terms.values()]
    if not values and not gradients:
        return {}
    told = []  # 1 where a term is not finite in any process
    if values and distributed.world_size() > 1:
        told = [distributed.anywhere(~torch.isfinite(torch.stack(values)).all()).float()]
    factors = [] if scale is None else [scale]
    lengths = torch._foreach_norm(list(gradients)) if gradients else ()
    read = iter(torch.stack([*values, *told, *factors, *lengths]).tolist())
    by_name = {name: next(read) for name in terms}
    bad_term = any(next(read) for _ in told) or not all(map(math.isfinite, by_name.values()))
    factor = next(read) if factors else 1.0
    slope = sum(read)
    if bad_term:
        wrong = [f"{name} {value}" for name, value in by_name.items() if not math.isfinite(value)]
        got = ", ".join(wrong) or "NaN or infinity in another process"
        raise InputError(f"ContrastiveTrainer: every loss must be finite, got {got}{_end(engine)}")
    if not math.isfinite(slope) and not factor > 1 and not _are_finite(gradients):
        raise InputError(
            f"ContrastiveTrainer: every gradient must be finite, got NaN or infinity in the phase "
            f"{phase}, of which the loss is finite,{_end(engine)}"
        )
    return by_name


def _are_finite(tensors: Sequence[Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def require_finite_weights(engine: Any) -> None:
    """Raise `InputError` where the last step left a weight that is not finite."""
    step = f"iteration {engine.state.iteration} of " if engine.done_in_epoch else ""
    require_finite(
        engine.method.state_dict(),
        f"ContrastiveTrainer, after {step}epoch {engine.state.epoch}",
        "Lower the learning rates; what was saved before is untouched.",
    )


def batch_names(engine: Engine, iteration: int | None = None) -> list[str]:
    """Name the images of the batch the engine is at, as the entries of the data set do.

    Args:
        engine: the trainer.
        iteration: another one of the same epoch.

    Nothing is carried along for it: a sampler whose order follows from the epoch is asked again.

    Returns:
        A name for each; empty where the loader's order cannot be repeated.
    """
    state: Any = engine.state
    loader = state.dataloader
    batches: Iterable[Any] | None = getattr(loader, "batch_sampler", None)
    sampler = getattr(loader, "sampler", None)
    if batches is None or not isinstance(sampler, DistributedSampler | SequentialSampler):
        return []
    position = ((iteration or state.iteration) - 1) % state.epoch_length
    indices: Sequence[int] = next(islice(batches, position, None), [])
    data = loader.dataset
    entries = getattr(data, "entries", getattr(data, "data", None))
    return [_name(entries, index) for index in indices]


def _name(entries: Any, index: int) -> str:
    entry = entries[index] if isinstance(entries, Sequence) else None
    image = entry.get("image") if isinstance(entry, Mapping) else None
    if isinstance(image, list | tuple) and image:
        image = image[0]
    if entry is None or not isinstance(image, str):
        return f"number {index} of the data set"
    return f"{image} row {entry['index']}" if "index" in entry else image


def listed(names: Sequence[str]) -> str:
    """Return some of the names of images, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _place(engine: Engine) -> str:
    return f"at iteration {engine.state.iteration} of epoch {engine.state.epoch}"


def _end(engine: Engine) -> str:
    names = batch_names(engine)
    batch = f" (images {listed(names)})" if names else ""
    return (
        f" {_place(engine)}{batch}. Lower the learning rates, or check the images and what the "
        "loss reads; the weights are those before this step."
    )
