"""Sections of plain facts: settings, versions and counts, how to read the page, its limits."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from common.report.groups import group_runs
from common.report.markup import Markup, bullets, facts, folded, heading, paragraph, section
from common.report.run import Run
from common.report.words import listed, plural

LIMITS = (
    "Research use only: not a medical device, and no basis for decisions about a patient.",
    "The figures hold for the images evaluated here; other devices, sites or patients can give "
    "others.",
    "The interval covers which patients were tested, not which were used for training; the seeds "
    "show part of the rest.",
)


def about(runs: Sequence[Run]) -> str:
    """What was evaluated, on what, when, with which seeds, in a line."""
    sets = sorted({run.about.data_set for run in runs} - {""})
    dates = sorted({run.about.date for run in runs} - {""})
    seeds = sorted({run.seed for run in runs})
    names = [group.name for group in group_runs(runs)]
    parts = [
        f"Bundle {listed(sorted({run.bundle for run in runs}))}",
        *([f"data: {listed(sets)}"] if sets else []),
        plural(len(names), "strategy").replace("strategys", "strategies") + f": {listed(names)}",
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}",
        *([f"evaluated {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"] if dates else []),
    ]
    return " · ".join(parts)


def settings(runs: Sequence[Run]) -> Markup:
    """The dials, folded; one that differs between runs is listed value by value."""
    dials = [
        {
            key: value
            for key, value in _flat(run.about.settings).items()
            if not _is_identity(run, key)
        }
        for run in runs
    ]
    return section("settings", "Settings", folded("All dials", _table(runs, dials)))


def _is_identity(run: Run, key: str) -> bool:
    """Whether the dial only repeats which run it is; the runs are listed elsewhere."""
    identity = {"seed": run.seed, "strategy": run.strategy, "bundle": run.bundle}
    return key == "title" or (key in identity and run.about.settings.get(key) == identity[key])


def origin(runs: Sequence[Run]) -> Markup:
    """Versions, counts, seeds and, where recorded, the commit."""
    versions = [_flat(run.about.versions) for run in runs]
    recorded = any("commit" in version for version in versions)
    counts = [
        {name.replace("_", " "): n for name, n in _flat(run.result.counts).items()} for run in runs
    ]
    trained = []
    for group in group_runs(runs):
        key = f" ({group.key})" if group.name != group.key else ""
        seeds = ", ".join(str(run.seed) for run in group.runs)
        trained.append(f"{group.name}{key}: seed{'s' if len(group.runs) > 1 else ''} {seeds}")
    bundles = listed(sorted({run.bundle for run in runs}))
    return section(
        "origin",
        "Data and software",
        heading(f"Runs of {bundles}"),
        bullets(trained),
        heading("Counts"),
        _table(runs, counts),
        heading("Versions"),
        _table(runs, versions),
        "" if recorded else paragraph("The commit of the code was not recorded.", "note"),
    )


def how_to_read(runs: Sequence[Run]) -> Markup:
    """A few paragraphs for a clinician, by the kind of the runs."""
    kinds = {run.kind.name: run.kind for run in runs}.values()
    lines = dict.fromkeys(line for kind in kinds for line in kind.how_to_read(runs))
    return section("reading", "How to read this page", *(paragraph(line) for line in lines))


def limits(runs: Sequence[Run]) -> Markup:
    """What the page must not be used for; the same for any runs."""
    return section("limits", "Limits", bullets(LIMITS))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _written(value: object) -> str:
    if isinstance(value, str):
        return value or "none"
    return json.dumps(value, ensure_ascii=False)


def _table(runs: Sequence[Run], tables: Sequence[Mapping[str, Any]]) -> Markup:
    keys = dict.fromkeys(key for table in tables for key in table)
    if not keys:
        return paragraph("None recorded.")
    rows = []
    for key in keys:
        values = [_written(table[key]) if key in table else "not set" for table in tables]
        alike = len(set(values)) == 1
        rows.append((key, [(values[0], "")] if alike else _by_value(runs, values)))
    return facts(rows)


def _by_value(runs: Sequence[Run], values: Sequence[str]) -> list[tuple[str, str]]:
    """Return (value, who has it): a strategy whose seeds agree by name, else seed by seed."""
    of_run = {id(run): value for run, value in zip(runs, values)}
    owners: dict[str, list[str]] = {}
    for group in group_runs(runs):
        if len({of_run[id(run)] for run in group.runs}) == 1:
            owners.setdefault(of_run[id(group.runs[0])], []).append(group.name)
            continue
        for run in group.runs:
            owners.setdefault(of_run[id(run)], []).append(f"{group.name} (seed {run.seed})")
    return [(value, ", ".join(who)) for value, who in owners.items()]
