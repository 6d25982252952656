"""Sections of curves: every class, and groups of classes such as superclasses, by the dial."""

import math
from collections.abc import Sequence

from common.report.charts import Line, line_chart
from common.report.class_bias.drawing import (
    OVERALL,
    PANEL,
    Scale,
    frame,
    line,
    number,
    p_value,
    shade,
)
from common.report.class_bias.result import ClassBias, Curve, Series
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

__all__ = ["by_class", "by_group"]

SHOWN = 10  # classes of a chart, and as many colours


def by_class(found: ClassBias) -> Markup:
    """Fig. 1 and 11: a chart a series; of many classes the steepest are in colour."""
    parts: list[str] = []
    for dial, series in found.by_dial().items():
        few = all(len(one.classes) <= SHOWN for one in series)
        parts.append(heading(dial))
        if few:
            parts.append(_legend([curve.name for curve in series[0].classes]))
        parts.append(panels(*(_chart(one, found, few) for one in series), kind="halves"))
    note = "Dot: mean over seeds; bar: standard deviation over seeds."
    if any(len(one.classes) > SHOWN for one in found.series):
        note += f" Coloured: the {SHOWN} classes with the steepest lines."
    return section(
        "classes",
        f"{found.measure.capitalize()} of every class",
        *parts,
        paragraph(note, "note"),
        folded("All figures", *(_figures(one, found) for one in found.series)),
    )


def _legend(names: Sequence[str]) -> Markup:
    every = [swatch(f"var(--class-{k})", name) for k, name in enumerate(names)]
    return legend(swatch("var(--ink)", OVERALL), *every)


def _chart(one: Series, found: ClassBias, few: bool) -> Markup:
    scale = Scale.of(found)
    chosen = list(one.classes)
    if not few and len(chosen) > SHOWN:
        chosen.sort(key=lambda curve: one.behaviour[curve.name].slope)
        chosen = [*chosen[: SHOWN // 2], *chosen[-SHOWN // 2 :]]
    names = [curve.name for curve in chosen]
    lines = [
        Line(one.values, scale.shown(curve.mean), "var(--faint)", style="context")
        for curve in one.classes
        if curve.name not in names
    ]
    lines += [line(one, curve, f"var(--class-{k})", scale) for k, curve in enumerate(chosen)]
    if one.overall is not None:
        lines.append(line(one, one.overall, "var(--ink)", scale))
    chart = line_chart(lines, frame(one, lines, scale), f"{found.measure}, {one.name}")
    return panel(chart + (Markup() if few else _legend(names)), one.name)


def _figures(one: Series, found: ClassBias) -> Markup:
    scale = Scale.of(found)
    curves = [*([one.overall] if one.overall is not None else []), *one.classes]
    rows = [
        (
            curve.name or OVERALL,
            [
                *(_spread(mean, std, scale) for mean, std in zip(curve.mean, curve.std)),
                _behaviour(one, curve),
            ],
        )
        for curve in curves
    ]
    heads = [*(f"{value:g}" for value in one.values), f"behaviour (slope per unit of {one.dial})"]
    return block(f"{one.dial}, {one.name}", figure_table("class", heads, rows))


def _spread(mean: float, std: float, scale: Scale) -> str:
    if not math.isfinite(mean):
        return "–"
    words = f"{scale.factor * mean:.1f}"
    return words + (f" ± {scale.factor * std:.1f}" if math.isfinite(std) else "")


def _behaviour(one: Series, curve: Curve) -> str:
    if curve.name not in one.behaviour:
        return ""
    each = one.behaviour[curve.name]
    return f"{each.name} ({number(each.slope, '+.3g')}, {p_value(each.p_value)})"


def by_group(found: ClassBias) -> Markup:
    """Fig. 3: a panel a group of classes, with a line a series; nothing without groups."""
    parts: list[str] = []
    for dial, series in found.by_dial().items():
        for column in dict.fromkeys(name for one in series for name in one.groups):
            curves = [curve for one in series for curve in one.groups.get(column, ())]
            names = dict.fromkeys(curve.name for curve in curves)
            parts.append(heading(f"{column}, by {dial}"))
            parts.append(legend(*(swatch(shade(k), one.name) for k, one in enumerate(series))))
            parts.append(panels(*(_panel(series, column, name, found) for name in names)))
    if not parts:
        return Markup()
    note = "Dot: mean accuracy over seeds, %; bar: standard deviation. Each panel has its own axis."
    return section("groups", "Groups of classes", *parts, paragraph(note, "note"))


def _panel(series: Sequence[Series], column: str, name: str, found: ClassBias) -> Markup:
    scale = Scale.of(found)
    lines = [
        line(one, curve, shade(k), scale)
        for k, one in enumerate(series)
        for curve in one.groups.get(column, ())
        if curve.name == name
    ]
    return panel(line_chart(lines, frame(series[0], lines, scale, PANEL), name), name)
