"""How hard the task is: distances of pairs, InfoNCE, and each transformation's share in it."""

import math
from dataclasses import replace

from common.report.audit.figures import colour, interval, number, place, setting
from common.report.audit.gallery import of_member
from common.report.audit.result import Audit, Difficulty, Part
from common.report.charts import Axis, DotRow, Frame, dot_chart, line_chart, nice_axis, steps
from common.report.markup import (
    Markup,
    figure_table,
    heading,
    legend,
    panel,
    panels,
    paragraph,
    section,
    swatch,
)
from common.report.words import plain

__all__ = ["difficulty"]

PAIRS = (
    ("positive", "var(--aligned)", "two views of one image"),
    ("negative", "var(--conflicting)", "views of two images"),
    ("untransformed", "var(--soft)", "two images as they are (dashed)"),
)
HEIGHT = 260


def difficulty(audit: Audit, at: int) -> Markup:
    """The section of set `at`."""
    one = audit.sets[at]
    found = one.difficulty
    chart = panel(_distances(found), "Distances of pairs")
    tables = panel(_figures(found), "")
    parts = [legend(*(swatch(tint, name) for _, tint, name in PAIRS))]
    parts.append(panels(chart, tables, kind="halves"))
    if one.parts:
        parts += [heading("Which transformation makes it hard"), *_parts(audit, at)]
    return section(
        place(at, "difficulty"),
        "How hard the task is",
        paragraph(_told(audit, found)),
        *parts,
    )


def _told(audit: Audit, found: Difficulty) -> str:
    encoder = audit.measurement.encoder
    whose = "an untrained encoder" if encoder == "untrained" else f"the encoder {encoder}"
    return (
        f"With {whose}, {100 * found.nearer:.1f} % of the views of other images are nearer to a "
        f"view than the other view of its own image; expected InfoNCE is {number(found.info_nce)} "
        f"nats ({number(found.guessing)} is guessing) in a batch of {found.images:,} images."
    )


def _distances(found: Difficulty) -> Markup:
    lines = [steps(found.edges, getattr(found, pair), tint, name) for pair, tint, name in PAIRS]
    lines[-1] = replace(lines[-1], style="guess", low=(), high=())  # dashed, behind the other two
    top = max(1e-9, *(max(line.y) for line in lines))
    frame = Frame(
        nice_axis(found.edges[0], found.edges[-1], 5).titled("distance"),
        Axis(0.0, top).titled("share of the pairs"),
        HEIGHT,
    )
    return line_chart(lines, frame, "Densities of the distances of pairs")


def _figures(found: Difficulty) -> Markup:
    rows = [
        ("mean distance, two views of one image", number(found.positive_mean)),
        ("mean distance, views of two images", number(found.negative_mean)),
        ("mean distance, two images as they are", number(found.untransformed_mean)),
        ("overlap of the first two densities (1: the same)", number(found.overlap)),
        ("area (chance that a positive is nearer; 0.5: guessing)", number(found.area)),
        ("negatives nearer than the positive", f"{100 * found.nearer:.1f} %"),
        ("alignment (0: views of an image agree)", number(found.alignment)),
        ("uniformity (lower: images spread out)", number(found.uniformity)),
        ("InfoNCE, nats", number(found.info_nce)),
        ("InfoNCE of guessing, nats", number(found.guessing)),
    ]
    return figure_table("figure", [""], [(name, [value]) for name, value in rows])


def _parts(audit: Audit, at: int) -> list[Markup]:
    parts = audit.sets[at].parts
    values = [100 * part.share for part in parts if math.isfinite(part.share)]
    shown: list[Markup] = []
    if values:
        rows = [_row(audit, part, at) for part in parts]
        axis = nice_axis(min(0.0, *values), max(10.0, *values))
        shown.append(dot_chart(rows, axis, [(0.0, "0")], "share of the set's difficulty, %"))
    heads = ["setting", "applied", "InfoNCE alone", "InfoNCE without"]
    lesions = any(part.lesions_kept is not None for part in parts)
    label = any(part.label_kept is not None for part in parts)
    heads += ["lesions kept, alone"] if lesions else []
    heads += ["label kept, alone"] if label else []
    table = [(_name(audit, part), _cells(part, lesions, label)) for part in parts]
    note = (
        "Share: by how much InfoNCE falls when the transformation is left out, of what the whole "
        "set adds to images as they are; shares need not add up to 100 %. Alone: the set with only "
        "this transformation, in a draw of its own, so that a part can lose more than the whole."
    )
    return [*shown, figure_table("transformation", heads, table), paragraph(note, "note")]


def _name(audit: Audit, part: Part) -> str:
    return f"{plain(part.transformation)}{of_member(audit, part.member)}"


def _row(audit: Audit, part: Part, at: int) -> DotRow:
    known = math.isfinite(part.share)
    words = f"{number(100 * part.share, 0)} %" if known else "not known"
    value = 100 * part.share if known else None
    return DotRow(_name(audit, part), colour(at), words, (), value)


def _cells(part: Part, lesions: bool, label: bool) -> list[str]:
    cells = [
        setting(part.transformation, part.words),
        share_of(part.probability),
        number(part.alone),
        number(part.without),
    ]
    for wanted, kept in ((lesions, part.lesions_kept), (label, part.label_kept)):
        if wanted:
            cells.append("–" if kept is None else interval(kept))
    return cells


def share_of(probability: float) -> str:
    """Return a probability as whole per cent."""
    return f"{100 * probability:.0f} %"
