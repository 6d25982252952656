"""Whole sections of an audit: the verdict, each set of transformations, how to read it."""

from collections.abc import Sequence

from common.report.audit.destroys import destroys
from common.report.audit.difficulty import difficulty
from common.report.audit.figures import colour, drawn, pixel_of, place, setting
from common.report.audit.gallery import Detail, looks
from common.report.audit.missing import missing, nothing_found, warnings
from common.report.audit.proposal import cost, learned, proposal
from common.report.audit.result import Audit
from common.report.audit.shortcuts import shortcuts
from common.report.audit.thresholds import THRESHOLDS, Said
from common.report.audit.verdict import proposal_words, verdict
from common.report.markup import (
    Markup,
    anchored,
    bullets,
    facts,
    figure_table,
    folded,
    heading,
    linked,
    opened,
    paragraph,
    said,
    section,
    swatch,
)
from common.report.words import class_named, listed, plain, plural

__all__ = ["all_sets", "images", "in_words", "reading", "sentences"]

LIMITS = (
    "Research use only: not a medical device, and no basis for decisions about a patient.",
    "No encoder was trained: the figures say what views hold, not what a training makes of it.",
    "A quick classifier tells less than a large network might: what it does not find can be there.",
    "The figures hold for the images looked at; other scanners, hospitals or patients can give "
    "others.",
    "Intervals are of one figure each; among many figures some lie outside theirs by chance.",
)


def all_sets(audit: Audit, detail: Detail) -> list[Markup]:
    """Return all about each set; folded where there are several."""
    several = len(audit.sets) > 1
    return [_set(audit, at, detail, folds=several) for at in range(len(audit.sets))]


def in_words(audit: Audit) -> list[str]:
    """Return the findings, what could not be looked for, and the proposal of each set."""
    lines: list[str] = []
    for at, one in enumerate(audit.sets):
        name = f"{one.name}: " if len(audit.sets) > 1 else ""
        every = verdict(audit, at)
        found = [each.words for each in every if each.found] or [nothing_found(audit, at)]
        found += [each.words for each in every if each.unknown]
        proposed = proposal_words(audit, at, whole=True)
        found += [proposed.words] if proposed is not None else []
        lines += [f"{name}{words}" for words in found]
    unlooked = missing(audit)
    return lines + ([unlooked] if unlooked else []) + warnings(audit)


def sentences(audit: Audit) -> Markup:
    """The section with the verdict on each set."""
    parts: list[Markup] = []
    for at, one in enumerate(audit.sets):
        every = verdict(audit, at)
        if len(audit.sets) > 1:
            parts.append(heading(swatch(colour(at), one.name)))
        parts += _sentences(audit, at, [each for each in every if each.found])
        proposed = proposal_words(audit, at)
        if proposed is not None:
            words = linked(proposed.words, proposed.target, proposed.link)
            parts.append(paragraph(words, "proposed"))
        unfound = [each for each in every if not each.found]
        if unfound:
            lines = [linked(each.words, each.target, each.link) for each in unfound]
            title = "Looked for and not found"
            parts.append(opened(title, bullets(lines), opens=len(audit.sets) == 1))
    note = paragraph(f"In parentheses: 95 % intervals over {_whom(audit)}.", "note")
    told = [note, *(paragraph(words, "warning") for words in warnings(audit))]
    if unlooked := missing(audit):
        told.append(paragraph(unlooked, "note"))
    return section("verdict", "What these transformations do to these images", *told, *parts)


def _whom(audit: Audit) -> str:
    if not audit.images.patients_known:
        return "images, since patients are not told"
    return "patients (of the patient as a shortcut: over images)"


def _sentences(audit: Audit, at: int, found: Sequence[Said]) -> list[Markup]:
    if not found:
        return [paragraph(nothing_found(audit, at), "verdict")]
    return [said(linked(each.words, each.target, each.link)) for each in found]


