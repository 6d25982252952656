"""What a sweep says of single classes: the schema of ``analysis.json``.

`common.evaluation.class_bias` fills it in. Shares are
from 0 to 1; accuracies are in the units of the sweep's table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.report.schema import Number, Share, Text, Unknown, refuse

__all__ = [
    "Behaves",
    "ClassBias",
    "Control",
    "Curve",
    "Opposites",
    "Pair",
    "PropertyTest",
    "Series",
]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A figure at each value of the dial: mean and standard deviation over seeds, NaN for none."""

    name: str
    mean: tuple[Unknown, ...]
    std: tuple[Unknown, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two classes with opposite behaviour, and their three correlations with p-values."""

    first: Text
    second: Text
    coefficients: tuple[Unknown, ...]
    p_values: tuple[Unknown, ...]
    holm: bool = False
    benjamini_hochberg: bool = False


@dataclass(frozen=True, kw_only=True)
class Control:
    """A share where there is nothing to find: of classes with an opposite, or of opposite pairs.

    Attributes:
        mean: over draws.
        low: the 2.5th percentile of the draws.
        high: the 97.5th.
        p_value: share of draws, the real accuracies counted as one, with at least as many.
    """

    mean: Share
    low: Share
    high: Share
    p_value: Share


@dataclass(frozen=True, kw_only=True)
class Opposites:
    """How many classes have an opposite.

    Attributes:
        share: of classes, by the paper's rule.
        holm: of classes, all p-values adjusted by Holm's method.
        benjamini_hochberg: likewise, by Benjamini and Hochberg's.
        pairs: those of the paper's rule, the most negative mean of the coefficients first.
        tested: pairs there are.
        shuffled: the share of classes in accuracies shuffled over the values, class by class.
        shuffled_pairs: the share of pairs in them.
        walks: the share of classes in random walks of as many steps.
    """

    share: Share
    holm: Share
    benjamini_hochberg: Share
    pairs: tuple[Pair, ...]
    tested: int
    shuffled: Control
    shuffled_pairs: Control
    walks: Control

    @property
    def classes(self) -> set[str]:
        """Those with an opposite by the paper's rule."""
        return {name for pair in self.pairs for name in (pair.first, pair.second)}


@dataclass(frozen=True, kw_only=True)
class Behaves:
    """What a class does: "ascending", "descending" or "random"; slope per unit of the dial."""

    name: Text
    slope: Number
    p_value: Unknown


@dataclass(frozen=True, kw_only=True)
class PropertyTest:
    """Whether classes that behave differently look different.

    Attributes:
        name: of a property, or of one of its numbers.
        of: the property, where `name` is one of its numbers.
        f: of ANOVA, or of MANOVA for a property of several numbers.
        p_value: of it.
        adjusted: the p-value adjusted over all of the analysis, by Benjamini and Hochberg.
        reason: why there is none.
    """

    name: Text
    of: str = ""
    f: Unknown
    p_value: Unknown
    adjusted: Unknown
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One dial swept, all else alike.

    Attributes:
        dial: that is swept.
        name: what else tells it from the others: strategy, other dials, sweep.
        values: of the dial, increasing.
        seeds: most runs at a value.
        runs: in all.
        left_out: values at which a class has no figure.
        overall: of all images; None where the table has none.
        classes: a curve each.
        groups: curves of groups of classes, such as superclasses, by what groups them.
        opposites: see there.
        behaviour: by class.
        properties: see there; empty where no images were given.
    """

    dial: Text
    name: Text
    values: tuple[Number, ...]
    seeds: int
    runs: int
    left_out: tuple[Number, ...] = ()
    overall: Curve | None
    classes: tuple[Curve, ...]
    groups: dict[str, tuple[Curve, ...]] = field(default_factory=dict)
    opposites: Opposites
    behaviour: dict[str, Behaves]
    properties: tuple[PropertyTest, ...] = ()

    def __post_init__(self) -> None:
        for curve in self.classes:
            if not len(curve.mean) == len(curve.std) == len(self.values):
                refuse("classes", f"curves of {len(self.values)} numbers")


@dataclass(frozen=True, kw_only=True)
class ClassBias:
    """An analysis of one or several sweeps.

    Attributes:
        measure: of the curves of classes, as the table calls it.
        sweeps: names of their folders.
        draws: of the controls.
        series: see there.
        properties: by class, the numbers by name; empty where no images were given.
        images: of each class that the properties are of.
        versions: of software.
        notes: what was left out, a sentence each.
    """

    measure: Text
    sweeps: tuple[Text, ...]
    draws: int
    series: tuple[Series, ...]
    properties: dict[str, dict[str, Unknown]] = field(default_factory=dict)
    images: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def by_dial(self) -> Mapping[str, list[Series]]:
        """The series of each dial, in order."""
        return {
            dial: [one for one in self.series if one.dial == dial]
            for dial in dict.fromkeys(one.dial for one in self.series)
        }
