"""The age that a representation tells, watched while training."""

import logging

import numpy as np

from common.metrics.openbhb import fit_age
from common.metrics.probe_metric import ProbeMetric

__all__ = ["ProbeMAE"]

FOLDS = 3
FEWEST = 15  # two thirds of them are the ten that the ridge needs


class ProbeMAE(ProbeMetric):
    """Mean absolute error in years of a ridge regression on thirds of the data, in turn.

    For watching a training: the ridge of the challenge on the validation part, fitted on two
    thirds and read from the third. Every third subject belongs to a third, so that data in the
    order of age or site do not spoil it.

    Args:
        output_transform: ``engine.state.output -> (h (B, F), age (B,))``; NaN = not known.
    """

    def compute(self) -> float:
        """Return the error; NaN where there are fewer than `FEWEST` subjects with an age."""
        h, age = self.kept()
        known = np.isfinite(age)
        h, age = h[known], age[known].astype(np.float64)
        if len(age) < FEWEST:
            words = "no age error (nan): the part must hold %d subjects with an age, got %d"
            logging.getLogger(__name__).info(words, FEWEST, len(age))
            return float("nan")
        fold = np.arange(len(age)) % FOLDS
        errors = np.zeros_like(age)
        for number in range(FOLDS):
            here = fold == number
            errors[here] = np.abs(fit_age(h[~here], age[~here]).predict(h[here]) - age[here])
        return float(errors.mean())