def _set(audit: Audit, at: int, detail: Detail, *, folds: bool) -> Markup:
    make = (destroys, shortcuts, difficulty, learned, proposal, cost)
    parts = [_members(audit, at), looks(audit, at, detail)]
    parts += [each(audit, at) for each in make]
    if not folds:
        return anchored(place(at, "top"), *parts)
    title = swatch(colour(at), audit.sets[at].name)
    return anchored(place(at, "top"), opened(title, *parts, opens=at == 0, kind="whole"))


def _members(audit: Audit, at: int) -> Markup:
    """What the set consists of."""
    rows = []
    several = len(audit.sets[at].members) > 1
    for member in audit.sets[at].members:
        for name, words, probability in zip(member.order, member.words, member.probability):
            cells = [setting(name, words), f"{100 * probability:.0f} %", member.policy]
            cells += [member.name, str(member.count)] if several else []
            rows.append((plain(name), cells))
    heads = ["setting", "applied to", "λ drawn by"]
    heads += ["views", "of them"] if several else []
    table = figure_table("transformation", heads, rows)
    return section(place(at, "set"), "The set of transformations", table)


def reading(audit: Audit) -> Markup:
    """The section on how to read the page: thresholds, what was measured, limits."""
    measurement = audit.measurement
    words = (
        "A sentence stands in the verdict where its figure crosses the threshold and its 95 % "
        f"interval, {drawn(audit)} drawn with replacement, excludes the harmless value (where all "
        f"draws agree: the figure ± 3 / {drawn(audit)}). Everything else is listed as looked for "
        "and not found.",
        f"Views: {measurement.views} of each image, drawn as a training would draw them, seed "
        f"{measurement.seed}. Difficulty: a batch of {measurement.difficulty_images:,} images, "
        f"temperature {measurement.temperature:g}; from weak to strong: "
        f"{measurement.scan_images:,} images.",
        f"Alone: each transformation by itself is another draw, one view of each of "
        f"{measurement.scan_images:,} images, and always of other parameters than the whole set's. "
        "By chance it can lose more than the whole set that it is a part of.",
        "Information kept: (balanced accuracy on views − chance) / (that on the images as they are "
        "− chance), cut off at 0 and at 100 %: that a transformation makes classes easier to tell "
        "does not show.",
        "Lesions kept: whether at least half of the mask's mass is left, so only where the lesion "
        "lies; blur and noise are not counted.",
    )
    rows = [(name, [f"{value:g}", meaning]) for name, value, meaning in THRESHOLDS]
    return section(
        "reading",
        "How to read this page",
        *map(paragraph, words),
        heading("Thresholds of the verdict"),
        figure_table("threshold", ["value", "of what"], rows),
        heading("Limits"),
        bullets(LIMITS),
    )


def images(audit: Audit) -> Markup:
    """The section on what was looked at, and what was not."""
    images = audit.images
    spacing = " × ".join(f"{each:.3g}" for each in images.spacing)
    classes = listed(
        [f"{class_named(name)}: {count:,}" for name, count in
         zip(images.classes, images.class_counts)]
    )  # fmt: skip
    whole = " of whole patients" if images.patients_known else ""
    drawn = f" (a draw{whole})" if images.sampled else ""
    rows = [
        ("folder", images.source),
        ("images", f"{images.used:,} of {images.found:,}{drawn}"),
        ("patients", f"{images.patients:,}" if images.patients_known else
         "not told: each image counts as one"),
        ("label", f"{images.target or 'none'}{f' ({classes})' if classes else ''}"),
        ("images with a lesion's mask", f"{images.with_lesion:,}"),
        ("size looked at", f"{' × '.join(map(str, images.shape))} {pixel_of(audit)}s"),
        (pixel_of(audit), f"{spacing} {images.unit}"),
    ]  # fmt: skip
    parts = [facts([(name, [(value, "")]) for name, value in rows])]
    if audit.notes:
        parts += [heading("Notes on what was looked at"), bullets(audit.notes)]
    if images.skipped:
        lines = [f"image {each.number}: {each.reason}" for each in images.skipped]
        count = plural(len(lines), "image")
        parts.append(folded(f"{count} could not be used", bullets(lines)))
    return section("images", "The images", *parts)
