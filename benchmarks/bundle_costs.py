"""Memory and time of a training step of every bundle, at its default and at its small size.

    OMP_NUM_THREADS=1 python benchmarks/bundle_costs.py --out benchmarks/results/bundle_costs.json

writes the figures; ``--readmes`` puts them into the bundles' READMEs. The small size is that of the
README's commands on a phantom; the default is ``train.json`` as it is, on a phantom with images as
large as the paper's (`BATCHES`). Where a step of the default batch is too large for a small machine
it is measured at two smaller ones, and the line through them gives the default's: the networks cost
by the image. The memory is by how much the peak of the process grew from when the data were open to
the end of the second step: networks, gradients, the optimiser's moments, activations, the batch. It
is about what a GPU needs too. Time is that of one processor core, for a whole step with reading and
views: the best one, the first left out. Validation and checkpoints are not in it. Linux only.
"""

import argparse
import contextlib
import json
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from costs import STRICT_ALLOCATION, apart, cost
from fire.parser import DefaultParseValue
from ignite.engine import Events
from paired_runs import markdown, provenance

ROOT = Path(__file__).resolve().parents[1]
STEPS = {"seconds": 3, "bytes": 2}
SIZES = ("default", "small")
BATCHES: dict[str, tuple[int, ...]] = {  # empty: the default batch itself
    "biased_image_fairkl": (),
    "brain_mri_age_contrastive": (2, 4),
    "brain_mri_decoupled_uniformity": (2, 4),
    "brain_mri_learned_transforms": (8, 16),
    "brain_mri_y_aware": (2, 4),
    "cell_microscopy_ssl": (4, 12),
    "chest_xray_decoupled_uniformity": (16, 48),
    "chest_xray_learned_transforms": (4, 8),
    "digits_ssl_clusters": (),
    "digits_trainable_crop": (),
    "fundus_photo_dino": (4, 12),
    "natural_image_contrastive": (16, 48),
    "natural_image_ssl_study": (64, 128),
}
VOLUME = 128  # a side; a cube of it has 1 % fewer voxels than the maps of 121 x 145 x 121
DIGIT = 28  # a side; images of the grid are three wide
PER_PATIENT = {"digits": 12, "brain": 6, "chest": 4, "cells": 12, "fundus": 1}  # to train on
BESIDE = {"epochs": 1000, "val_interval": 1000, "snapshot_interval": 1000}  # steps alone
PLACES = ("dataset_dir", "output_dir", "ckpt_dir")


class Tried(NamedTuple):
    """The README's commands on a phantom: options of the phantom, overlays, dials."""

    phantom: dict[str, str]
    overlays: list[str]
    dials: dict[str, Any]


def readme(bundle: str) -> Path:
    return ROOT / "bundles" / bundle / "docs" / "README.md"


def tried(bundle: str) -> Tried:
    """What the README tries first: not the training of a prior, and no evaluation."""
    lines = readme(bundle).read_text().replace("\\\n", " ").splitlines()
    words = [shlex.split(line) for line in lines if line.startswith("python -m ")]
    phantom = next(each for each in words if each[2:4] == ["data_prep", "phantom"])
    for each in words:
        pairs = dict(zip(each[4::2], each[5::2]))
        overlays = re.findall(r"(\w+)\.json", pairs.get("--config_file", ""))
        if overlays[:1] == ["train"] and not {"prior", "evaluate"} & {*overlays}:
            break
    given = {key.removeprefix("--"): value for key, value in pairs.items()}
    dials = {
        key: DefaultParseValue(value)
        for key, value in given.items()
        if key not in {"config_file", *PLACES, *BESIDE}
    }
    return Tried(dict(zip(phantom[4::2], phantom[5::2])), overlays, dials)


def config_of(bundle: str, overlays: Sequence[str] = ("train",)) -> dict[str, Any]:
    folder = ROOT / "bundles" / bundle / "configs"
    merged: dict[str, Any] = {}
    for name in overlays:
        merged |= json.loads((folder / f"{name}.json").read_text())
    return merged


