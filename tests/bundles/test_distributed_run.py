"""Two processes on the CPU: a bundle through torchrun, and one step against one process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow
from torch import Tensor, nn

from common import distributed
from common.methods import Phase
from tests.bundles.conftest import narrow, short
from tests.commands import BUNDLES, ROOT
from tests.ranks import WORLD, on_two_ranks
from tests.tiny import batch, matrix_method, one_batch

SAVE = "$torch.save(@network.state_dict(), @output_dir + '/rank' + str(@rank) + '.pt')"
MONAI = ("-m", "monai.bundle", "run")
KILL = """$os.environ['TORCHELASTIC_RESTART_COUNT'] == '0' and @rank == 1 and
@train#trainer.add_event_handler(ignite.engine.Events.ITERATION_COMPLETED(once=5),
lambda: os.kill(os.getpid(), 9)) and None"""
LABELS = torch.tensor([0, 1, 1, -1, -1, 0])  # three on rank 0, one on rank 1
CASES: dict[str, dict[str, Any]] = {
    "alternate": {"update": "alternate"},
    "shared": {"update": "shared"},
    "one backward pass": {"update": "shared", "alpha": (0.7, 0, 1.3, 0, 1.1)},
    "no policy step": {"alpha": (0, 0, 1, 2, 3)},
}

pytestmark = pytest.mark.slow


class Recorded(nn.Module):
    """A method whose losses are kept in full precision."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self.method = method
        self.losses: list[Tensor] = []

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:  # all else is the method's
            return getattr(super().__getattr__("method"), name)

    def phase_parameters(self) -> dict[str, list[nn.Parameter]]:
        return dict(self.method.phase_parameters())

    def steps(self, content: Mapping[str, Any]) -> Iterator[Phase]:
        for phase in self.method.steps(content):
            self.losses.append(phase.loss.detach())
            yield phase


def step(case: str) -> dict[str, Any]:
    """Losses, gradients and parameters after one step on this rank's share of six images."""
    content = {"image": batch()["image"], "label": LABELS}
    own = {k: v.chunk(distributed.world_size())[distributed.rank()] for k, v in content.items()}
    recorded: Any = Recorded(matrix_method(**CASES[case]))
    one_batch(recorded, own)
    parameters = dict(recorded.named_parameters())
    return {
        "losses": torch.stack(recorded.losses),
        "gradients": {name: p.grad for name, p in parameters.items() if p.grad is not None},
        "parameters": {name: p.detach() for name, p in parameters.items()},
    }


def every_step() -> dict[str, Any]:
    return {case: step(case) for case in CASES}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes computed."""
    return on_two_ranks(every_step, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("case", CASES)
def test_one_step_of_two_ranks_is_that_of_one_process(
    ranks: list[dict[str, Any]], case: str
) -> None:
    one = step(case)
    assert len(one["gradients"]) == 5
    losses = torch.stack([rank[case]["losses"] for rank in ranks])
    assert (losses[0] - losses[1]).abs().max() > 1e-3  # the ranks see different images
    torch.testing.assert_close(losses.mean(dim=0), one["losses"], rtol=0, atol=1e-10)
    for rank in ranks:
        torch.testing.assert_close(rank[case]["gradients"], one["gradients"], rtol=0, atol=1e-10)
        torch.testing.assert_close(rank[case]["parameters"], one["parameters"], rtol=0, atol=1e-10)


def torchrun(
    bundle: Path, folder: Path, first: str = "$None", words: str = "", **overrides: Any
) -> subprocess.CompletedProcess[str]:
    """The documented command, with an overlay that saves the weights of every rank.

    Args:
        bundle: its folder.
        folder: where it runs.
        first: what the overlay does before the training.
        words: more options of torchrun.
        overrides: of the bundle.
    """
    ended = "$torch.distributed.destroy_process_group()"
    overlay = {"+imports": ["$import ignite"], "run": [first, "$@train#trainer.run()", SAVE, ended]}
    (folder / "save.json").write_text(json.dumps(overlay))
    configs = [bundle / "configs" / name for name in ("train.json", "multi_gpu_train.json")]
    files = [str(path) for path in [*configs, folder / "save.json"]]
    options = [word for key, value in overrides.items() for word in (f"--{key}", str(value))]
    command = f"-m torch.distributed.run --standalone --nproc_per_node={WORLD} {words}"
    return subprocess.run(
        [sys.executable, *command.split(), *MONAI, "--config_file", str(files), *options],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def trained(bundle: Path, settings: dict[str, Any]) -> dict[str, Tensor]:
    """The weights after the run of ``train.json`` with ``multi_gpu_train.json`` on this rank."""
    files = [str(bundle / "configs" / name) for name in ("train.json", "multi_gpu_train.json")]
    parts = ConfigWorkflow(files, workflow_type="train", logging_file=False, **settings)
    parts.initialize()
    parts.run()
    return dict(parts.parser.get_parsed_content("network").state_dict())


def settings(bundle: Path, data: Path, folder: Path) -> dict[str, Any]:
    places = {"dataset_dir": str(data), "output_dir": str(folder), "ckpt_dir": str(folder)}
    return {**places, **short(bundle), **narrow(bundle, "train")}


def assert_one_training(first: dict[str, Tensor], second: dict[str, Tensor], folder: Path) -> None:
    assert len(first) > 10
    # without GPUs batch statistics are each rank's own: SyncBatchNorm needs CUDA
    own = [name for name in first if "running_" in name]
    assert {name for name in first if not torch.equal(first[name], second[name])} <= set(own)
    assert len(list(folder.glob("*/history.json"))) == 1


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_two_processes_train_a_bundle_to_the_same_weights(
    bundle: Path, phantom: Callable[[Path], Path], tmp_path: Path
) -> None:
    dials = settings(bundle, phantom(bundle), tmp_path)
    first, second = on_two_ranks(partial(trained, bundle, dials), tmp_path, joined=False)
    assert_one_training(first, second, tmp_path)


def test_torchrun_trains_a_bundle_to_the_same_weights_on_both_ranks(
    phantom: Callable[[Path], Path], tmp_path: Path
) -> None:
    (bundle,) = (one for one in BUNDLES if one.name == "brain_mri_learned_transforms")
    done = torchrun(bundle, tmp_path, **settings(bundle, phantom(bundle), tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert_one_training(*(torch.load(tmp_path / f"rank{r}.pt") for r in range(WORLD)), tmp_path)


def test_torchrun_starts_a_killed_worker_again_and_it_ends_as_the_uninterrupted_run(
    phantom: Callable[[Path], Path], tmp_path: Path
) -> None:
    (bundle,) = (one for one in BUNDLES if one.name == "brain_mri_learned_transforms")
    (folder := tmp_path / "killed").mkdir()
    dials = {"epochs": 2, "resume": True, "checkpoint_every": "2 steps"}
    dials = {**settings(bundle, phantom(bundle), folder), **dials}
    done = torchrun(bundle, folder, KILL.replace("\n", " "), "--max-restarts=1", **dials)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "failed (exitcode: " in done.stderr  # of the killed one, or of the one that missed it
    whole = {**dials, "output_dir": str(tmp_path), "ckpt_dir": str(tmp_path)}
    expected, _ = on_two_ranks(partial(trained, bundle, whole), tmp_path, joined=False)
    torch.testing.assert_close(torch.load(folder / "rank0.pt"), expected, rtol=0, atol=1e-6)
