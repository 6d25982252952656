"""Reading run folders: evaluation.json, history.json and archives of arrays, checked."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from common.checks import require
from common.report.arrays import read_arrays
from common.report.channel_run import load_channel
from common.report.fields import CURE, Fields
from common.report.load_kinds import (
    LINEAR,
    MEASURES,
    age,
    cases,
    chance,
    classes,
    finding_baselines,
    findings,
    kind_of,
    tables,
)
from common.report.probe_run import load_probe
from common.report.runs import Epoch, Gallery, History, Interval, Measure, Run, Transform

EVALUATION = "evaluation.json"
HISTORY = "history.json"
GALLERY = "gallery.npz"
SCORES = "scores.npz"


def load_run(folder: Path) -> Run:
    """Read the run in `folder`.

    Args:
        folder: holds evaluation.json, and perhaps history.json and gallery.npz.

    Returns:
        The run; `history` and `gallery` are None where their files are absent.

    Raises:
        InputError: the folder or evaluation.json is missing, or a value breaks its rule.
    """
    require(
        folder.is_dir(),
        f"{folder}: must be a run folder, got no folder there. Check the path of the run.",
    )
    fields = Fields.load(folder / EVALUATION)
    kind = kind_of(fields)
    measure = MEASURES[kind]
    scores = folder / SCORES
    arrays = read_arrays(scores) if kind == "challenge" and scores.exists() else None
    return Run(
        folder=folder,
        bundle=fields.text("bundle"),
        strategy=fields.text("strategy"),
        seed=fields.integer("seed"),
        settings=fields.table("settings"),
        versions=fields.table("versions"),
        counts=fields.table("counts"),
        kind=kind,
        measure=measure,
        epochs=tuple(
            sorted((_epoch(f, measure) for f in fields.items("epochs")), key=lambda e: e.number)
        ),
        value=_shown(fields, measure.key, measure),
        interval=_interval(fields.inside("interval"), measure),
        baselines={
            name: _shown(entry, measure.key, measure)
            for name, entry in tables(fields, "baselines").items()
        },
        chance=chance(fields, kind),
        transform=_transform(fields.inside("transform")) if fields.has("transform") else None,
        history=_history(folder / HISTORY) if (folder / HISTORY).exists() else None,
        gallery=_gallery(folder / GALLERY) if (folder / GALLERY).exists() else None,
        age=age(fields, arrays, scores) if kind == "challenge" else None,
        classes=classes(fields) if kind == "accuracy" else None,
        cases=cases(fields) if kind == "case_control" else None,
        findings=findings(fields) if kind == "multi_label" else {},
        finding_baselines=finding_baselines(fields) if kind == "multi_label" else {},
        channel=load_channel(fields.inside("channel"), folder) if fields.has("channel") else None,
        probe=load_probe(fields, folder) if kind == "macro_auroc" else None,
    )


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """Read all `folders`; refuse none at all and the same strategy and seed twice.

    Raises:
        InputError: see `load_run`; or no folder; two runs that would count as one seed; runs
            judged by different figures, or evaluated on different data.
    """
    require(len(folders) > 0, "build_report: runs must be at least one folder, got none. Name one.")
    runs = [load_run(folder) for folder in folders]
    seen: dict[tuple[str, int], Path] = {}
    for run in runs:
        twin = seen.setdefault((run.strategy, run.seed), run.folder)
        require(
            twin is run.folder,
            f"{run.folder / EVALUATION}: strategy and seed must differ between runs, got "
            f"{run.strategy} with seed {run.seed} also in {twin}. Leave one of the two out.",
        )
        require(
            run.measure is runs[0].measure,
            f"{run.folder / EVALUATION}: must be judged by {runs[0].measure.name} as "
            f"{runs[0].folder} is, got {run.measure.name}. Make a report for each.",
        )
        seen_on, first = (_scored_on(each) for each in (run, runs[0]))
        require(
            seen_on == first,
            f"{run.folder / EVALUATION}: must be evaluated on the data that {runs[0].folder} is "
            f"({first}), got {seen_on}. Evaluate both on the same, or give each data set an "
            "--output_dir of its own.",
        )
    return runs


def _scored_on(run: Run) -> str:
    """Name the data that gave a run its figure: `common.data.fingerprint`, and the part."""
    data = run.settings.get("data")
    named = ["data not recorded" if data is None else f"data {data}"]
    return ", ".join([*named, *([f"{run.classes.part} part"] if run.classes else [])])


def _shown(fields: Fields, key: str, measure: Measure) -> float:
    return measure.scale * fields.number(key, 0, measure.highest)


def _interval(fields: Fields, measure: Measure) -> Interval:
    level = fields.number("level", 0, 1)
    if fields.has(measure.key):
        low, high = (measure.scale * end for end in fields.numbers(measure.key, 2))
    else:
        low, high = (_shown(fields, name, measure) for name in ("low", "high"))
    return Interval(level, low, high, fields.text("method"))


def _epoch(fields: Fields, measure: Measure) -> Epoch:
    number, value = fields.integer("epoch"), _shown(fields, measure.key, measure)
    spread = fields.number("auc_std", 0) if measure is MEASURES[LINEAR] else 0.0
    return Epoch(number, value, spread)


def _transform(fields: Fields) -> Transform:
    names = fields.texts("names")
    histogram = fields.inside("histogram")
    edges = histogram.numbers("edges")
    rows = histogram.values.get("counts")
    where = f"{fields.path}: {histogram.prefix}"
    require(
        len(edges) >= 2 and all(low < high for low, high in pairwise(edges)),
        f"{where}edges must be two or more increasing numbers, got {edges}. Evaluate again.",
    )
    require(
        isinstance(rows, list) and len(rows) == len(names),
        f"{where}counts must be one list per parameter. Evaluate again.",
    )
    counts = [
        Fields(fields.path, {"counts": row}, histogram.prefix).numbers("counts", len(edges) - 1)
        for row in rows or []
    ]
    kept = fields.number("lesion_kept", 0, 1) if fields.has("lesion_kept") else None
    return Transform(
        names=names,
        mean=fields.numbers("lam_mean", len(names)),
        spread=fields.numbers("lam_std_over_images", len(names)),
        edges=edges,
        counts=tuple(counts),
        lesion_kept=kept,
        n_lesion_images=fields.integer("n_lesion_images") if kept is not None else 0,
    )


def _history(path: Path) -> History:
    fields = Fields.load(path)
    epochs = fields.numbers("epoch")
    terms = fields.inside("terms")
    return History(epochs, {name: terms.numbers(name, len(epochs)) for name in terms.values})


def _gallery(path: Path) -> Gallery | None:
    """Read the example images; None where the archive holds none."""
    arrays = read_arrays(path)
    if not arrays:
        return None
    for name in ("image", "transformed", "lam", "name"):
        require(
            name in arrays, f"{path}: must hold an array {name!r}, got {sorted(arrays)}. {CURE}"
        )
    shape = arrays["image"].shape
    require(len(shape) == 3, f"{path}: image must have shape (n, H, W), got {shape}. {CURE}")
    for name in ("transformed", "mask", "transformed_mask"):
        got = arrays.get(name, arrays["image"]).shape
        require(got == shape, f"{path}: {name} must have image's shape {shape}, got {got}. {CURE}")
    for name, axes in (("lam", 2), ("name", 1)):
        got = arrays[name].shape
        require(
            len(got) == axes and got[0] == shape[0],
            f"{path}: {name} must have {axes} axes, the first of length {shape[0]}, got {got}. "
            f"{CURE}",
        )
    numbers = {key: value.astype(np.float64) for key, value in arrays.items() if key != "name"}
    return Gallery(
        names=tuple(str(name) for name in arrays["name"]),
        image=numbers["image"],
        transformed=numbers["transformed"],
        lam=numbers["lam"],
        mask=numbers.get("mask"),
        transformed_mask=numbers.get("transformed_mask"),
    )