def setting(bundle: str, size: str, batch: int = 0) -> Tried:
    """Phantom, overlays and dials of a size; enough patients for a batch of the default."""
    own = tried(bundle)
    if size == "small":
        return own
    per_patient = 0.5 if "--task" in own.phantom else PER_PATIENT[own.phantom["--kind"]]
    side = config_of(bundle).get("image_size", VOLUME)
    side = DIGIT if own.phantom.get("--layout") == "grid" else side
    patients = max(20, int(batch / per_patient) + 1)
    phantom = {**own.phantom, "--size": str(side), "--patients": str(patients)}
    return Tried(phantom, ["train"], {"batch_size": batch})


def draw(bundle: str, size: str, batch: int, folder: Path) -> None:
    """A phantom, and where training reads a prior a table as wide as the bundle's VAE makes it."""
    from common.data import load_datalist, save_prior, with_prior
    from data_prep.__main__ import main as data_prep

    options = setting(bundle, size, batch).phantom
    words = [word for pair in {**options, "--target": str(folder)}.items() for word in pair]
    if data_prep(["phantom", *words, "--workers", "1"]):
        raise RuntimeError(f"{bundle}: no phantom")
    if "with_prior" in json.dumps(config_of(bundle)["train"]["dataset"]):
        entries = with_prior(load_datalist(folder, "training"), folder)
        table = np.random.default_rng(0).normal(size=(len(entries), 64))
        save_prior(folder / "prior.npz", [entry["image_key"] for entry in entries], table)


class _Enough(Exception):
    """The steps that were asked for are done."""


def train(bundle: str, own: Tried, folder: Path, steps: int) -> dict[str, Any]:
    """Train some steps on what `folder` holds; seconds of each, and bytes."""
    from monai.bundle import ConfigWorkflow

    configs = ROOT / "bundles" / bundle / "configs"
    files = [str(configs / f"{name}.json") for name in own.overlays]
    dials = {**own.dials, **BESIDE, "bundle_root": str(configs.parent), "dataset_dir": str(folder)}
    with tempfile.TemporaryDirectory() as out:
        dials |= {"output_dir": out, "ckpt_dir": out, "device": "$torch.device('cpu')"}
        if (folder / "prior.npz").is_file():
            dials["prior_file"] = str(folder / "prior.npz")
        workflow = ConfigWorkflow(files, workflow_type="train", logging_file=False, **dials)
        workflow.initialize()
        for ready in ("run#0", "train#dataset", "validate#dataset"):
            workflow.parser.get_parsed_content(ready)
        seconds: list[float] = []
        spent = cost(lambda: _steps(workflow.parser, seconds, steps))
    if len(seconds) < steps:
        raise RuntimeError(f"{bundle}: {len(seconds)} steps, {steps} are needed")
    return {"seconds": min(seconds[1:]), "bytes": spent.bytes}


def _steps(parser: Any, seconds: list[float], steps: int) -> None:
    """Build the trainer; run it for so many steps, each from reading to the optimiser."""
    trainer, begun = parser.get_parsed_content("train#trainer"), [0.0]

    def begins() -> None:
        begun[0] = time.process_time()

    def ends() -> None:
        seconds.append(time.process_time() - begun[0])
        if len(seconds) == steps:
            raise _Enough

    trainer.add_event_handler(Events.GET_BATCH_STARTED, begins)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, ends)
    with contextlib.suppress(_Enough):
        trainer.run()


