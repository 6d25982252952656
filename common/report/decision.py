"""Sections on a decision by a threshold: can it be trusted, at which threshold, for whom?"""

from collections.abc import Sequence

import numpy as np

from common.report.called import NAMES, Decision, Estimate
from common.report.cases import each_patient, worst_errors
from common.report.charts import Frame, Line, line_chart, nice_axis, reliability_chart
from common.report.groups import group_runs
from common.report.markup import (
    Markup,
    block,
    figure_table,
    heading,
    panel,
    panels,
    paragraph,
    section,
)
from common.report.results import compared, who
from common.report.run import Run
from common.report.words import plural

OF_GROUPS = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity"}
INK, FAINT = "var(--accent)", "var(--faint)"
HEIGHT = 300


def decisions_of(runs: Sequence[Run]) -> tuple[Run | None, Sequence[Decision]]:
    """The run that is spoken of, the first seed of the verdict's first strategy, its decisions."""
    lead, _ = compared(group_runs(runs))
    for run in lead.runs:
        if decisions := getattr(run.result, "decisions", ()):
            return run, decisions
    return None, ()


def in_words(runs: Sequence[Run]) -> list[str]:
    """A sentence a finding: "Finds 54 of 60 images with pneumonia, and wrongly calls 4 ..."."""
    lines = []
    for each in decisions_of(runs)[1]:
        (right, alarm), (missed, hit) = each.confusion
        lines.append(
            f"Finds {hit} of {missed + hit} {each.who}, and wrongly calls {alarm} of the "
            f"{right + alarm} others: test part, threshold chosen on validation."
        )
    return lines


def at_the_threshold(runs: Sequence[Run]) -> Markup:
    """Figures at the threshold, of images and patients, and the confusion matrix."""
    run, decisions = decisions_of(runs)
    if run is None:
        return Markup()
    parts: list[Markup] = []
    for each in decisions:
        scored_on, chosen = each.scored_on, each.chosen_on
        words = (
            f"Threshold {each.shown_as}: the greatest sensitivity + specificity on "
            f"{plural(chosen.images, 'validation image')} of {plural(chosen.patients, 'patient')} "
            f"({chosen.positive} with it), never on the test part. The figures are of "
            f"{plural(scored_on.images, 'test image')} of {plural(scored_on.patients, 'patient')}, "
            f"{100 * scored_on.positive / scored_on.images:.0f} % of them with it; both "
            "predictive values change with that share."
        )
        rows = [
            (name, [_figure(each.figures, key), _figure(each.patients, key)])
            for key, name in NAMES.items()
        ]
        (right, alarm), (missed, hit) = each.confusion
        matrix = [
            ("with it", [str(hit), str(missed)]),
            ("without it", [str(alarm), str(right)]),
        ]
        parts += [
            *([heading(each.title)] if len(decisions) > 1 else []),
            paragraph(words),
            figure_table("figure", ["images (95 % interval)", "patients (95 % interval)"], rows),
            figure_table("truth", ["called", "not called"], matrix),
        ]
    note = (
        f"{run.result.whose_threshold} Intervals draw patients with replacement. A patient is "
        f"called by the mean probability of the images. Of {who(runs, run)}."
    )
    return section("threshold", "At the threshold", *parts, paragraph(note, "note"))


def curves(runs: Sequence[Run]) -> Markup:
    """ROC, precision-recall and reliability, the threshold marked."""
    run, decisions = decisions_of(runs)
    if run is None:
        return Markup()
    parts = [
        block(each.title, panels(*_panels(each), kind="halves"))
        if len(decisions) > 1
        else panels(*_panels(each), kind="halves")
        for each in decisions
    ]
    note = (
        "Dot: the chosen threshold. Dashed: guessing; in the last chart, probabilities that mean "
        "what they say. Below the dashed line too much is promised. The expected calibration error "
        "is the mean distance from it, weighted by the images of each dot."
    )
    return section(
        "curves", "At other thresholds, and calibration", *parts, paragraph(note, "note")
    )


