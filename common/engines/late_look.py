"""Numbers of a step that stay on the device until every n-th step: reading one halts a GPU's queue.

What `common.engines.finite` reads before every step is noted here, as tensors, and read all at once
when it is looked at: the images of a batch, the terms of the loss, the gradients. What was not
finite then ends the training on all processes alike, with the number of its step; the steps since
have been taken, so what was saved before is what is left, and nothing is saved without a look at
the weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor

from common import distributed
from common.checks import InputError
from common.engines.finite import batch_names, listed

__all__ = ["LateLook"]


@dataclass
class _Step:
    """What is noted of one step; a phase's gradients as their greatest size and the loss scale."""

    iteration: int
    epoch: int
    images: Tensor | None = None
    terms: dict[str, Tensor] = field(default_factory=dict)
    gradients: list[tuple[str, Tensor, Tensor]] = field(default_factory=list)

    def numbers(self) -> list[Tensor]:
        """Scalars in float32; whether an image is bad comes first."""
        of_images = [] if self.images is None else [self.images.any()]
        of_gradients = [part for _, *parts in self.gradients for part in parts]
        return [value.float() for value in (*of_images, *self.terms.values(), *of_gradients)]


class LateLook:
    """Looks at the numbers of some steps at once.

    Args:
        engine: the trainer, for the messages.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._steps: list[_Step] = []

    def begin(self, batch: Mapping[str, Any]) -> None:
        """Note which images of a batch, "image" ``(B, ...)``, are not finite."""
        state: Any = self._engine.state
        self._steps.append(_Step(state.iteration, state.epoch))
        image = batch.get("image")
        if isinstance(image, Tensor) and image.is_floating_point() and image.dim() > 0:
            self._steps[-1].images = ~torch.isfinite(image.detach().flatten(1).sum(dim=1))

    def note(
        self,
        terms: Mapping[str, Tensor],
        phase: str = "",
        gradients: Sequence[Tensor] = (),
        scale: Tensor | None = None,
    ) -> None:
        """Note terms of the loss, and the gradients with which a phase's optimiser is to step."""
        step = self._steps[-1]
        step.terms |= {name: term.detach().reshape(()) for name, term in terms.items()}
        if gradients:
            sizes = torch._foreach_norm(list(gradients), math.inf)
            largest = torch.stack([size.float() for size in sizes]).max()
            step.gradients.append(
                (phase, largest, largest.new_ones(()) if scale is None else scale)
            )

    def look(self) -> dict[str, float]:
        """Read what was noted, and return the terms of the last step.

        Raises:
            InputError: something was not finite; on all processes alike.
        """
        steps, self._steps = self._steps, []
        numbers = [step.numbers() for step in steps]
        read = torch.stack([value for each in numbers for value in each]).tolist()
        values: dict[str, float] = {}
        mine, found = [], []
        for step, each in zip(steps, numbers):
            of_step, read = read[: len(each)], read[len(each) :]
            values = self._terms(step, of_step)
            found.append(self._finding(step, of_step, values))
            mine.append(bool(found[-1]))
        everyones = distributed.anywhere(torch.tensor(mine, device=numbers[-1][-1].device))
        for step, finding, bad in zip(steps, found, everyones.tolist()):
            if bad:
                elsewhere = "all must be finite, got NaN or infinity in another process"
                raise InputError(
                    f"ContrastiveTrainer: {finding or elsewhere} at iteration {step.iteration} of "
                    f"epoch {step.epoch}, looked at after {steps[-1].iteration}. Lower the "
                    "learning rates, or check the images and what the loss reads; what was saved "
                    "before is untouched."
                )
        return values

    def _terms(self, step: _Step, numbers: Sequence[float]) -> dict[str, float]:
        return dict(zip(step.terms, numbers[step.images is not None :]))

    def _finding(self, step: _Step, numbers: Sequence[float], terms: Mapping[str, float]) -> str:
        """What of a step was not finite; "" where all was."""
        if step.images is not None and numbers[0]:
            names = batch_names(self._engine, step.iteration)
            bad = step.images.nonzero()[:, 0].tolist()
            images = [names[i] if i < len(names) else f"image {i} of the batch" for i in bad]
            return f"every image must be finite numbers, got NaN or infinity in {listed(images)}"
        wrong = [f"{name} {value}" for name, value in terms.items() if not math.isfinite(value)]
        if wrong:
            return f"every loss must be finite, got {', '.join(wrong)}"
        last = numbers[len(numbers) - 2 * len(step.gradients) :]
        for (phase, *_), size, scale in zip(step.gradients, last[::2], last[1::2]):
            if not math.isfinite(size) and not scale > 1:
                return (
                    "every gradient must be finite, got NaN or infinity in the phase "
                    f"{phase}, of which the loss is finite,"
                )
        return ""
