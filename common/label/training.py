"""The bundle's own training and evaluation on the labels so far, each in a process of its own."""

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monai.bundle import ConfigParser

from common.checks import InputError, require, require_name
from common.config import check, effective, unknown_keys
from common.files import read_json, replacing
from common.label.labels import Sample
from common.label.models import Model
from common.label.patients import patients_of
from common.label.training_set import write_training_set
from common.report import outcome

__all__ = ["MONAI_LABELS", "check_settings", "epoch_of", "last_result", "offered", "train"]

ALIASES = {"max_epochs": "epochs", "train_batch_size": "batch_size"}  # MONAI Label's words
MONAI_LABELS = {  # what its clients send beside them, which means nothing here
    *("model", "name", "device", "pretrained", "early_stop_patience", "val_split", "multi_gpu"),
    *("val_batch_size", "gpus", "dataset", "dataloader", "tracking", "tracking_uri", "run_id"),
    *("tracking_experiment_name", "client_id", "local_rank", "bundle_path", "model_filename"),
    "overlays",
}
LONGEST = 200  # characters of a text
OVERLAYS = "overlays"
RESULT = "result.json"
NO_OVERLAYS = ("train", "evaluate", "inference", "metadata", "multi_gpu_train")
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
        "counts" of the training set, "evaluation" (the figures), "model" (hash), "figure" (the one
        it is judged by, with its interval) and "warnings" (at chance, no better than the pixels).

    Raises:
        InputError: too few labels, a wrong dial, or what the training ended with.
    """
    overlays, asked = check_settings(model, settings)
    folder = model.work / "training"
    (folder / "train.json").unlink(missing_ok=True)
    say(f"{model.name}: {patients_of(model, samples).said}")
    counts = write_training_set(model, samples, folder / "data")
    say("training on " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    chosen = _chosen(model, overlays, asked, counts["training"])
    for name in ("eval", "models"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "train.json").write_text(json.dumps(chosen["train"], indent=1), encoding="utf-8")
    begun: list[str | Path] = ["train", *overlays, folder / "train.json"]
    _run(model, begun, folder, say, {})
    _run(model, [*begun, "evaluate"], folder, say, chosen["evaluate"])
    return _deployed(model, folder, counts, say)


def _deployed(
    model: Model, folder: Path, counts: Mapping[str, int], say: Callable[[str], None]
) -> dict[str, Any]:
    """Make what was trained the newest model; return, and note, what it came to."""
    (evaluation,) = (folder / "eval").glob("*/evaluation.json")
    figures = read_json(evaluation, "Train again.")
    model.deploy(folder / "models")
    numbers = {key: value for key, value in figures.items() if isinstance(value, int | float)}
    figure, *warnings = outcome(folder / "eval")
    for line in (figure, *warnings):
        say(line)
    made = {"counts": dict(counts), "evaluation": numbers, "model": model.key}
    made |= {"figure": figure, "warnings": warnings}
    with replacing(folder / RESULT) as partial:
        partial.write_text(json.dumps(made, indent=1), encoding="utf-8")
    return made


def last_result(model: Model) -> dict[str, Any]:
    """Return what `train` returned the last time; nothing before, or where that is damaged."""
    path = model.work / "training" / RESULT
    try:
        return read_json(path, "Train again.") if path.is_file() else {}
    except InputError:
        return {}


def epoch_of(model: Model) -> tuple[int, int]:
    """Return how many epochs the training that runs has done, and of how many."""
    folder = model.work / "training"
    done = total = 0
    try:
        total = int(read_json(folder / "train.json", "")["epochs"])
        for path in (folder / "eval").glob("*/history.json"):
            done = len(read_json(path, "")["epoch"])
    except (InputError, LookupError, TypeError, ValueError):
        pass
    return done, total


def check_settings(model: Model, settings: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Check what a client asks of a training, as the training's own configuration would.

    Args:
        model: of the bundle.
        settings: as `train` takes them.

    Returns:
        The overlays, and the dials that differ from what `offered` says.

    Raises:
        InputError: a setting that neither the bundle nor MONAI Label has, or a value that its rule
            does not allow, or that nothing reads.
    """
    overlays = _overlays(model, settings.get(OVERLAYS, ()))
    asked = _asked(model, settings)
    chosen = _chosen(model, overlays, asked, sys.maxsize)
    evaluate = model.folder / "configs" / "evaluate.json"
    with TemporaryDirectory() as folder:
        dials = Path(folder) / "train.json"
        dials.write_text(json.dumps(chosen["train"]), encoding="utf-8")
        files = [*_files(model, overlays), dials]
        places = {"bundle_root": str(model.folder), "dataset_dir": folder}
        try:
            for more, given in (((), {}), ((evaluate,), chosen["evaluate"])):
                config = ConfigParser.load_config_files([str(path) for path in (*files, *more)])
                check({**config, **places, **given}, [*files, *more])
        except InputError as error:
            raise InputError(str(error).replace(str(dials), "the request")) from None
    return overlays, asked


