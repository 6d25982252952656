"""The bundle's own training and evaluation on the labels so far, each in a process of its own."""

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.checks import InputError, require, require_name
from common.files import read_json
from common.label.labels import Sample
from common.label.models import Model
from common.label.training_set import write_training_set

__all__ = ["train"]

ALIASES = {"max_epochs": "epochs", "train_batch_size": "batch_size"}  # MONAI Label's words
OVERLAYS = "overlays"
NAME = re.compile(r"\w[\w .+-]*")  # no sign that a configuration or a command line evaluates


def train(
    model: Model,
    samples: Sequence[Sample],
    settings: Mapping[str, Any],
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a bundle on the labels of the studies, evaluate, and make the result the newest model.

    The model that was there answers until then, and stays on the disk.

    Args:
        model: of the bundle.
        samples: all images of the studies, with their labels.
        settings: dials of the bundle's train.json and evaluate.json; MONAI Label's "max_epochs" and
            "train_batch_size" for epochs and batch_size; "overlays", names of its overlays;
            "device". What else MONAI Label sends is passed over.
        say: told what is being done.

    Returns:
        "counts" of the training set, "evaluation" (the figures), "model" (hash).

    Raises:
        InputError: too few labels, a wrong dial, or what the training ended with.
    """
    overlays = _overlays(model, settings.get(OVERLAYS, ()))
    asked = _asked(model, settings)
    folder = model.work / "training"
    counts = write_training_set(model, samples, folder / "data")
    say("training on " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    chosen = _chosen(model, asked, counts)
    for name in ("eval", "models"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "train.json").write_text(json.dumps(chosen["train"], indent=1), encoding="utf-8")
    begun: list[str | Path] = ["train", *overlays, folder / "train.json"]
    _run(model, begun, folder, say, {})
    _run(model, [*begun, "evaluate"], folder, say, chosen["evaluate"])
    (evaluation,) = (folder / "eval").glob("*/evaluation.json")
    figures = read_json(evaluation, "Train again.")
    model.deploy(folder / "models")
    numbers = {key: value for key, value in figures.items() if isinstance(value, int | float)}
    return {"counts": counts, "evaluation": numbers, "model": model.key}


def _overlays(model: Model, names: Any) -> list[str]:
    require(
        isinstance(names, list | tuple),
        f"{OVERLAYS}: must be a list of names of overlays, got {type(names).__name__}.",
    )
    for name in names:
        require_name(name, OVERLAYS)
        require(
            (model.folder / "configs" / f"{name}.json").is_file(),
            f"{OVERLAYS}: must be overlays of {model.name}, got {name!r}.",
        )
    return list(names)


def _asked(model: Model, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The dials that a client asks for: data, since a configuration would run texts of its own."""
    named = {ALIASES.get(key, key): value for key, value in settings.items()}
    asked = {key: named[key] for key in (*model.dials(), *model.evaluation_dials()) if key in named}
    for key, value in asked.items():
        require(
            _is_data(value),
            f"{key}: must be a finite number, a name or a list of them, got {value!r}.",
        )
    for key in ("epochs", "batch_size"):
        require(
            isinstance(asked.get(key, 1), int | float),
            f"{key}: must be a number, got {asked.get(key)!r}.",
        )
    return asked


def _is_data(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_data, value))
    if isinstance(value, str):
        return NAME.fullmatch(value) is not None
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _chosen(
    model: Model, asked: Mapping[str, Any], counts: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """The dials of train and evaluate: the newest model's, what suits few labels, what is asked."""
    known, later = model.dials(), model.evaluation_dials()
    own = model.train_config
    kept = {key: value for key, value in known.items() if value != own.get(key)}
    dials = {**model.built_otherwise(), **kept}
    if "label_fraction" in known:
        dials["label_fraction"] = 1.0  # all labels that were given
    if "num_classes" in known:
        dials["num_classes"] = len(model.choices)
    dials |= {key: asked[key] for key in known if key in asked}
    size = int(dials.get("batch_size", known.get("batch_size") or 1))
    dials["batch_size"] = max(1, min(size, counts["training"]))
    epochs = int(dials.get("epochs", known.get("epochs") or 1))
    for key in ("val_interval", "snapshot_interval"):
        if key in known and key not in asked:
            dials[key] = epochs
    evaluation = {"head_fitted_on": "training"} if "head_fitted_on" in later else {}
    evaluation |= {key: asked[key] for key in later if key in asked}
    return {"train": dials, "evaluate": evaluation}


def _run(
    model: Model,
    files: Sequence[str | Path],
    folder: Path,
    say: Callable[[str], None],
    dials: Mapping[str, Any],
) -> None:
    """Run configurations of the bundle, and pass on the line that a failure ends in."""
    configs = model.folder / "configs"
    paths = [str(configs / f"{f}.json") if isinstance(f, str) else str(f) for f in files]
    words = [sys.executable, "-W", "ignore", "-m", "common", "run", "--config_file", repr(paths)]
    places = {
        "bundle_root": model.folder,
        "dataset_dir": folder / "data",
        "output_dir": folder / "eval",
        "ckpt_dir": folder / "models",
        "logging_file": False,
        **dials,
    }
    for key, value in places.items():
        words += [f"--{key}", str(value)]
    say(f"{model.name}: {' and '.join(f for f in files if isinstance(f, str))}")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise InputError(lines[-1] if lines else f"{model.name}: the training ended early.")
