"""Sections of plain facts: settings, versions and counts, how to read the page, its limits."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from common.report.groups import group_runs
from common.report.markup import element, paragraph, section, text
from common.report.runs import Run
from common.report.words import listed

AUC_MEANS = (
    "AUC is the chance that the model ranks a randomly chosen image with the finding above one "
    "without it: 0.5 is guessing, 1 is perfect."
)
CHANNEL_MEANS = (
    "The encoder saw crops. Where the channel was trained it chose them, image by image, and no "
    "label said where to look; where it was not, most crops of a large field show nothing, and the "
    "encoder learns that. The maps show what the representation was made of, not why a class was "
    "named."
)
HOW_TO_READ = {
    "linear": (
        AUC_MEANS,
        "Each strategy trained the same encoder on differently transformed images; then the "
        "encoder was frozen and a linear classifier was fitted on labelled images the encoder had "
        "not seen, so a higher AUC means that the encoder learned more that is useful for the "
        "finding.",
        "Look at the intervals before the dots, at the baselines before calling a strategy good, "
        "and at the images before believing any figure: a transformation that removes the lesion "
        "cannot teach it.",
    ),
    "challenge": (
        "The encoder was frozen; ridge regression reads the age from its features and logistic "
        "regression the site, both fitted on the training subjects. Internal subjects come from "
        "the training sites, external ones from sites never seen.",
        "A good representation has a small age error on external subjects and does not tell the "
        "site. Lc = external error × (site balanced accuracy)^0.3 puts the two together.",
        "Sites differ in the age of their subjects, so features that hold age alone still tell a "
        "little of the site: compare with that floor, not only with chance. Figures from public "
        "data are not those of the challenge's leaderboard.",
    ),
    "accuracy": (
        "Accuracy is the share of images whose class was recognised, by the network as it was "
        "after its last epoch, not at its best on these images.",
        "Where a bias (a colour, a background, a site) usually goes with a class, bias-aligned "
        "images have the usual one and bias-conflicting images another. A network that learned "
        "the bias does well on the former only.",
        "Distances between images should depend on their class alone: where aligned and "
        "conflicting pairs have the same distribution, the representation ignores the bias.",
    ),
    "case_control": (
        AUC_MEANS,
        "Internal subjects come from the sites of the training subjects, external ones from other "
        "sites, as new patients would.",
        "Look at the intervals before the dots, and at the external figure before the internal "
        "one: what works at known scanners only does not help elsewhere.",
    ),
    "multi_label": (
        AUC_MEANS,
        "The encoder was trained without labels and frozen; for each finding a linear classifier "
        "was fitted on the training images. The mean over the findings compares the strategies.",
        "Look at each finding before the mean, at the intervals before the dots (a rare finding "
        "has a wide one), and at the baselines before calling a strategy good.",
    ),
    "macro_auroc": (
        "AUROC is the chance that the model ranks a randomly chosen image of a class above one of "
        "another class: 0.5 is guessing, 1 is perfect. The macro AUROC is its mean over the "
        "classes, so that a rare class counts as much as a frequent one.",
        "The encoder was trained without labels and frozen (unless it was fine-tuned); a linear "
        "classifier was trained on the training images, stopped where it did best on the "
        "validation images, and scored once on the test images. It was trained anew with each "
        "seed of the probe.",
        "Look at the intervals before the means, and at the baselines before calling a strategy "
        "good.",
    ),
}
LIMITS = (
    "Research use only: not a medical device, and no basis for decisions about a patient.",
    "The figures hold for the images evaluated here; other scanners, hospitals or patients can "
    "give others.",
    "The interval covers which patients were tested, not which were used for training; the seeds "
    "show part of the rest.",
)


def settings(runs: Sequence[Run]) -> str:
    """The dials; one that differs between runs is listed value by value."""
    dials = [
        {key: value for key, value in _flat(run.settings).items() if not _is_identity(run, key)}
        for run in runs
    ]
    return section("settings", "Settings", _table(runs, dials))


def _is_identity(run: Run, key: str) -> bool:
    """Whether the dial only repeats which run it is; the runs are listed elsewhere."""
    identity = {"seed": run.seed, "strategy": run.strategy, "bundle": run.bundle}
    return key in identity and run.settings.get(key) == identity[key]


def origin(runs: Sequence[Run]) -> str:
    """Versions, counts, seeds and, where recorded, the commit."""
    versions = [_flat(run.versions) for run in runs]
    recorded = any("commit" in version for version in versions)
    counts = [_flat(run.counts) for run in runs]
    trained = []
    for group in group_runs(runs):
        key = f" ({group.key})" if group.name != group.key else ""
        seeds = ", ".join(str(run.seed) for run in group.runs)
        trained.append(f"{group.name}{key}: seed{'s' if len(group.runs) > 1 else ''} {seeds}")
    bundles = listed(sorted({run.bundle for run in runs}))
    return section(
        "origin",
        "Data and software",
        element("h3", text(f"Runs of {bundles}")),
        element("ul", *(element("li", text(line)) for line in trained)),
        element("h3", "Counts"),
        _table(runs, counts),
        element("h3", "Versions"),
        _table(runs, versions),
        "" if recorded else paragraph("The commit of the code was not recorded.", "note"),
    )


def how_to_read(runs: Sequence[Run]) -> str:
    """Three paragraphs for a clinician, by the kind of the runs."""
    lines: Sequence[str] = HOW_TO_READ[runs[0].kind]
    if runs[0].kind == "accuracy" and not any(
        run.classes and run.classes.distances for run in runs
    ):
        lines = lines[:1]  # nothing was said of a bias
    if any(run.channel for run in runs):
        lines = [*lines, CHANNEL_MEANS]
    return section("reading", "How to read this page", *(paragraph(line) for line in lines))


def limits(runs: Sequence[Run]) -> str:
    """What the page must not be used for; the same for any runs."""
    return section("limits", "Limits", element("ul", *(element("li", text(s)) for s in LIMITS)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(runs: Sequence[Run], tables: Sequence[Mapping[str, Any]]) -> str:
    keys = dict.fromkeys(key for table in tables for key in table)
    if not keys:
        return paragraph("None recorded.")
    rows = []
    for key in keys:
        values = [_written(table[key]) if key in table else "not set" for table in tables]
        if len(set(values)) == 1:
            cell = text(values[0])
        else:
            cell = "".join(
                element("div", text(value), element("span", text(who), class_="who"))
                for value, who in _by_value(runs, values)
            )
        rows.append(element("tr", element("th", text(key), scope="row"), element("td", cell)))
    return element("table", element("tbody", *rows))


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
