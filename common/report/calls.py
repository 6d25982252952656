"""Sections on the class that a model names: which is taken for which, how surely, for whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.report.called import Estimate, Reliability
from common.report.cases import each_patient, worst_errors
from common.report.charts import reliability_chart
from common.report.groups import group_runs
from common.report.markup import Markup, figure_table, panel, panels, paragraph, section
from common.report.results import compared, who
from common.report.run import Run
from common.report.schema import Text, refuse
from common.report.words import class_named, of_100, plural

MOST = 12  # most classes for which the confusion matrix is shown whole
PAIRS = 12


@dataclass(frozen=True)
class CalledGroup:
    """Images that agree in a column of the manifest."""

    column: Text
    name: Text
    images: int
    patients: int
    accuracy: Estimate


@dataclass(frozen=True)
class Calls:
    """The classes named for test images.

    Attributes:
        classes: names by number.
        images: their number.
        patients: of theirs.
        accuracy: share of images whose class was named.
        calibration_error: of the most probable class.
        confusion: counts, rows by true class, columns by the class named.
        reliability: bins of the probability of the most probable class.
        subgroups: by column and name.
    """

    classes: tuple[Text, ...]
    images: int
    patients: int
    accuracy: Estimate
    calibration_error: Estimate
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[Reliability, ...]
    subgroups: tuple[CalledGroup, ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.classes) for row in (*self.confusion, self.confusion)):
            refuse("confusion", f"{len(self.classes)} lists of {len(self.classes)} integers")


def calls_of(runs: Sequence[Run]) -> tuple[Run | None, Calls | None]:
    """The run that is spoken of, the first seed of the verdict's first strategy, and its calls."""
    for run in compared(group_runs(runs))[0].runs:
        if (result := getattr(run.result, "calls", None)) is not None:
            return run, result
    return None, None


def in_words(runs: Sequence[Run]) -> list[str]:
    """Of how many of 100 images the class is named, and which two are confused most."""
    _, result = calls_of(runs)
    if result is None or result.accuracy.value is None:
        return []
    lines = [f"Names the right class of {of_100(result.accuracy.value)} of 100 images."]
    if pairs := _pairs(result):
        count, true, said = pairs[0]
        of = sum(result.confusion[true])
        named = [class_named(result.classes[number]) for number in (true, said)]
        lines.append(
            f"Its commonest error: {count} of {of} images of {named[0]} called {named[1]}."
        )
    return lines


def which_for_which(runs: Sequence[Run]) -> Markup:
    """Each class, and the confusion matrix (of many classes its largest entries)."""
    run, result = calls_of(runs)
    if run is None or result is None:
        return Markup()
    matrix = np.array(result.confusion)
    rows = [
        (name, [str(matrix[k].sum()), _share(matrix[k, k], matrix[k].sum()),
                _share(matrix[k, k], matrix[:, k].sum()),
                _share(2 * matrix[k, k], matrix[k].sum() + matrix[:, k].sum())])
        for k, name in enumerate(result.classes)
    ]  # fmt: skip
    heads = [
        "images",
        "sensitivity: named, of those of the class",
        "precision: of the class, of those named",
        "F1: the harmonic mean of both",
    ]
    words = (
        f"Of {result.images} {run.part or 'test'} images of {plural(result.patients, 'patient')} "
        f"the class of {result.accuracy.written()} was named (95 % interval over patients)."
    )
    return section(
        "classes",
        "Which is taken for which",
        paragraph(words),
        figure_table("class", heads, rows) if len(rows) <= 3 * MOST else Markup(),
        _matrix(result),
        paragraph(f"Of {who(runs, run)}.", "note"),
    )


def calibration(runs: Sequence[Run]) -> Markup:
    """The reliability curve of the most probable class."""
    _, result = calls_of(runs)
    if result is None:
        return Markup()
    bins = result.reliability
    counts = ", ".join(str(each.images) for each in bins)
    chart = reliability_chart(
        [(each.predicted, each.observed) for each in bins], "share called rightly"
    )
    error = f"error {result.calibration_error.written(percent=False)}"
    note = "Dashed: probabilities that mean what they say. Below it too much is promised."
    shown = panel(chart, "Reliability curve", value=error, words=f"images of each dot: {counts}")
    return section("curves", "Calibration", panels(shown, kind="halves"), paragraph(note, "note"))


def for_whom(runs: Sequence[Run]) -> Markup:
    """Accuracy of subgroups with their counts; nothing where there are none."""
    _, result = calls_of(runs)
    if result is None or not result.subgroups:
        return Markup()
    rows = [
        (
            f"{each.column}: {each.name}",
            [str(each.images), str(each.patients), each.accuracy.written()],
        )
        for each in result.subgroups
    ]
    table = figure_table("group", ["images", "patients", "accuracy"], rows)
    return section("subgroups", "For whom it works", table)


def worst(runs: Sequence[Run]) -> Markup:
    """The surest errors, as pictures."""
    run, result = calls_of(runs)
    if run is None or result is None:
        return Markup()
    names = result.classes

    def words(label: float, said: float) -> str:
        return f"called {class_named(names[int(said)])}, is {class_named(names[int(label)])}"

    return worst_errors(run, words, "No image was called wrongly.")


def patients(runs: Sequence[Run]) -> Markup:
    """A row a patient; nothing where every image is its own."""
    run, result = calls_of(runs)
    if run is None or result is None or result.patients == result.images:
        return Markup()

    def row(label: NDArray[Any], said: NDArray[Any]) -> list[str]:
        return [
            ", ".join(result.classes[int(k)] for k in np.unique(each)) for each in (label, said)
        ] + [f"{int((label != said).sum())}"]

    return each_patient(run, ["is", "called", "wrong images"], row)


SECTIONS = (which_for_which, calibration, for_whom, worst, patients)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"


def _pairs(result: Calls) -> list[tuple[int, int, int]]:
    """(images, true class, class named), of wrong ones, the commonest first."""
    every = [
        (count, true, said)
        for true, row in enumerate(result.confusion)
        for said, count in enumerate(row)
        if true != said and count
    ]
    return sorted(every, key=lambda each: -each[0])


def _matrix(result: Calls) -> Markup:
    names = result.classes
    if len(names) <= MOST:
        rows = [(names[k], [str(n) for n in row]) for k, row in enumerate(result.confusion)]
        return figure_table("is \\ called", names, rows)
    pairs = [(f"{names[t]} → {names[s]}", [str(n)]) for n, t, s in _pairs(result)[:PAIRS]]
    return figure_table("commonest errors", ["images"], pairs)
