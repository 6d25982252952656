"""Every bundle as a client of MONAI's federations: its contract, and what leaves it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics, WeightType
from monai.fl.utils.exchange_object import ExchangeObject

from common.checks import InputError
from common.config import effective
from common.federated import BundleAlgo, federated_averaging
from common.federated.command import finite
from common.federated.command import main as federated
from common.federated.flare import read_settings
from tests.bundles.conftest import narrow, run, short
from tests.commands import BUNDLES, ROOT

Phantom = Callable[[Path], Path]
BRAINS = ROOT / "bundles" / "brain_mri_age_contrastive"

pytestmark = [  # MONAI warns that whoever configures a client runs code there
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:executing the bundle config"),
]


def client(bundle: Path, phantom: Path, folder: Path, name: str = "a", **given: Any) -> BundleAlgo:
    """A client of the bundle with small networks, initialised."""
    dials = {**short(bundle), **narrow(bundle, "train"), **given.pop("dials", {})}
    read = effective([bundle / "configs" / "train.json"], dials)
    places = {
        "dataset_dir": str(phantom),
        "output_dir": str(folder / "eval"),
        "ckpt_dir": str(folder / "models"),
        "device": "$torch.device('cpu')",
    }
    known = {key: value for key, value in dials.items() if key in read}
    algo = BundleAlgo(str(bundle), train_kwargs={**places, **known}, **given)
    algo.initialize({ExtraItems.CLIENT_NAME: name})
    return algo


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_every_bundle_keeps_the_contract_of_monais_client(
    bundle: Path, phantom: Phantom, tmp_path: Path
) -> None:
    algo = client(bundle, phantom(bundle), tmp_path)
    assert isinstance(algo, MonaiAlgo)
    start = algo.trainer.network.state_dict()
    algo.train(ExchangeObject(weights=start))
    sent = algo.get_weights()
    assert sent.weight_type == WeightType.WEIGHT_DIFF
    assert set(sent.weights) == set(start)
    assert any(bool(change.any()) for change in sent.weights.values())
    assert sent.statistics[FlStatistics.DATA_COUNT] == algo.trainer.images > 0
    assert sent.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS] > 0
    own = algo.trainer.network.state_dict()
    assert algo.evaluate(ExchangeObject(weights=start)).metrics
    assert all(torch.equal(own[k], v) for k, v in algo.trainer.network.state_dict().items())
    algo.finalize()


def test_images_never_leave_a_client(phantom: Phantom, tmp_path: Path) -> None:
    """All that two hospitals with 3D brains hand out are tensors of the method's weights."""
    out: list[ExchangeObject] = []

    class Watched(BundleAlgo):
        def get_weights(self, extra: Any = None) -> ExchangeObject:
            out.append(super().get_weights(extra))
            return out[-1]

        def evaluate(self, data: ExchangeObject, extra: Any = None) -> ExchangeObject:
            out.append(super().evaluate(data, extra))
            return out[-1]

    clients = {
        name: client(BRAINS, phantom(BRAINS), tmp_path, name, dials={"epochs": 2}) for name in "ab"
    }
    for algo in clients.values():
        algo.__class__ = Watched
    shapes = {name: v.shape for name, v in clients["a"].trainer.method.state_dict().items()}
    federated_averaging(clients, clients["a"].trainer.network.state_dict(), 2, evaluate=True)
    assert len(out) == 8
    for sent in out:
        assert all(value.shape == shapes[name] for name, value in (sent.weights or {}).items())
        assert sent.optim is None
        numbers = {**(sent.statistics or {}), **(sent.metrics or {})}.values()
        assert all(isinstance(value, int | float) for value in numbers)


def test_the_weights_of_a_federation_are_evaluated_as_those_of_a_training(
    phantom: Phantom, workflow: Any, tmp_path: Path
) -> None:
    algo = client(BRAINS, phantom(BRAINS), tmp_path)
    start = algo.trainer.network.state_dict()
    algo.train(ExchangeObject(weights=start))
    accepted = {name: value + 0.125 for name, value in start.items()}
    algo.accept(accepted)
    (folder,) = (tmp_path / "eval").iterdir()
    assert folder.name.endswith("_seed0_a")
    state = torch.load(folder / "network_epoch=1.pt", weights_only=True)
    assert all(torch.equal(state[name], value) for name, value in accepted.items())
    run(workflow(BRAINS, "train+evaluate", tmp_path, run_dir=str(folder)))
    about = json.loads((tmp_path / "models" / "model.json").read_text())
    assert about["head_fitted"] is True


