"""The analysis of a sweep: which classes win and lose as a dial is turned, beside chance.

::

    table.csv of one or several sweeps ──▶ series, each with accuracy (values, seeds, classes)
    ──common.metrics──▶ opposite classes, behaviours; with images of the classes, what goes along
    ──▶ ClassBias ──common.report──▶ analysis.json, analysis.html

A series is one dial with at least three values, all else alike: strategy, other dials, sweep. The
figures are those of "No Free Lunch in Self Supervised Representation Learning", section 3.1: Fig. 1
and 11 (classes), Fig. 2 (opposite classes), Fig. 3 (superclasses), Tables 1, 6 and 7.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from common.checks import require
from common.metrics.class_behaviour import class_behaviour, group_difference
from common.metrics.class_properties import PROPERTIES
from common.metrics.opposite_classes import correlation_tests, random_walks, shuffled
from common.report.class_bias import (
    Behaves,
    ClassBias,
    Control,
    Curve,
    Opposites,
    Pair,
    PropertyTest,
    Series,
)

__all__ = ["class_bias", "measures_of"]

MEASURES = ("recall", "accuracy", "f1", "auc", "mae")  # of classes, the first that is there
OVERALL = ("accuracy", "macro_auroc", "auc", "bacc", "mae")
GROUPS = "accuracy_by_"
LEAST = 3
_OWN = ("strategy", "seed", "measure", "class", "value")

Floats = NDArray[np.floating[Any]]
Properties = Mapping[str, Mapping[str, Floats]]  # by class, by property


class Cut(NamedTuple):
    """The rows of one series."""

    dial: str
    name: str
    rows: pd.DataFrame


def measures_of(table: pd.DataFrame) -> list[str]:
    """Measures that a table has of two classes or more, groups of classes left out."""
    named = table[table["class"] != ""]
    counts = named.groupby("measure", sort=False)["class"].nunique()
    return [name for name, count in counts.items() if count >= 2 and not name.startswith(GROUPS)]


def class_bias(
    tables: Mapping[str, pd.DataFrame],
    measure: str | None = None,
    properties: Properties | None = None,
    draws: int = 200,
) -> ClassBias:
    """Analyse sweeps.

    Args:
        tables: by the name of the sweep, as `common.sweep.read_table` gives them.
        measure: of classes; the first of recall, accuracy, F1, AUC and mae that is there unless
            given.
        properties: what `common.metrics.class_properties` says of each class, by its name; None
            to leave it out.
        draws: of each control.

    Raises:
        InputError: no such measure, no dial with three values, classes without images, or a package
            is missing.
    """
    measure = _measure(tables, measure)
    notes: list[str] = []
    series = []
    for cut in _cuts(tables):
        made = _series(cut, measure, draws, properties)
        if made is None:
            notes.append(f"{cut.dial}, {cut.name}: fewer than {LEAST} values with all classes.")
        else:
            series.append(made)
    first = next(iter(tables))
    require(
        bool(series),
        f"{first}: must hold a dial with at least {LEAST} numbers as values at which all classes "
        f"have {measure}, got none. Wait for more runs, or sweep more values.",
    )
    flat = {
        name: {
            number: float(value)
            for of, numbers in PROPERTIES.items()
            for number, value in zip(numbers, found[of])
        }
        for name, found in (properties or {}).items()
    }
    return ClassBias(
        measure=measure,
        sweeps=tuple(tables),
        draws=draws,
        series=tuple(_adjusted(series)),
        properties=flat,
        notes=tuple(notes),
    )


def _measure(tables: Mapping[str, pd.DataFrame], wanted: str | None) -> str:
    there = [measures_of(table) for table in tables.values()]
    common = [name for name in there[0] if all(name in names for names in there)]
    chosen = wanted or next((name for name in MEASURES if name in common), None)
    require(
        chosen in common,
        f"{', '.join(tables)}: must hold a measure of classes"
        f"{f' called {wanted}' if wanted else ''}, got {', '.join(common) or 'none'}. Give another "
        "--measure, or a sweep of a bundle that evaluates classes.",
    )
    return str(chosen)


def _cuts(tables: Mapping[str, pd.DataFrame]) -> Iterator[Cut]:
    """The series of all tables, dial by dial."""
    dials = {
        dial: None
        for table in tables.values()
        for dial in table.columns
        if dial not in _OWN and _is_swept(table[dial])
    }
    for dial, (sweep, table) in product(dials, tables.items()):
        if dial not in table or not _is_swept(table[dial]):
            continue
        others = [name for name in table.columns if name not in (dial, *_OWN)]
        for key, rows in table.groupby(["strategy", *others], sort=False, dropna=False):
            parts = [str(key[0]), *(f"{name} {value}" for name, value in zip(others, key[1:]))]
            name = ", ".join([*parts, *([sweep] if len(tables) > 1 else [])])
            yield Cut(dial, name, rows)


def _is_swept(column: "pd.Series[Any]") -> bool:
    return bool(pd.api.types.is_numeric_dtype(column)) and column.dropna().nunique() >= LEAST


def _series(cut: Cut, measure: str, draws: int, properties: Properties | None) -> Series | None:
    of_classes = cut.rows[(cut.rows["measure"] == measure) & (cut.rows["class"] != "")]
    classes = list(dict.fromkeys(of_classes["class"]))
    runs = of_classes.pivot_table("value", [cut.dial, "seed"], "class")[classes].dropna()
    every = sorted(cut.rows[cut.dial].dropna().unique())
    at = runs.index.get_level_values(0)
    values = sorted(at.unique())
    if len(values) < LEAST or len(classes) < 2:
        return None
    behaviour = class_behaviour(at.to_numpy(), runs.to_numpy())
    groups = [name for name in cut.rows["measure"].unique() if name.startswith(GROUPS)]
    overall = [curve for name in OVERALL for curve in _curves(cut, name, values) if not curve.name]
    return Series(
        dial=cut.dial,
        name=cut.name,
        values=tuple(map(float, values)),
        seeds=int(runs.groupby(level=0).size().max()),
        runs=len(runs),
        left_out=tuple(float(value) for value in every if value not in values),
        overall=next(iter(overall), None),
        classes=tuple(_curves(cut, measure, values, classes)),
        groups={name.removeprefix(GROUPS): tuple(_curves(cut, name, values)) for name in groups},
        opposites=_opposites(runs.groupby(level=0).mean().to_numpy(), classes, draws),
        behaviour={name: Behaves(**each._asdict()) for name, each in zip(classes, behaviour)},
        properties=tuple(_tests(classes, [each.name for each in behaviour], properties)),
    )


def _curves(
    cut: Cut, measure: str, values: Sequence[float], classes: Sequence[str] | None = None
) -> Iterator[Curve]:
    """Mean and standard deviation over seeds, of each class that the measure has."""
    rows = cut.rows[cut.rows["measure"] == measure]
    for name in dict.fromkeys(rows["class"]) if classes is None else classes:
        by_value = rows[rows["class"] == name].groupby(cut.dial)["value"]
        moments = (by_value.mean().reindex(values), by_value.std().reindex(values))
        mean, std = (tuple(map(float, moment)) for moment in moments)
        yield Curve(name=name, mean=mean, std=std)


def _opposites(mean: Floats, classes: Sequence[str], draws: int) -> Opposites:
    tests = correlation_tests(mean)
    found = tests.opposite()
    holm, hochberg = (tests.opposite(name) for name in ("holm", "fdr_bh"))
    strongest = np.argsort(tests.coefficient.mean(axis=0), kind="stable")
    pairs = tuple(
        Pair(
            first=classes[tests.first[k]],
            second=classes[tests.second[k]],
            coefficients=tuple(tests.coefficient[:, k].tolist()),
            p_values=tuple(tests.p_value[:, k].tolist()),
            holm=bool(holm[k]),
            benjamini_hochberg=bool(hochberg[k]),
        )
        for k in strongest
        if found[k]
    )
    share, of_holm, of_hochberg = (_share(tests.matrix(each)) for each in (found, holm, hochberg))
    drawn = list(shuffled(mean, draws))
    return Opposites(
        share=share,
        holm=of_holm,
        benjamini_hochberg=of_hochberg,
        pairs=pairs,
        tested=len(tests.first),
        shuffled=_control(share, map(_share, drawn)),
        shuffled_pairs=_control(_density(tests.matrix(found)), map(_density, drawn)),
        walks=_control(share, map(_share, random_walks(len(mean), len(classes), draws))),
    )


def _share(opposite: NDArray[np.bool_]) -> float:
    """Of classes that have an opposite."""
    return float(opposite.any(axis=0).mean())


def _density(opposite: NDArray[np.bool_]) -> float:
    """Of pairs of classes that are opposite."""
    return float(opposite.sum() / (len(opposite) * (len(opposite) - 1)))


def _control(share: float, drawn: Iterable[float]) -> Control:
    shares = np.array(list(drawn))
    low, high = np.quantile(shares, [0.025, 0.975])
    p_value = (1 + (shares >= share - 1e-12).sum()) / (1 + len(shares))
    return Control(
        mean=float(shares.mean()), low=float(low), high=float(high), p_value=float(p_value)
    )


def _tests(
    classes: Sequence[str], behaviour: Sequence[str], properties: Properties | None
) -> Iterator[PropertyTest]:
    """Each property as a whole, and each of its numbers where it has several."""
    if properties is None:
        return
    missing = [name for name in classes if name not in properties]
    require(
        not missing,
        f"--data: must hold images of every class of the sweep, got none of {', '.join(missing)}. "
        "Give the folder that the sweep was run on.",
    )
    for of, numbers in PROPERTIES.items():
        values = np.array([properties[name][of] for name in classes])
        yield _test(of, "", values, behaviour)
        if len(numbers) > 1:
            for column, number in zip(values.T, numbers):
                yield _test(number, of, column[:, None], behaviour)


def _test(name: str, of: str, values: Floats, behaviour: Sequence[str]) -> PropertyTest:
    f, p_value, reason = group_difference(values, np.array(behaviour))
    return PropertyTest(
        name=name, of=of, f=f, p_value=p_value, adjusted=float("nan"), reason=reason
    )


def _adjusted(series: Sequence[Series]) -> list[Series]:
    """With p-values adjusted over the properties of all series."""
    whole = [
        test.p_value
        for one in series
        for test in one.properties
        if not test.of and np.isfinite(test.p_value)
    ]
    if not whole:
        return list(series)
    adjusted = iter(false_discovery_control(whole))
    return [
        dataclasses.replace(
            one,
            properties=tuple(
                dataclasses.replace(test, adjusted=float(next(adjusted)))
                if not test.of and np.isfinite(test.p_value)
                else test
                for test in one.properties
            ),
        )
        for one in series
    ]