def row(bundle: str, size: str) -> dict[str, Any]:
    """A row of the table, measured in processes of their own."""
    own = setting(bundle, size)
    config = config_of(bundle, own.overlays)
    batch = config["batch_size"] if size == "default" else {**config, **own.dials}["batch_size"]
    batches = (size == "default" and BATCHES[bundle]) or (batch,)
    points: dict[str, list[float]] = {what: [] for what in STEPS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "phantom"
        draw(bundle, size, max(batches), folder)
        for what, environment in (("seconds", {}), ("bytes", STRICT_ALLOCATION)):
            for each in batches:
                words = ["--one", bundle, size, str(each), what, "--folder", str(folder)]
                points[what].append(apart(__file__, words, {"OMP_NUM_THREADS": "1", **environment}))
    whole = {what: at(batch, batches, found) for what, found in points.items()}
    return {
        **{"bundle": bundle, "size": size, "image": _image(bundle, size), "batch": batch},
        **{"measured": batches, "points": points},
        "GB": _digits(whole["bytes"] / 1e9, 2),
        "step_s": _digits(whole["seconds"], 2),
        "thousand_images_s": _digits(1000 * whole["seconds"] / batch, 2),
        **provenance(),
    }


def _image(bundle: str, size: str) -> str:
    own = setting(bundle, size)
    if "--task" in own.phantom:
        return " x ".join([own.phantom.get("--size", "32")] * 3)
    side = {**config_of(bundle), **own.dials}["image_size"]
    return f"{side} x {side}"


def at(batch: int, batches: Sequence[int], found: Sequence[float]) -> float:
    """What a batch takes by the line through two that were measured, or the one that was."""
    if len(batches) == 1:
        return found[0]
    return float(np.polyval(np.polyfit(batches, found, 1), batch))


def _digits(value: float, count: int) -> float:
    """So many significant digits."""
    return float(f"{value:.{count}g}")


def cells(one: Mapping[str, Any]) -> list[str]:
    about = "about " if len(one["measured"]) > 1 else ""
    name = "default" if one["size"] == "default" else "phantom"
    figures = (one["GB"], one["step_s"], one["thousand_images_s"])
    return [name, one["image"], f"{one['batch']:,}", *(f"{about}{each:,g}" for each in figures)]


HEADS = ["size", "image", "batch", "memory, GB", "a step, s", "1,000 images, s"]
MARK, RESULTS = "<!-- figures: bundle_costs -->", "\n\n## Results\n"
WORDS = f"""{MARK}
A training step ([how measured](../../../benchmarks/bundle_costs.md)): the memory is about that of a
GPU; the time is of one processor core, with reading and views. None was run on a GPU.

"""


def section(rows: Sequence[Mapping[str, Any]], bundle: str) -> str:
    """What stands in a README from the mark on."""
    return WORDS + markdown(HEADS, [cells(one) for one in rows if one["bundle"] == bundle])


def write_readmes(rows: Sequence[Mapping[str, Any]]) -> None:
    for bundle in {one["bundle"] for one in rows}:
        before, after = readme(bundle).read_text().split(RESULTS)
        before = before.partition(f"\n\n{MARK}")[0]
        readme(bundle).write_text(f"{before}\n\n{section(rows, bundle)}{RESULTS}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="the figures; rows that it holds are kept")
    parser.add_argument("--bundles", nargs="+", choices=BATCHES, default=list(BATCHES))
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--readmes", action="store_true", help="put them into the READMEs")
    parser.add_argument("--one", nargs=4, metavar=("BUNDLE", "SIZE", "BATCH", "WHAT"))
    parser.add_argument("--folder", type=Path, help="the phantom of that one")
    options = parser.parse_args()
    if options.one:
        bundle, size, batch, what = options.one
        own = setting(bundle, size, int(batch))
        print(json.dumps(float(train(bundle, own, options.folder, STEPS[what])[what])))
        return
    if not options.out:
        parser.error("--out: name the file of the figures")
    rows = json.loads(options.out.read_text())["rows"] if options.out.is_file() else []
    for bundle in options.bundles:
        for size in options.sizes:
            if not any((one["bundle"], one["size"]) == (bundle, size) for one in rows):
                rows.append(row(bundle, size))
                rows.sort(key=lambda one: (one["bundle"], one["size"]))
                options.out.write_text(json.dumps({"steps": STEPS, "rows": rows}, indent=1) + "\n")
    heads = ["bundle", *HEADS]
    print(markdown(heads, [[one["bundle"], *cells(one)] for one in rows]))
    if options.readmes:
        write_readmes(rows)


if __name__ == "__main__":
    sys.exit(main())
