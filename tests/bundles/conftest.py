"""Small phantoms, one for each kind of bundle, and the settings that make a run short."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from common.config import effective
from common.data import load_datalist, save_prior, with_prior
from data_prep.__main__ import main as data_prep
from tests.commands import VOLUMES
from tests.synthetic import write_picture

SHORT: dict[str, Any] = {
    "batch_size": 8,
    "epochs": 1,
    "snapshot_interval": 1,
    "val_interval": 1,
    "label_fraction": 0.5,
}


def facts(bundle: Path) -> dict[str, Any]:
    """What the tests must know of a bundle: ``tests/bundles/settings/<bundle>.json``.

    "phantom": words of ``data_prep phantom``; "prior": whether a training reads a table; "dials":
    what makes the networks small, in training and inference, and keeps schedules where they begin,
    so that a run of one epoch is the beginning of a run of two; "terms": what the history holds
    beside "loss"; "rows": how the overlays begin that name a strategy. Of volumes also "kind", of
    the evaluation. Of pictures also "raw", the
    files of `test_preparation` that they are prepared from, and the "size" a network reads them in;
    "slices": whether volumes are predicted slice by slice; "one_way": whether training and
    inference read an image by the same steps.
    """
    path = Path(__file__).parent / "settings" / f"{bundle.name}.json"
    return dict(json.loads(path.read_text()))


def short(bundle: Path) -> dict[str, Any]:
    """The settings that make a training of `bundle` short: those of `SHORT` that it has."""
    known = json.loads((bundle / "configs" / "train.json").read_text())
    return {key: value for key, value in SHORT.items() if key in known}


def narrow(bundle: Path, *configs: str) -> dict[str, Any]:
    """The settings that make the networks of `bundle` small, in training and inference.

    Args:
        bundle: its folder.
        configs: names of configurations; given, settings that none of them has are left out.
    """
    known = [json.loads((bundle / "configs" / f"{name}.json").read_text()) for name in configs]
    return {
        k: v
        for k, v in facts(bundle)["dials"].items()
        if not known or any(k in content for content in known)
    }


Workflow = Callable[..., ConfigWorkflow]


def images_of(bundle: Path, phantom: Path) -> Path:
    """What to predict on: the manifest of whole brains, else a folder of the phantom's images.

    Rows of a stack of pictures are written as pictures first.
    """
    if bundle in VOLUMES:
        return phantom / "manifest.json"
    folder = phantom / "images"
    if not folder.is_dir():
        stack = next(p for p in (phantom / "test.npy", phantom / "plate_000.npy") if p.is_file())
        for index, row in enumerate(np.load(stack)[:4]):
            write_picture(folder / f"{index}.png", row)
    return folder


def add_prior(folder: Path) -> None:
    """Write the table that a bundle with a prior reads unless told otherwise."""
    entries = with_prior(load_datalist(folder, "training"), folder)
    embedding = np.random.default_rng(0).normal(size=(len(entries), 5))
    save_prior(folder / "prior.npz", [entry["image_key"] for entry in entries], embedding)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function: bundle -> folder of the phantom of its kind, made once."""
    made: dict[str, Path] = {}

    def make(bundle: Path) -> Path:
        known = facts(bundle)
        words = known["phantom"]
        if words not in made:
            made[words] = tmp_path_factory.mktemp("phantom") / "data"
            options = [*words.split(), "--workers", "1"]
            assert data_prep(["phantom", "--target", str(made[words]), *options]) == 0
        if known.get("prior") and not (made[words] / "prior.npz").is_file():
            add_prior(made[words])
        return made[words]

    return make


@pytest.fixture(scope="session")
def workflow(phantom: Callable[[Path], Path]) -> Workflow:
    """Return a function: (bundle, "train+evaluate", output folder, overrides) -> short workflow."""

    def make(bundle: Path, names: str, folder: Path, **overrides: Any) -> ConfigWorkflow:
        files = [bundle / "configs" / f"{name}.json" for name in names.split("+")]
        dials = {} if names == "inference" else short(bundle)
        dials |= narrow(bundle, *names.split("+"))
        read = effective(files, {**dials, **overrides})  # others are refused
        chosen: dict[str, Any] = {
            "dataset_dir": str(phantom(bundle)),
            "output_dir": str(folder / "eval"),
            "ckpt_dir": str(folder / "models"),
            "device": "$torch.device('cpu')",
            **{key: value for key, value in dials.items() if key in read},
        }
        return ConfigWorkflow(
            config_file=[str(path) for path in files],
            workflow_type="inference" if names == "inference" else "train",
            logging_file=False,
            **chosen | overrides,
        )

    return make


def run(parts: ConfigWorkflow) -> ConfigWorkflow:
    parts.initialize()
    parts.run()
    parts.finalize()
    return parts


@pytest.fixture(scope="module")
def trained(
    bundle: Path, workflow: Workflow, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The folder of one epoch and its evaluation, and the weights before it."""
    folder = tmp_path_factory.mktemp("run")
    parts = workflow(bundle, "train", folder)
    parts.initialize()
    network = parts.parser.get_parsed_content("network")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parts.run()
    parts.finalize()
    run(workflow(bundle, "train+evaluate", folder))
    return folder, before


def history(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "eval").glob("*/history.json")
    return dict(json.loads(path.read_text()))


def resumed_as_whole(bundle: Path, workflow: Workflow, folder: Path) -> Path:
    """Train two epochs, and one and then another: both end alike. Return the folder of the two."""
    whole, resumed = folder / "whole", folder / "resumed"
    run(workflow(bundle, "train", whole, epochs=2))
    run(workflow(bundle, "train", resumed))
    run(workflow(bundle, "train", resumed, epochs=2, resume=True))
    assert history(resumed) == history(whole)
    paths = [next((folder / "eval").glob("*/model.pt")) for folder in (whole, resumed)]
    states = [torch.load(path, weights_only=True) for path in paths]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)
    return whole