@pytest.mark.bad_input("federated")
def test_a_client_refuses_weights_of_another_network(phantom: Phantom, tmp_path: Path) -> None:
    algo = client(BRAINS, phantom(BRAINS), tmp_path)
    start = algo.trainer.network.state_dict()
    name = "classifier.head.weight"
    for wrong in ({name: start[name]}, {**start, name: torch.zeros(3)}):
        with pytest.raises(InputError, match="weights from the server"):
            algo.train(ExchangeObject(weights=wrong))
    with pytest.raises(InputError, match="client name"):
        BundleAlgo(str(BRAINS)).initialize({ExtraItems.CLIENT_NAME: "../a"})


def federation(bundle: Path, phantom: Path, folder: Path, *words: str) -> dict[str, torch.Tensor]:
    """Two clients with the same data, two rounds, by the command."""
    for name in "ab":
        if not (folder / name).exists():
            (folder / name).symlink_to(phantom)
    dials = [
        text
        for name, value in {"batch_size": 8, **narrow(bundle, "train")}.items()
        for text in (f"--{name}", json.dumps(value))
    ]
    output = folder / f"out{len(words)}"
    places = [str(folder / "a"), str(folder / "b"), "--output", str(output), "--rounds", "2"]
    assert federated([str(bundle), *places, *words, *dials]) == 0
    return dict(torch.load(output / "federation.pt", weights_only=True))


def test_nvflares_simulator_gives_what_the_loop_in_one_process_gives(
    phantom: Phantom, tmp_path: Path
) -> None:
    pytest.importorskip("nvflare", reason="NVFlare is not installed: pip install -e '.[federated]'")
    here = federation(BRAINS, phantom(BRAINS), tmp_path)
    there = federation(BRAINS, phantom(BRAINS), tmp_path, "--nvflare")
    torch.testing.assert_close(there, here, rtol=0, atol=1e-3)


def test_the_command_writes_the_weights_and_what_was_shared(
    phantom: Phantom, tmp_path: Path
) -> None:
    weights = federation(BRAINS, phantom(BRAINS), tmp_path)
    about = json.loads((tmp_path / "out0" / "federation.json").read_text())
    assert about["shared"] == list(weights)
    assert set(about["images"]) == {"a", "b"}
    assert len(about["metrics"]) == 2


@pytest.mark.bad_input("federated")
def test_an_earlier_federation_and_a_folder_without_images_are_refused_at_once(
    phantom: Phantom, tmp_path: Path
) -> None:
    (tmp_path / "a").symlink_to(phantom(BRAINS))
    (tmp_path / "b").mkdir()
    words = [BRAINS.name, str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(tmp_path)]
    with pytest.raises(InputError, match=r"manifest\.json: dataset_dir must be"):
        federated(words)
    (tmp_path / "b").rmdir()
    (tmp_path / "b").symlink_to(phantom(BRAINS))
    (tmp_path / "federation.json").write_text("{}")
    with pytest.raises(InputError, match="--output: must be without an earlier federation"):
        federated(words)


@pytest.mark.bad_input("federated")
def test_settings_of_a_client_that_name_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"client": "a", "bundle": "x"}')
    with pytest.raises(InputError, match=r"settings\.json: must hold bundle_root and other"):
        read_settings(tmp_path / "settings.json")


def test_a_figure_that_could_not_be_computed_is_null_in_json() -> None:
    assert finite({"mae": float("nan"), "auc": 0.5}) == {"mae": None, "auc": 0.5}


@pytest.mark.bad_input("federated")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["x/a", "y/a"], "must have names of their own"),
        (["nowhere", "x/a"], "must be a folder that data_prep wrote"),
        (["x/a"], "must be of two hospitals at least, got one"),
        ([], "the following arguments are required"),
        (["x/a", "y/b", "--keep"], "must be a folder"),
        (["x/a", "y/b", "--rounds", "0"], "--rounds: must be at least 1"),
        (["x/a", "y/b", "--epochs", "3"], "epochs: must not be given"),
        (["x/a", "y/b", "--resume", "True"], "resume: must not be given"),
        (["x/a", "y/b", "--overlays", "none"], "--overlays: must name overlays"),
    ],
)
def test_the_command_refuses_in_one_line(words: list[str], line: str) -> None:
    with pytest.raises(InputError, match=line):
        federated([BRAINS.name, *words, "--output", "nothing"])
