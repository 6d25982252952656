"""Sections on opposite classes: how many beside chance, which, and what series share."""

from collections.abc import Sequence
from itertools import combinations

from common.report.charts import DotRow, dot_chart, line_chart, nice_axis
from common.report.class_bias.drawing import (
    PANEL,
    Scale,
    frame,
    line,
    number,
    p_value,
    percent,
    shade,
    written,
)
from common.report.class_bias.result import ClassBias, Pair, Series
from common.report.markup import (
    Markup,
    block,
    figure_table,
    folded,
    heading,
    legend,
    panel,
    panels,
    paragraph,
    section,
    swatch,
)

__all__ = ["opposites", "shared"]

DRAWN = 3  # pairs of a series
SIDES = ("var(--aligned)", "var(--conflicting)")
HEADS = (
    "opposite pairs", "pairs, shuffled (95 %)", "p", "classes with an opposite",
    "classes, shuffled (95 %)", "p", "Holm", "Benjamini-Hochberg", "random walks (95 %)",
)  # fmt: skip


def opposites(found: ClassBias) -> Markup:
    """Fig. 2: the share of classes with an opposite, of each series, beside the controls."""
    parts: list[str] = []
    for dial, series in found.by_dial().items():
        rows = [_dots(one, shade(k)) for k, one in enumerate(series)]
        chart = dot_chart(rows, nice_axis(0, 100), [], "classes with an opposite, %")
        parts += [heading(dial), chart, figure_table("series", HEADS, list(map(_row, series)))]
        drawn = [_panel(one, pair, found) for one in series for pair in one.opposites.pairs[:DRAWN]]
        if drawn:
            parts += [heading("The most opposite pairs"), panels(*drawn)]
            parts.append(folded(f"All pairs of {dial}", *map(_pairs, series)))
    note = (
        "Large dot: share of classes with an opposite, by the paper's rule. Line: 95 % of what "
        f"{found.draws} times shuffled accuracies give, and small dots their mean and that of "
        "random walks. Holm and Benjamini-Hochberg: share of classes with an opposite, corrected."
    )
    return section("opposites", "Classes with an opposite", *parts, paragraph(note, "note"))


def _dots(one: Series, colour: str) -> DotRow:
    found, chance = one.opposites, one.opposites.shuffled
    small = (
        (100 * chance.mean, f"shuffled: {percent(chance.mean)}"),
        (100 * found.walks.mean, f"random walks: {percent(found.walks.mean)}"),
    )
    words = f"{percent(found.share)}; shuffled {written(chance)}"
    ends = (100 * found.share, 100 * chance.low, 100 * chance.high)
    return DotRow(one.name, colour, words, small, *ends)


def _row(one: Series) -> tuple[str, list[str]]:
    of = one.opposites
    cells = [
        f"{len(of.pairs)} of {of.tested}", written(of.shuffled_pairs, 1),
        f"{of.shuffled_pairs.p_value:.2g}", percent(of.share), written(of.shuffled),
        f"{of.shuffled.p_value:.2g}", percent(of.holm), percent(of.benjamini_hochberg),
        written(of.walks),
    ]  # fmt: skip
    return one.name, cells


def _panel(one: Series, pair: Pair, found: ClassBias) -> Markup:
    scale = Scale.of(found)
    curves = {curve.name: curve for curve in one.classes}
    names = (pair.first, pair.second)
    lines = [line(one, curves[name], colour, scale) for name, colour in zip(names, SIDES)]
    chart = line_chart(lines, frame(one, lines, scale, PANEL), f"{pair.first} and {pair.second}")
    key = legend(*(swatch(colour, name) for name, colour in zip(names, SIDES)))
    return panel(chart + key, one.name, words=f"Pearson {number(pair.coefficients[0])}")


def _pairs(one: Series) -> Markup:
    heads = ["Pearson", "Spearman", "Kendall", "corrected"]
    rows = [(f"{pair.first} and {pair.second}", _cells(pair)) for pair in one.opposites.pairs]
    return block(one.name, figure_table("classes", heads, rows))


def _cells(pair: Pair) -> list[str]:
    each = zip(pair.coefficients, pair.p_values)
    passed = "Holm" if pair.holm else "Benjamini-Hochberg" if pair.benjamini_hochberg else "no"
    return [*(f"{number(r)} ({p_value(p)})" for r, p in each), passed]


def shared(found: ClassBias) -> Markup:
    """Tables 6 and 7: opposites that series share, and classes that behave alike in two."""
    parts: list[str] = []
    for dial, series in found.by_dial().items():
        if len(series) > 1:
            parts += [heading(dial), _in_several(series), _alike(series)]
    return section("shared", "What series share", *parts) if parts else Markup()


def _in_several(series: Sequence[Series]) -> Markup:
    having = [one.opposites.classes for one in series]
    counts = [sum(name in names for names in having) for name in set().union(*having)]
    rows = [
        (
            f"in all {least}" if least == len(series) else f"in at least {least}",
            [str(sum(count >= least for count in counts))],
        )
        for least in range(len(series), 0, -1)
    ]
    return figure_table("series", ["classes with an opposite"], rows)


def _alike(series: Sequence[Series]) -> Markup:
    rows = []
    for a, b in combinations(series, 2):
        both = [name for name in a.behaviour if name in b.behaviour]
        same = sum(a.behaviour[name].name == b.behaviour[name].name for name in both)
        rows.append((f"{a.name} and {b.name}", [f"{same} of {len(both)}"]))
    return figure_table("series", ["classes that behave alike"], rows)
