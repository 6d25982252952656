"""Small phantoms, one for each kind of bundle, and the settings that make a run short."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from data_prep.__main__ import main as data_prep

PATIENTS, IMAGES, SIDE = 12, 4, 32
SHORT: dict[str, Any] = {
    "batch_size": 8,
    "epochs": 1,
    "snapshot_interval": 1,
    "val_interval": 1,
    "label_fraction": 0.5,
}
NARROW = {"brain": {"channels": [4, 8]}}  # a DenseNet121 has one width only

Workflow = Callable[..., ConfigWorkflow]


@pytest.fixture(scope="session", autouse=True)
def _same_hook() -> Iterator[None]:
    """Put back the hook of uncaught errors that `common.config.guard` replaces."""
    hook = sys.excepthook
    yield
    sys.excepthook = hook


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Return a function: bundle -> folder of the phantom of its kind, made once."""
    made: dict[str, Path] = {}

    def make(bundle: Path) -> Path:
        kind = bundle.name.split("_")[0]
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind) / "data"
            options = f"--patients {PATIENTS} --slices {IMAGES} --size {SIDE} --workers 1".split()
            code = data_prep(["phantom", "--kind", kind, "--target", str(made[kind]), *options])
            assert code == 0
        return made[kind]

    return make


@pytest.fixture(scope="session")
def workflow(phantom: Callable[[Path], Path]) -> Workflow:
    """Return a function: (bundle, "train+evaluate", output folder, overrides) -> short workflow."""

    def make(bundle: Path, names: str, folder: Path, **overrides: Any) -> ConfigWorkflow:
        settings: dict[str, Any] = {
            "dataset_dir": str(phantom(bundle)),
            "output_dir": str(folder / "eval"),
            "ckpt_dir": str(folder / "models"),
            "device": "$torch.device('cpu')",
            "image_size": SIDE,
            **({} if names == "inference" else SHORT),
            **NARROW.get(bundle.name.split("_")[0], {}),
        }
        return ConfigWorkflow(
            config_file=[str(bundle / "configs" / f"{name}.json") for name in names.split("+")],
            workflow_type="inference" if names == "inference" else "train",
            logging_file=False,
            **settings | overrides,
        )

    return make
