"""The age that a representation tells, watched while training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from torch import Tensor

from common.evaluation.challenge import fit_age

__all__ = ["ProbeMAE"]

FOLDS = 3


class ProbeMAE(Metric):
    """Mean absolute error in years of a ridge regression on thirds of the data, in turn.

    For watching a training: the ridge of the challenge on the validation part, fitted on two
    thirds and read from the third. Every third subject belongs to a third, so that data in the
    order of age or site do not spoil it.

    Args:
        output_transform: ``engine.state.output -> (h (B, F), age (B,))``; NaN = not known.
    """

    def __init__(
        self, output_transform: Callable[[Any], tuple[Tensor, Tensor]] = lambda output: output
    ) -> None:
        super().__init__(output_transform)

    def reset(self) -> None:
        """Forget all subjects."""
        self._h: list[Tensor] = []
        self._age: list[Tensor] = []

    def update(self, output: tuple[Tensor, Tensor]) -> None:
        """Add ``(h (B, F), age (B,))``."""
        h, age = output
        self._h.append(h.detach().float().cpu())
        self._age.append(age.detach().cpu())

    def compute(self) -> float:
        """Return the error; NaN where there are fewer than 15 subjects with an age."""
        h, age = torch.cat(self._h).numpy(), torch.cat(self._age).numpy().astype(np.float64)
        known = np.isfinite(age)
        h, age = h[known], age[known]
        if len(age) < 15:  # the ridge needs ten in two thirds of them
            return float("nan")
        fold = np.arange(len(age)) % FOLDS
        errors = np.zeros_like(age)
        for number in range(FOLDS):
            here = fold == number
            errors[here] = np.abs(fit_age(h[~here], age[~here]).predict(h[here]) - age[here])
        return float(errors.mean())
