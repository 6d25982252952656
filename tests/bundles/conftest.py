"""Small phantoms, one for each kind of bundle, and the settings that make a run short."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from common.config import effective
from common.data import load_datalist, save_prior, with_prior
from data_prep.__main__ import main as data_prep
from tests.commands import VOLUMES
from tests.synthetic import write_picture

PATIENTS, IMAGES, SIDE = 12, 4, 32
PHANTOMS = {  # first word of a bundle -> kind of phantom
    "biased": "digits",
    "natural": "digits",
    "digits": "digits --layout grid --size 16",
    "fundus": "fundus --patients 36 --slices 2",  # both eyes
}
AGE = {"dims": "3", "task": "age", "patients": "80", "size": "16", "workers": "1"}
SHORT: dict[str, Any] = {
    "batch_size": 8,
    "epochs": 1,
    "snapshot_interval": 1,
    "val_interval": 1,
    "label_fraction": 0.5,
}
SMALL_3D = {"_target_": "common.networks.ConvEncoder", "spatial_dims": 3, "channels": [4, 8]}
SMALL_NET = {"_target_": "common.networks.SimpleConvNet", "channels": [4, 8], "kernel_size": 3}
NARROW: dict[str, dict[str, Any]] = {
    "brain": {"channels": [4, 8]},  # a DenseNet121 has one width only
    "biased": {"channels": [4, 8], "strides": [1, 1], "kernel_size": 3},
    "natural": {"encoder": SMALL_NET},
    "digits": {
        "image_size": 48,
        "cell_size": 16,
        "crop_size": 8,
        "channels": [4, 4],
        "features": 6,
        "policy_channels": [4, 4],
        "policy_features": 8,
        "final_learning_rate": 0.001,  # as fundus
        "final_beta": 5.0,
        "final_entropy_weight": 2.0,
    },
    "fundus": {
        "local_size": 16,
        "patch_size": 8,
        "embed_dim": 12,
        "depth": 4,
        "heads": 2,
        "prototypes": 16,
        "final_weight_decay": 0.04,  # schedules stay where they begin, so that a run of one
        "final_momentum": 0.996,  # epoch is the beginning of a run of two
        "probe_epochs": 2,
        "probe_seeds": 2,
        "figure_images": 4,
        "figure_repeats": 2,
    },
}


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
    if bundle in VOLUMES:
        return {"encoder": SMALL_3D}
    settings = {"image_size": SIDE, **NARROW.get(bundle.name.split("_")[0], {})}
    known = [json.loads((bundle / "configs" / f"{name}.json").read_text()) for name in configs]
    return {
        k: v for k, v in settings.items() if not known or any(k in content for content in known)
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
        for index, row in enumerate(np.load(phantom / "test.npy")[:4]):
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
        word = bundle.name.split("_")[0]
        kind = "ageing" if bundle in VOLUMES else PHANTOMS.get(word, word)
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind.split()[0]) / "data"
            flat = f"--patients {PATIENTS} --slices {IMAGES} --size {SIDE} --workers 1".split()
            whole = ["--kind", "brain", *(w for key, v in AGE.items() for w in (f"--{key}", v))]
            options = whole if kind == "ageing" else [*flat, "--kind", *kind.split()]
            assert data_prep(["phantom", "--target", str(made[kind]), *options]) == 0
            if kind == "chest":
                add_prior(made[kind])
        return made[kind]

    return make


@pytest.fixture(scope="session")
def workflow(phantom: Callable[[Path], Path]) -> Workflow:
    """Return a function: (bundle, "train+evaluate", output folder, overrides) -> short workflow."""

    def make(bundle: Path, names: str, folder: Path, **overrides: Any) -> ConfigWorkflow:
        files = [bundle / "configs" / f"{name}.json" for name in names.split("+")]
        dials = {} if names == "inference" else short(bundle)
        dials |= narrow(bundle, *names.split("+"))
        read = effective(files, {**dials, **overrides})  # others are refused
        settings: dict[str, Any] = {
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
            **settings | overrides,
        )

    return make
