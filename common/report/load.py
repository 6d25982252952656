"""Reading run folders: evaluation.json, history.json and gallery.npz, checked once."""

import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import InputError, require
from common.report.fields import CURE, Fields
from common.report.runs import Epoch, Gallery, History, Interval, Run, Transform

EVALUATION = "evaluation.json"
HISTORY = "history.json"
GALLERY = "gallery.npz"


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
    return Run(
        folder=folder,
        bundle=fields.text("bundle"),
        strategy=fields.text("strategy"),
        seed=fields.integer("seed"),
        settings=fields.table("settings"),
        versions=fields.table("versions"),
        counts=fields.table("counts"),
        epochs=tuple(sorted(map(_epoch, fields.items("epochs")), key=lambda epoch: epoch.number)),
        auc=fields.number("auc_mean", 0, 1),
        interval=_interval(fields.inside("interval")),
        baselines={
            name: Fields(fields.path, entry, f"baselines.{name}.").number("auc_mean", 0, 1)
            for name, entry in fields.table("baselines").items()
            if isinstance(entry, dict)
        },
        transform=_transform(fields.inside("transform")) if fields.has("transform") else None,
        history=_history(folder / HISTORY) if (folder / HISTORY).exists() else None,
        gallery=_gallery(folder / GALLERY) if (folder / GALLERY).exists() else None,
    )


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """Read all `folders`; refuse none at all and the same strategy and seed twice.

    Raises:
        InputError: see `load_run`; or no folder; or two runs that would count as one seed.
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
    return runs


def _interval(fields: Fields) -> Interval:
    level, low, high = (fields.number(name, 0, 1) for name in ("level", "low", "high"))
    return Interval(level, low, high, fields.text("method"))


def _epoch(fields: Fields) -> Epoch:
    return Epoch(
        fields.integer("epoch"), fields.number("auc_mean", 0, 1), fields.number("auc_std", 0)
    )


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
    arrays = _arrays(path)
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


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).replace("\n", " ")
        raise InputError(
            f"{path}: must be an npz file without pickles: {reason}. {CURE}"
        ) from error