def _files(model: Model, overlays: Sequence[str]) -> list[Path]:
    return [model.folder / "configs" / f"{name}.json" for name in ("train", *overlays)]


def _overlays(model: Model, names: Any) -> list[str]:
    require(
        isinstance(names, list | tuple),
        f"{OVERLAYS}: must be a list of names of overlays, got {type(names).__name__}.",
    )
    for name in names:
        require_name(name, OVERLAYS)
        require(
            (model.folder / "configs" / f"{name}.json").is_file() and name not in NO_OVERLAYS,
            f"{OVERLAYS}: must be overlays of {model.name}, got {name[:80]!r}.",
        )
    return list(names)


def offered(model: Model) -> dict[str, Any]:
    """Return the dials of a training and its evaluation, as they are unless a client asks."""
    chosen = _chosen(model, (), {}, sys.maxsize)
    dials = {**model.evaluation_dials(), **model.dials()}
    return {key: {**chosen["train"], **chosen["evaluate"]}.get(key, dials[key]) for key in dials}


def _asked(model: Model, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The dials that a client asks for: data, since a configuration would run texts of its own."""
    known = offered(model)
    named = {ALIASES.get(key, key): value for key, value in settings.items()}
    others = {key: value for key, value in named.items() if key not in known}
    cures = dict(unknown_keys({**known, **others}, known))
    for key in others.keys() - MONAI_LABELS:
        cure = cures.get(key, "").replace("the keys of the first file", "GET /info/ for the dials")
        raise InputError(f"{key[:80]}: is no dial of {model.name}. {cure}".rstrip())
    asked = {
        key: value
        for key, value in named.items()
        if key in known and value != known[key] and not (key == "pretrained" and value is True)
    }
    for key, value in asked.items():
        require(
            _is_data(value),
            f"{key}: must be a finite number, a name or a list of them, got {str(value)[:80]!r}.",
        )
    return asked


def _is_data(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_data, value))
    if isinstance(value, str):
        return len(value) <= LONGEST and NAME.fullmatch(value) is not None
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _chosen(
    model: Model, overlays: Sequence[str], asked: Mapping[str, Any], images: int
) -> dict[str, dict[str, Any]]:
    """The dials of train and evaluate: the newest model's, what suits few labels, what is asked.

    What an overlay sets, and what nothing reads with it, is not the newest model's.
    """
    known, later = model.dials(), model.evaluation_dials()
    own = model.train_config
    kept = {key: value for key, value in known.items() if value != own.get(key)}
    dials = {**model.built_otherwise(), **kept}
    if "label_fraction" in known:
        dials["label_fraction"] = 1.0  # all labels that were given
    if "num_classes" in known:
        dials["num_classes"] = len(model.choices)
    fixed: dict[str, Any] = {}
    if overlays:
        files = _files(model, overlays)
        for path in files[1:]:
            fixed |= ConfigParser.load_config_file(path)
        dials = effective(files, {key: dials[key] for key in dials if key not in fixed})
    dials |= {key: asked[key] for key in known if key in asked}
    told = {**known, **fixed, **dials}
    size = told.get("batch_size") if "batch_size" not in fixed else None
    if isinstance(size, int) and size > images:
        dials["batch_size"] = images
    epochs = max(1, int(told["epochs"])) if _is_number(told.get("epochs")) else 1
    dials |= {
        key: epochs
        for key in ("val_interval", "snapshot_interval")
        if key in known and key not in {*fixed, *asked}
    }
    if "epochs" not in {*fixed, *dials}:
        dials["epochs"] = epochs
    evaluation = {"head_fitted_on": "training"} if "head_fitted_on" in later else {}
    evaluation |= {key: asked[key] for key in later if key in asked}
    return {"train": dials, "evaluate": evaluation}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
