"""What views leave as a shortcut: site, scanner, sex, age and the like, told from them."""

import math

from common.report.audit.figures import colour, drawn, interval, number, place
from common.report.audit.result import Audit, Shortcut
from common.report.charts import DotRow, dot_chart, nice_axis
from common.report.markup import Markup, figure_table, folded, paragraph, section
from common.report.words import sentence

__all__ = ["shortcut_name", "shortcuts"]


def _note(audit: Audit) -> str:
    known = audit.images.patients_known
    patient = "; the row patient is of other images of the same patients, its interval over images"
    return (
        "Balanced accuracy of a quick classifier that was fitted and tested on views, of "
        f"{drawn(audit)} it was not fitted on{patient if known else ''}. Large dot: views, with "
        f"the 95 % interval over {drawn(audit)}; small dots: the images as they are, and chance. "
        "What stays above chance is in both views of an image, so an encoder may use it to find "
        "the pair; whether a training does is not said here."
    )


def shortcut_name(each: Shortcut) -> str:
    """Return what an attribute is called in a sentence."""
    return {"mark": "mark at the border"}.get(each.attribute, each.attribute)


def shortcuts(audit: Audit, at: int) -> Markup:
    """The section of set `at`."""
    found = audit.sets[at].shortcuts
    title = "What the views leave as a shortcut"
    if not found:
        words = "No site, scanner, sex, age or the like is known of these images, or none varies."
        return section(place(at, "shortcuts"), title, paragraph(words))
    rows = [_row(each, at) for each in found]
    chart = dot_chart(rows, nice_axis(0, 1), [], "balanced accuracy")
    return section(
        place(at, "shortcuts"),
        title,
        chart,
        paragraph(_note(audit), "note"),
        folded("All figures of shortcuts", _table(found)),
    )


def _row(each: Shortcut, at: int) -> DotRow:
    before, after = each.untransformed, each.transformed
    small = tuple(
        (value, words)
        for value, words in (
            (before.value, f"images as they are: {number(before.value)}"),
            (each.chance, f"chance: {number(each.chance)}"),
        )
        if math.isfinite(value)
    )
    words = f"{interval(after)}, was {number(before.value)}; chance {number(each.chance)}"
    low, high = (end if math.isfinite(end) else None for end in (after.low, after.high))
    value = after.value if math.isfinite(after.value) else None
    return DotRow(sentence(shortcut_name(each)), colour(at), words, small, value, low, high)


def _table(found: tuple[Shortcut, ...]) -> Markup:
    heads = ["features", "values", "images", "chance", "as they are", "views"]
    rows = [
        (
            shortcut_name(each),
            [
                telling.features,
                str(len(each.values)),
                f"{each.images:,}",
                number(each.chance),
                interval(telling.untransformed),
                interval(telling.transformed),
            ],
        )
        for each in found
        for telling in each.tellings
    ]
    return figure_table("attribute", heads, rows)
