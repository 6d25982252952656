"""What views destroy: lesions by size, views that show nothing, information about the label."""

import math
from collections.abc import Sequence

from common.report.audit.figures import (
    colour,
    drawn,
    interval,
    number,
    place,
    share,
    share_with,
)
from common.report.audit.gallery import of_member
from common.report.audit.result import (
    Audit,
    Blank,
    Estimate,
    GroupInformation,
    LabelInformation,
    Lesions,
    LesionSize,
    Scan,
    SetAudit,
)
from common.report.charts import DotRow, Frame, Line, dot_chart, line_chart, nice_axis
from common.report.markup import (
    Markup,
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
from common.report.words import class_named, plain, sentence

__all__ = ["destroys", "size_words"]

LABEL, LESION = "var(--aligned)", "var(--conflicting)"
PANEL = 130
FEATURES = {
    "pixels": "the pixels of the image at low resolution",
    "intensities": "grey values without their places",
    "encoder": "the features of the encoder",
}


def destroys(audit: Audit, at: int) -> Markup:
    """The section of set `at`."""
    one = audit.sets[at]
    parts = [*_lesions(audit, at, one.lesions), *_label(audit, at, one.label)]
    parts += [heading("From weak to strong"), *_strengths(audit, one)] if one.scans else []
    return section(place(at, "destroys"), "What the views destroy", *parts, *_blank(one.blank))


def _lesions(audit: Audit, at: int, found: Lesions | None) -> list[Markup]:
    if found is None:
        return [paragraph("Lesions: there are no masks, so nothing can be said about them.")]
    rows = [_kept_row("All lesions", found.kept, found.images, at)]
    rows += [
        _kept_row(sentence(size_words(audit, size)), size.kept, size.images, at)
        for size in found.sizes
    ]
    note = (
        f"Share of {found.views:,} views of {found.images:,} images with a lesion that keep at "
        "least half of its mass, by the lesion's diameter (of a disc or ball as large as the "
        "mask). Counted is where the lesion lies: blur and noise are not counted, so that a lesion "
        f"that is kept may no longer be visible. Line: 95 % interval over {drawn(audit)}."
    )
    return [
        heading("Lesions kept"),
        dot_chart(rows, nice_axis(0, 100), [], "views that keep the lesion, %"),
        paragraph(note, "note"),
    ]


def size_words(audit: Audit, size: LesionSize) -> str:
    """Return the sizes of a group of lesions, such as "3 to 6 mm"."""
    low, high = f"{size.low:.3g}", f"{size.high:.3g}"
    return f"{low} {audit.images.unit}" if low == high else f"{low} to {high} {audit.images.unit}"


def _kept_row(name: str, kept: Estimate, images: int, at: int) -> DotRow:
    words = share_with(kept)
    return DotRow(name, colour(at), f"{words}, {images:,} images", (), *_percentages(kept))


def _percentages(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    """Value and ends in per cent, None where there is none."""
    values = (estimate.value, estimate.low, estimate.high)
    value, low, high = (100 * each if math.isfinite(each) else None for each in values)
    return value, low, high


def _label(audit: Audit, at: int, found: LabelInformation | None) -> list[Markup]:
    if found is None:
        return [paragraph("The label: there is none, so nothing can be said about it.")]
    rows = [_told("all classes", found.untransformed, found.transformed, at)]
    rows += [
        _told(class_named(each.name), each.untransformed, each.transformed, at)
        for each in found.classes
    ]
    chance = (100 * found.chance, f"chance {100 * found.chance:.0f}")
    note = (
        f"A quick classifier on {_features(found)} tells "
        f"{_target(audit)} of {drawn(audit)} it was not fitted on: balanced accuracy, and of each "
        "class the share told rightly. Large dot: fitted and tested on views, with its 95 % "
        f"interval over {drawn(audit)}; small dot: on the images as they are."
    )
    parts = [
        heading("The label"),
        dot_chart(rows, nice_axis(0, 100), [chance], "told rightly, %"),
        paragraph(note, "note"),
    ]
    if found.sites:
        parts += [heading("The label, by site"), _groups("site", found.sites)]
    return [*parts, folded("All figures of the label", *_label_tables(found))]


def _features(found: LabelInformation) -> str:
    """Name the features that tell most of images and of views."""
    of = [FEATURES.get(kind, kind) for kind in (found.features, found.features_of_views) if kind]
    if len(set(of)) == 1:
        return of[0]
    return f"what tells most ({of[0]} of the images as they are, {of[1]} of views)"


def _target(audit: Audit) -> str:
    target = audit.images.target
    return f"“{target}”" if target not in ("", "label") else "the label"


def _told(name: str, before: Estimate, after: Estimate, at: int) -> DotRow:
    words = f"{share_with(after)}, was {share(before)}"
    small = ((100 * before.value, f"images as they are: {share(before)}"),)
    finite = small if math.isfinite(before.value) else ()
    return DotRow(sentence(name), colour(at), words, finite, *_percentages(after))


def _groups(corner: str, groups: Sequence[GroupInformation]) -> Markup:
    heads = ["images", "as they are", "views", "loss"]
    rows = [
        (
            each.name,
            [
                f"{each.images:,}",
                interval(each.untransformed),
                interval(each.transformed),
                interval(each.loss),
            ],
        )
        for each in groups
    ]
    return figure_table(corner, heads, rows)


def _label_tables(found: LabelInformation) -> list[Markup]:
    tellings = [
        (each.features, [interval(each.untransformed), interval(each.transformed)])
        for each in found.tellings
    ]
    return [
        figure_table("features", ["as they are", "views"], tellings),
        paragraph(f"Chance is {number(found.chance)}; information kept {interval(found.kept)}."),
        _groups("class", found.classes),
    ]


def _blank(blank: Blank) -> list[Markup]:
    words = (
        f"Views that show nothing: {_rare(blank.black.value)} of {blank.views:,} views are black, "
        f"{_rare(blank.constant.value)} are of one other value; of the images as they are, "
        f"{_rare(blank.images)} are one or the other."
    )
    note = (
        "Judged by what a person sees: pixels stand out that differ by 16 of 255 grey values from "
        "the view's commonest one; a view shows nothing where they are less than 2 % as many as in "
        "its image, such as a faint rim that a soft window leaves."
    )
    return [heading("Views that show nothing"), paragraph(words), paragraph(note, "note")]


def _rare(value: float) -> str:
    return f"{100 * value:.1f} %" if 0 < value < 0.095 else f"{100 * value:.0f} %"


def _strengths(audit: Audit, one: SetAudit) -> list[Markup]:
    """A small chart a transformation: what is kept by how strong it is."""
    kinds = [
        swatch(tint, name)
        for tint, name, there in (
            (LABEL, "information about the label kept", "label_kept"),
            (LESION, "lesions kept", "lesions_kept"),
        )
        if any(getattr(step, there) is not None for scan in one.scans for step in scan.steps)
    ]
    if not kinds:
        return [paragraph("Without a label and without masks there is nothing to be kept.")]
    shown = [_strength(audit, scan) for scan in one.scans]
    keep = audit.measurement.keep
    note = (
        "Across: strength of the transformation alone, from nothing to the strongest that was "
        "tried; up: share kept, %, with 95 % intervals. Dashed: what a proposal must keep "
        f"({100 * keep:.0f} %)."
    )
    return [legend(*kinds), panels(*shown), paragraph(note, "note")]


def _strength(audit: Audit, scan: Scan) -> Markup:
    lines = [
        line
        for tint, name in ((LABEL, "label_kept"), (LESION, "lesions_kept"))
        if (line := _line(scan, name, tint)) is not None
    ]
    keep = 100 * audit.measurement.keep
    lines.append(Line((0.0, 1.0), (keep, keep), "var(--soft)", style="guess"))
    ys = [y for line in lines for y in (*line.y, *line.low, *line.high) if math.isfinite(y)]
    across = nice_axis(0, 1, 2)
    frame = Frame(across, nice_axis(min(0.0, *ys), max(100.0, *ys), 4), PANEL)
    title = f"{plain(scan.transformation)}{of_member(audit, scan.member)}"
    return panel(line_chart(lines, frame, f"{title}, kept by strength"), title)


def _line(scan: Scan, kept: str, tint: str) -> Line | None:
    every = [(step.strength, getattr(step, kept)) for step in scan.steps]
    known = [(x, each) for x, each in every if each is not None]
    if not known:
        return None
    y, low, high = (
        tuple(100 * getattr(each, end) for _, each in known) for end in ("value", "low", "high")
    )
    name = {"label_kept": "label kept", "lesions_kept": "lesions kept"}[kept]
    return Line(tuple(x for x, _ in known), y, tint, name, low, high, bars=True)
