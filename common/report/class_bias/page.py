"""The page of an analysis, and the same in sentences."""

from collections.abc import Callable, Sequence
from pathlib import Path

from common.report.class_bias.classes import by_class, by_group
from common.report.class_bias.drawing import Scale, percent, written
from common.report.class_bias.opposites import opposites, shared
from common.report.class_bias.properties import properties
from common.report.class_bias.result import ClassBias, Series
from common.report.markup import Markup, bullets, facts, folded, heading, paragraph, section
from common.report.page import bare_page, write_page
from common.report.words import listed, plural

__all__ = ["in_words", "write_analysis"]

CHANCE = 0.05
LIMITS = (
    "Research use only: not a medical device, and no basis for decisions about a patient.",
    "The figures hold for the images and trainings of these sweeps.",
    "That two classes move in opposite ways says nothing of why; that a property goes along with a "
    "behaviour does not say that it causes it.",
)
READING = (
    "A class has an opposite if, over the values of the dial, at least one of the Pearson, "
    "Spearman and Kendall correlations of its mean accuracy with that of another class is below "
    "−0.3 with a p-value of its own below 0.05. This is the rule of the paper (No Free Lunch in "
    "Self Supervised Representation Learning). It makes three tests for each of many pairs and "
    "corrects for none of them, so with many classes nearly every one has an opposite by chance: "
    "the number of pairs then says more than the share of classes.",
    "Shuffled: the same rule on the same accuracies, those of each class in a random order. What "
    "is not above it is no finding. Random walks: on smooth curves that mean nothing; the rule "
    "takes the values of a curve for independent, so smooth curves alone make opposites.",
    "Holm and Benjamini-Hochberg are the same rule with all p-values of a series adjusted "
    "together; of a few values of a dial hardly any p-value is small enough to pass.",
    "A class is ascending or descending if the slope of the line through the accuracies of all "
    "runs has a p-value below 0.05, else random.",
)


def write_analysis(found: ClassBias, output: Path, title: str) -> Path:
    """Write the page of an analysis, self-contained; return `output`.

    Raises:
        InputError: `output` is a folder, or cannot be written.
    """
    make: list[Callable[[ClassBias], Markup]] = [
        _verdict, by_class, opposites, shared, by_group, properties, _reading,
    ]  # fmt: skip
    seeds = max(one.seeds for one in found.series)
    about = " · ".join(
        [
            f"{'Sweeps' if len(found.sweeps) > 1 else 'Sweep'} {listed(found.sweeps)}",
            f"{len(found.series)} series",
            plural(sum(one.runs for one in found.series), "run"),
            f"up to {plural(seeds, 'seed')} a value",
            f"measure of classes: {found.measure}",
        ]
    )
    return write_page(bare_page(title, about, [each(found) for each in make]), output)


def in_words(found: ClassBias) -> list[str]:
    """Say what came out, a sentence a dial and a sentence a series."""
    lines = []
    for dial, series in found.by_dial().items():
        lines.append(_of_dial(dial, series, Scale.of(found)))
        lines += [f"{one.name}: {_of_chance(one)}" for one in series]
    return lines


def _of_dial(dial: str, series: Sequence[Series], scale: Scale) -> str:
    """By how much the mean over all images moves, and by how much that of a class."""
    low, high = (f"{end(end(one.values) for one in series):g}" for end in (min, max))
    spans = [
        (max(curve.mean) - min(curve.mean), curve.name, one.name)
        for one in series
        for curve in one.classes
    ]
    most, of_class, of_series = max(spans)
    means = [one.overall.mean for one in series if one.overall is not None]
    unit = " points" if scale.unit else ""
    whole = ""
    if means:
        moved = scale.factor * max(max(mean) - min(mean) for mean in means)
        whole = f"the mean over all images moves by at most {moved:.1f}{unit}, "
    return (
        f"{dial} from {low} to {high}: {whole}that of a single class by up to "
        f"{scale.factor * most:.1f}{unit} ({of_class}, {of_series})."
    )


def _of_chance(one: Series) -> str:
    found, chance = one.opposites, one.opposites.shuffled_pairs
    beyond = "more than" if chance.p_value < CHANCE else "not more than"
    return (
        f"{len(found.pairs)} of {found.tested} pairs of classes are opposite, {beyond} shuffled "
        f"accuracies give ({written(chance, 1)}, p = {chance.p_value:.2g}); "
        f"{percent(found.share)} of classes have an opposite (shuffled {written(found.shuffled)}), "
        f"corrected for many tests {percent(found.holm)} (Holm) and "
        f"{percent(found.benjamini_hochberg)} (Benjamini-Hochberg)."
    )


def _verdict(found: ClassBias) -> Markup:
    parts = []
    for dial, series in found.by_dial().items():
        parts.append(paragraph(_of_dial(dial, series, Scale.of(found)), "verdict"))
        beyond = [one.name for one in series if one.opposites.shuffled_pairs.p_value < CHANCE]
        words = (
            "More pairs of classes are opposite than shuffled accuracies give in "
            f"{len(beyond)} of {len(series)} series"
        )
        parts.append(paragraph(f"{words}{': ' + listed(beyond) if beyond else ''}."))
    left = [
        f"{one.dial} {value:g}, {one.name}: not every class has a figure there."
        for one in found.series
        for value in one.left_out
    ]
    if notes := [*found.notes, *left]:
        parts += [heading("Left out"), bullets(notes)]
    return section("result", "What was found", *parts)


def _reading(found: ClassBias) -> Markup:
    versions = [(name, [(version, "")]) for name, version in found.versions.items()]
    return (
        section("reading", "How to read this page", *map(paragraph, READING))
        + section("limits", "Limits", bullets(LIMITS))
        + (section("software", "Software", folded("Versions", facts(versions))) if versions else "")
    )
