"""A training step of six methods beside lightly's loss modules in a plain loop, on one CPU thread.

Same encoder (ResNet18 at a quarter of its width), heads, optimiser, batch of 128 images of 32 x 32
pixels and two views, given to both; lightly's side is a plain PyTorch loop around its loss, with
its memory bank, prototypes and momentum update. Sides take turns in one process after a warm-up
step each; the best time of the repetitions counts.

    pip install --no-deps --target LIGHTLY lightly lightly-utils
    PYTHONPATH=.:LIGHTLY OMP_NUM_THREADS=1 python benchmarks/ssl_steps.py --out ssl_steps.json
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from costs import best_times
from lightly_steps import lightly_step
from paired_runs import markdown, provenance
from torch import Tensor, nn

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.losses import BarlowTwins, InfoNCE, VICReg
from common.methods import BYOL, Contrastive, Method, MoCo, SwAV
from common.networks import ImageClassifier, Projector, ResNet18Encoder

BATCH, SIDE, WIDTH, FEATURES, HIDDEN = 128, 32, 0.25, 128, 512
QUEUE, PROTOTYPES, TAU, RATE = 4096, 300, 0.99, 0.01
SGD = partial(torch.optim.SGD, momentum=0.9)
NAMES = ("SimCLR", "BYOL", "MoCo v2", "Barlow Twins", "VICReg", "SwAV")


class Halves(nn.Module):
    """Hands out two views that the batch holds: the first, then the second, and again."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return 0 for the first view, 1 for the second, ``(B, 1)``."""
        self.calls += 1
        return x.new_full((len(x), 1), 1 - self.calls % 2)


class Given(nn.Module):
    """The view that `Halves` asks for."""

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        """Return three of the six channels."""
        return x[:, :3] if float(lam[0, 0]) == 0 else x[:, 3:]


def parts() -> tuple[ResNet18Encoder, Projector, Projector]:
    """Encoder, projector and predictor, the same for both sides."""
    torch.manual_seed(0)
    encoder = ResNet18Encoder(spatial_dims=2, in_channels=3, width=WIDTH)
    heads = [Projector(n, HIDDEN, FEATURES, norm="BATCH") for n in (encoder.out_features, FEATURES)]
    return encoder, heads[0], heads[1]


def batch() -> Tensor:
    """Two views of each image, in six channels."""
    return torch.rand(BATCH, 6, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def method_of(name: str) -> Method:
    encoder, projector, predictor = parts()
    one = (ImageClassifier(encoder, encoder.out_features), projector)
    views = (Halves(), Given())
    losses = {"SimCLR": InfoNCE(0.2), "Barlow Twins": BarlowTwins(0.005, 1.0), "VICReg": VICReg()}
    if name in losses:
        return Contrastive(*one, *views, loss=losses[name])
    if name == "BYOL":
        return BYOL(*one, predictor, *views, momentum=TAU)
    if name == "MoCo v2":
        return MoCo(*one, *views, queue=QUEUE, momentum=TAU, temperature=0.2)
    return SwAV(*one, *views, prototypes=PROTOTYPES)


def ours(name: str) -> Callable[[], float]:
    """A step by the engine, with its checks of finite numbers."""
    method = method_of(name)
    optimizers = PhaseOptimizers(method, {"encoder": RATE}, SGD)
    trainer = ContrastiveTrainer("cpu", 10**6, [{"image": batch()}], method, optimizers)
    trainer.state.epoch_length, trainer.state.iteration = 1, 0
    trainer.scaler = torch.amp.GradScaler(enabled=False)
    content = {"image": batch()}

    def run() -> float:
        trainer.state.iteration += 1
        return float(trainer._iteration(trainer, content)[0]["loss"])

    return run


def lightly(name: str) -> Callable[[], float]:
    """A step of a plain loop."""
    encoder, projector, predictor = parts()
    online = nn.Sequential(encoder, projector)
    sizes = {"features": FEATURES, "queue": QUEUE, "prototypes": PROTOTYPES, "momentum": TAU}
    step, _ = lightly_step(name, online, predictor, partial(SGD, lr=RATE), sizes)
    x = batch()
    return lambda: step(x[:, :3], x[:, 3:])


def measured(name: str, rounds: int) -> dict[str, Any]:
    found = [best_times({"ours": ours(name), "lightly": lightly(name)}) for _ in range(rounds)]
    seconds = {side: min(one["seconds"][side] for one in found) for side in ("ours", "lightly")}
    return {
        "method": name,
        "ours_ms": round(1000 * seconds["ours"], 1),
        "lightly_ms": round(1000 * seconds["lightly"], 1),
        "faster": round(seconds["lightly"] / seconds["ours"], 2),
        "first_losses": found[0]["values"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3, help="of turns of at least 2 s")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measured(name, options.rounds) for name in NAMES]
    cells = [
        [str(row[key]) for key in ("method", "ours_ms", "lightly_ms", "faster")] for row in rows
    ]
    print(markdown(["method", "ours, ms", "lightly, ms", "faster"], cells))
    options.out.write_text(json.dumps({"rows": rows, **provenance()}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
