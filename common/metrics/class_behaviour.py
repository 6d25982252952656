"""How classes react to a setting, and whether what they look like goes along with it.

"No Free Lunch in Self Supervised Representation Learning", section 3.1 and Table 1: by the slope of
the line through its accuracies a class is ascending, descending or "random"; properties of the
classes' images are compared between these groups by ANOVA and MANOVA.

Differs from the paper: it does not print when a slope counts as none, nor which of the two tests
gave a figure. Ours: p >= 0.05 of the slope; ANOVA for one number a class, MANOVA (Wilks' lambda)
for several.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f_oneway, linregress

from common.checks import InputError, require

__all__ = ["BEHAVIOURS", "Behaviour", "Difference", "class_behaviour", "group_difference"]

BEHAVIOURS = ("ascending", "descending", "random")
_P_VALUE = 0.05

Floats = NDArray[np.floating[Any]]


class Behaviour(NamedTuple):
    """What one class does: slope of the line, per unit of the setting, and its p-value."""

    name: str
    slope: float
    p_value: float


class Difference(NamedTuple):
    """Between groups of classes: F and p-value, NaN where they cannot be had; then why not."""

    f: float
    p_value: float
    reason: str = ""


def class_behaviour(values: Floats, accuracy: Floats) -> list[Behaviour]:
    """Fit a line through the accuracies of each class.

    Args:
        values: ``(runs,)`` of the setting.
        accuracy: ``(runs, classes)``: every run counts, seeds are not averaged.

    Raises:
        InputError: fewer than 3 runs, or all at one value.

    >>> class_behaviour(np.arange(4.0), np.array([[0.1], [0.2], [0.31], [0.39]]))[0].name
    'ascending'
    """
    values, accuracy = np.asarray(values, dtype=float), np.asarray(accuracy, dtype=float)
    require(
        accuracy.ndim == 2 and len(accuracy) == len(values) >= 3 and float(np.ptp(values)) > 0,
        "class_behaviour: values must be (runs >= 3,), not all one, and accuracy (runs, classes), "
        f"got {values.shape} and {accuracy.shape}.",
    )
    found = []
    for column in accuracy.T:
        line = linregress(values, column)
        rising = "ascending" if line.slope > 0 else "descending"
        name = rising if line.pvalue < _P_VALUE else "random"
        found.append(Behaviour(name, float(line.slope), float(line.pvalue)))
    return found


def group_difference(properties: Floats, group: NDArray[Any]) -> Difference:
    """Test whether groups of classes differ in a property: ANOVA of one number, MANOVA of several.

    Args:
        properties: ``(classes, features)``.
        group: ``(classes,)``; groups of a single class are left out.

    Returns:
        F and p-value, or the reason why there are none.

    Raises:
        InputError: several features, and statsmodels is not installed.
    """
    properties, group = np.asarray(properties, dtype=float), np.asarray(group)
    names, sizes = np.unique(group, return_counts=True)
    names = names[sizes >= 2]
    kept = np.isin(group, names) & np.isfinite(properties).all(axis=1)
    properties, group = properties[kept], group[kept]
    if len(names) < 2:
        return Difference(np.nan, np.nan, "fewer than two groups of two classes")
    if len(group) < len(names) + properties.shape[1]:
        return Difference(np.nan, np.nan, "fewer classes than groups and features")
    if properties.shape[1] == 1:
        found = f_oneway(*(properties[group == name, 0] for name in names))
        return Difference(float(found.statistic), float(found.pvalue))
    return _manova(properties, group, names)


def _manova(properties: Floats, group: NDArray[Any], names: NDArray[Any]) -> Difference:
    try:
        from statsmodels.multivariate.manova import MANOVA
    except ImportError:
        raise InputError(
            "group_difference: MANOVA needs the package statsmodels, got none. pip install "
            '"monai-contrastive-bundles[analysis]", or pip install -e ".[analysis]" in a checkout.'
        ) from None
    within = np.column_stack([np.ones(len(group)), *(group == name for name in names[1:])])
    scaled = (properties - properties.mean(axis=0)) / properties.std(axis=0).clip(1e-12)
    contrast = np.eye(len(names))[1:]
    try:
        with warnings.catch_warnings(action="ignore"):
            test = MANOVA(scaled, within.astype(float)).mv_test([("group", contrast)])
    except (ValueError, np.linalg.LinAlgError) as error:
        return Difference(np.nan, np.nan, f"MANOVA: {str(error).splitlines()[0]}")
    row = test.results["group"]["stat"].loc["Wilks' lambda"]
    return Difference(float(row["F Value"]), float(row["Pr > F"]))
