"""What the transformation network M costs: the time of a training step, five ways, in one run.

Each contender is a `ContrastiveTrainer` with its own network and optimisers that trains on the same
batch again and again, so a step is forward, backward and the optimisers of all phases, without
reading data. In every repeat each contender takes the same number of steps, in turn. The figures
are medians over repeats: of the mean step, and of its ratio to another contender's in the same
repeat, the latter with its quartiles. On a GPU a step ends when its results are on the CPU.

- random: uniform transformations, no M (strategy_random_supervised.json);
- M alternate: the paper's order, M steps and then f sees the images of the updated M;
- M shared: one forward pass for both phases (--update shared);
- M alternate / shared, every 2nd step: M steps in every second step only (--policy_every 2);
- M alternate / shared, no labels: the strategy of configs/strategy_self_supervised.json, whose
  shared step needs one backward pass.
"""

import argparse
import json
import platform
import statistics
import time
from operator import truediv
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from paired_runs import provenance

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.losses import DecoupledInfoNCE
from common.methods import LearnedTransforms
from common.networks import ConvEncoder, DenseNetEncoder, ImageClassifier, Projector
from common.policies import TransformationNetwork, Uniform
from common.transforms import Composition

CONTENDERS: dict[str, dict[str, Any]] = {
    "random": {},
    "M alternate": {"update": "alternate"},
    "M shared": {"update": "shared"},
    "M alternate, every 2nd step": {"update": "alternate", "policy_every": 2},
    "M shared, every 2nd step": {"update": "shared", "policy_every": 2},
    "M alternate, no labels": {"update": "alternate", "alpha": (1, 0, 1, 0, 0)},
    "M shared, no labels": {"update": "shared", "alpha": (1, 0, 1, 0, 0)},
}


class StepTimer:
    """A handler that keeps the seconds of every step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop)

    def _start(self) -> None:
        self._started = time.perf_counter()

    def _stop(self) -> None:
        self.seconds.append(time.perf_counter() - self._started)


def trainer(name: str, arguments: argparse.Namespace, timer: StepTimer) -> ContrastiveTrainer:
    torch.manual_seed(0)
    encoder: Any = (
        DenseNetEncoder() if arguments.densenet else ConvEncoder(channels=arguments.channels)
    )
    width = encoder.out_features
    transform = Composition()
    policy = Uniform() if name == "random" else TransformationNetwork(grid=arguments.grid)
    network = LearnedTransforms(
        ImageClassifier(encoder, width),
        Projector(width, width, 128),
        policy,
        transform,
        DecoupledInfoNCE(temperature=1.0),
        **CONTENDERS[name],
    ).to(arguments.device)
    label = torch.full((arguments.batch,), -1)
    label[: max(2, arguments.batch // 10)] = torch.arange(max(2, arguments.batch // 10)) % 2
    image = torch.rand(arguments.batch, 1, arguments.size, arguments.size)
    batch = {"image": image.to(arguments.device), "label": label.to(arguments.device)}
    return ContrastiveTrainer(
        device=arguments.device,
        max_epochs=0,
        train_data_loader=[batch] * arguments.steps,
        network=network,
        optimizers=PhaseOptimizers(network, {"encoder": 1e-4, "policy": 1e-3}),
        amp=arguments.amp,
        train_handlers=[timer],
    )


def measure(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Return the milliseconds of a step of every contender, one for each repeat."""
    timers = {name: StepTimer() for name in CONTENDERS}
    trainers = {name: trainer(name, arguments, timers[name]) for name in CONTENDERS}
    repeats: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for repeat in range(arguments.repeats + 1):
        for name, engine in trainers.items():
            timers[name].seconds.clear()
            engine.state.max_epochs = repeat + 1
            engine.run()
            if repeat:  # the first round warms up
                repeats[name].append(1e3 * statistics.mean(timers[name].seconds))
    return repeats


def table(milliseconds: dict[str, list[float]]) -> str:
    lines = ["| step | ms | / random | / its alternation |", "|---|---:|---:|---:|"]
    for name, values in milliseconds.items():
        alternate = "M alternate, no labels" if "no labels" in name else "M alternate"
        ratios = (ratio(values, milliseconds[peer]) for peer in ("random", alternate))
        lines.append(f"| {name} | {statistics.median(values):.1f} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def ratio(values: list[float], peer: list[float]) -> str:
    low, middle, high = statistics.quantiles(map(truediv, values, peer), n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--densenet", action="store_true", help="DenseNet121 instead")
    parser.add_argument("--grid", type=int, default=1, help="policy_grid of M")
    parser.add_argument("--steps", type=int, default=4, help="of each contender in a repeat; even")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    arguments = parser.parse_args()
    if arguments.steps % 2:
        parser.error("--steps must be even: half of the steps of two contenders lack M.")
    if arguments.repeats < 2:
        parser.error("--repeats must be at least 2: the ratios are shown with their quartiles.")
    torch.set_num_threads(1)
    milliseconds = measure(arguments)
    cuda = torch.device(arguments.device).type == "cuda"
    print(table(milliseconds))
    if arguments.out:
        settings = {k: v for k, v in vars(arguments).items() if k != "out"}
        device = torch.cuda.get_device_name() if cuda else platform.machine()
        about = {**provenance(), "device": device}
        result = {**about, "settings": settings, "milliseconds": milliseconds}
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