def for_whom(runs: Sequence[Run]) -> Markup:
    """Figures of subgroups with their counts."""
    run, decisions = decisions_of(runs)
    if run is None:
        return Markup()
    parts = []
    for each in decisions:
        rows = [
            (
                f"{group.column}: {group.name}",
                [
                    str(group.images),
                    str(group.patients),
                    str(group.positive),
                    *(_figure(group.figures, name) for name in OF_GROUPS),
                ],
            )
            for group in each.subgroups
        ]
        if rows:
            title = [heading(each.title)] if len(decisions) > 1 else []
            heads = ["images", "patients", "with it", *OF_GROUPS.values()]
            parts += [*title, figure_table("group", heads, rows)]
    if not parts:
        words = "The prepared data name no site, sex, age or other group with two values or more."
        return section("subgroups", "For whom it works", paragraph(words))
    note = "At the same threshold. Where few images are with it, or few without, a figure says "
    note += "little: look at its interval."
    return section("subgroups", "For whom it works", *parts, paragraph(note, "note"))


def worst(runs: Sequence[Run]) -> Markup:
    """The greatest errors of the first finding, as pictures."""
    run, decisions = decisions_of(runs)
    if run is None:
        return Markup()

    def words(label: float, said: float) -> str:
        kind = "missed, with it" if label == 1 else "false alarm, without it"
        return f"{kind}: probability {said:.2f}"

    return worst_errors(run, words, "No image was called wrongly.", _which(decisions))


def patients(runs: Sequence[Run]) -> Markup:
    """A row a patient, of the first finding."""
    run, decisions = decisions_of(runs)
    if run is None:
        return Markup()
    threshold = decisions[0].threshold

    def row(label: np.ndarray, said: np.ndarray) -> list[str]:
        mean = float(said.mean())
        known = label[label >= 0]
        truth = "–" if not len(known) else "yes" if (known == 1).any() else "no"
        called = "yes" if mean > threshold else "no"
        return [truth, f"{mean:.3f}", called, "" if truth in ("–", called) else "wrong"]

    heads = ["with it", "mean probability", "called", ""]
    return each_patient(run, heads, row, _which(decisions))


SECTIONS = (at_the_threshold, curves, for_whom, worst, patients)


def _which(decisions: Sequence[Decision]) -> str:
    """The finding whose cases are kept, the first, where there are several."""
    return decisions[0].title if len(decisions) > 1 else ""


def _figure(figures: dict[str, Estimate], key: str) -> str:
    figure = figures.get(key)
    return "" if figure is None else figure.written(percent=key not in ("auc", "average_precision"))


def _panels(each: Decision) -> list[Markup]:
    sensitivity, specificity, precision, error = (
        each.figures[name]
        for name in ("sensitivity", "specificity", "positive_value", "calibration_error")
    )
    known = sensitivity.value or 0.0, specificity.value or 0.0, precision.value or 0.0
    share = each.scored_on.positive / each.scored_on.images
    bins = each.reliability
    counts = ", ".join(str(b.images) for b in bins)
    return [
        panel(
            _chart("1 − specificity", "sensitivity", each.roc, ((0, 1), (0, 1)),
                   (1 - known[1], known[0]), "ROC curve"),
            "ROC curve", value=_figure(each.figures, "auc"),
        ),
        panel(
            _chart("recall (sensitivity)", "precision", each.precision_recall,
                   ((0, 1), (share, share)), (known[0], known[2]), "Precision-recall curve"),
            "Precision and recall", value=_figure(each.figures, "average_precision"),
        ),
        panel(
            reliability_chart([(b.predicted, b.observed) for b in bins], "share with it"),
            "Reliability curve", value=f"error {error.written(percent=False)}",
            words=f"images of each dot: {counts}",
        ),
    ]  # fmt: skip


def _chart(
    across: str,
    up: str,
    curve: tuple[tuple[float, ...], tuple[float, ...]],
    guess: tuple[tuple[float, float], tuple[float, float]],
    chosen: tuple[float, float],
    title: str,
) -> Markup:
    axis = nice_axis(0.0, 1.0, 4)
    lines = [
        Line(*guess, FAINT, style="guess"),
        Line(*curve, INK, style="mean"),
        Line((chosen[0],), (chosen[1],), "var(--chosen)", style="chosen"),
    ]
    return line_chart(lines, Frame(axis.titled(across), axis.titled(up), HEIGHT), title)
