"""Several sets of transformations side by side."""

import math
from collections.abc import Callable, Sequence

from common.report.audit.figures import colour, number, place, share, share_with
from common.report.audit.result import Audit, Estimate, SetAudit
from common.report.charts import DotRow, dot_chart, nice_axis
from common.report.markup import (
    Markup,
    figure_table,
    folded,
    heading,
    linked,
    paragraph,
    section,
    swatch,
)
from common.report.words import class_named, sentence

__all__ = ["comparison"]

INTERVALS = "Each figure's interval is in the charts below and in the section of its set."


def comparison(audit: Audit) -> Markup:
    """The section that compares the sets; nothing where there is one."""
    if len(audit.sets) < 2:
        return Markup()
    masks = any(one.lesions is not None for one in audit.sets)
    lesions = " Lesions kept: by where they lie; blur and noise are not counted." if masks else ""
    return section(
        "compare",
        "The sets side by side",
        _table(audit),
        paragraph(f"{INTERVALS}{lesions}", "note"),
        *_charts(audit),
        *_classes(audit),
    )  # fmt: skip


def _table(audit: Audit) -> Markup:
    """A row a figure, a column a set: there are more figures than sets."""
    attributes = list(dict.fromkeys(each.attribute for one in audit.sets for each in one.shortcuts))
    names = ["lesions kept", "label kept", "class that loses most"]
    names += [f"{attribute} told (chance)" for attribute in attributes]
    names += ["negatives nearer", "InfoNCE, nats (guessing)", "seconds per 1,000 views"]
    columns = [_cells(one, attributes) for one in audit.sets]
    heads = [
        linked(swatch(colour(at), _broken(one.name)), place(at, "top"), "details")
        for at, one in enumerate(audit.sets)
    ]
    rows = [
        (name, list(cells))
        for name, cells in zip(names, zip(*columns, strict=True))
        if set(cells) != {"–"}
    ]
    return figure_table("figure", heads, rows)


def _cells(one: SetAudit, attributes: Sequence[str]) -> list[str]:
    told = {each.attribute: each for each in one.shortcuts}
    return [
        share(one.lesions.kept) if one.lesions is not None else "–",
        share(one.label.kept) if one.label is not None else "–",
        _loses_most(one),
        *(
            f"{number(told[name].transformed.value)} ({number(told[name].chance)})"
            if name in told
            else "–"
            for name in attributes
        ),
        f"{100 * one.difficulty.nearer:.1f} %",
        f"{number(one.difficulty.info_nce)} ({number(one.difficulty.guessing)})",
        f"{one.cost.seconds_per_1000_views:.3g}",
    ]


def _loses_most(one: SetAudit) -> str:
    if one.label is None:
        return "–"
    lost = {each.name: each.loss.value for each in one.label.classes}
    for name in one.label.losers:
        return f"{class_named(name)}, {number(100 * lost[name], 0)} points"
    return "none clearly"


def _lesions_kept(one: SetAudit) -> Estimate | None:
    return None if one.lesions is None else one.lesions.kept


def _label_kept(one: SetAudit) -> Estimate | None:
    return None if one.label is None else one.label.kept


def _charts(audit: Audit) -> list[Markup]:
    shown = _chart(audit, "Lesions kept, %", _lesions_kept)
    shown += _chart(audit, "Information about the label kept, %", _label_kept)
    shortcuts = {each.attribute: each.chance for one in audit.sets for each in one.shortcuts}
    for attribute, chance in shortcuts.items():

        def told(one: SetAudit, attribute: str = attribute) -> Estimate | None:
            every = {each.attribute: each.transformed for each in one.shortcuts}
            return every.get(attribute)

        title = f"{sentence(attribute)} told from views, balanced accuracy, %"
        shown += _chart(audit, title, told, [(100 * chance, f"chance {100 * chance:.0f}")])
    return shown


def _broken(name: str) -> str:
    """A name that may be broken into lines behind its underlines."""
    return name.replace("_", "_\u200b").replace("+", "+\u200b")


def _chart(
    audit: Audit,
    title: str,
    of: Callable[[SetAudit], Estimate | None],
    references: Sequence[tuple[float, str]] = (),
) -> list[Markup]:
    """A row a set; nothing where no set has the figure."""
    rows, values = [], [0.0, 100.0]
    for at, one in enumerate(audit.sets):
        estimate = of(one)
        if estimate is None or not math.isfinite(estimate.value):
            rows.append(DotRow(_broken(one.name), colour(at), "not known"))
            continue
        value, low, high = (
            100 * each if math.isfinite(each) else None
            for each in (estimate.value, estimate.low, estimate.high)
        )
        values += [each for each in (value, low, high) if each is not None]
        rows.append(
            DotRow(_broken(one.name), colour(at), share_with(estimate), (), value, low, high)
        )
    if all(row.mean is None for row in rows):
        return []
    axis = nice_axis(min(values), max(values))
    return [heading(title), dot_chart(rows, axis, references, title)]


def _classes(audit: Audit) -> list[Markup]:
    """Loss of each class by set."""
    labels = [one.label for one in audit.sets if one.label is not None]
    names = list(dict.fromkeys(each.name for label in labels for each in label.classes))
    if len(labels) < len(audit.sets) or not names:
        return []
    of = [{each.name: each.loss.value for each in label.classes} for label in labels]
    rows = [
        (class_named(name), [number(100 * losses.get(name, math.nan), 0) for losses in of])
        for name in names
    ]
    table = figure_table("class", [_broken(one.name) for one in audit.sets], rows)
    note = "Points by which the share told rightly falls from the images as they are to the views."
    return [folded("What each class loses, by set", table, paragraph(note, "note"))]
