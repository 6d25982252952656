"""A training step of seven methods beside lightly's losses and heads in a plain loop, one thread.

Same encoder (ResNet18 at a quarter of its width), heads, first weights, optimiser, batch of 128
images of 32 x 32 pixels and two views, given to both. Our side is a training by the engine, with
all it does between two batches; lightly's is a plain PyTorch loop around its loss, with its memory
bank, prototypes, DINO head and momentum update. Both views of an image pass the network together
on both sides where ours does so, one after the other where not. Sides take turns in one process,
the first of a turn alternating, after some turns that do not count. A figure is the median, with
quartiles, of lightly's processor time over ours in the same turn: above 1 we are faster. The first
losses must agree, or the run stops. Each method has some processes, whose turns are put together: a
process's place in memory makes one side faster or slower for as long as it lives. Freed memory is
kept for the next step, on both sides.

    pip install --no-deps --target LIGHTLY lightly lightly-utils
    PYTHONPATH=.:LIGHTLY OMP_NUM_THREADS=1 python benchmarks/ssl_steps.py --out ssl_steps.json
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from costs import apart
from ignite.engine import Events
from lightly_steps import DINOProjectionHead, SwaVPrototypes, lightly_step
from paired_runs import markdown, provenance
from torch import Tensor, nn

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.losses import DINO as DINOLoss
from common.losses import BarlowTwins, InfoNCE, VICReg
from common.methods import BYOL, DINO, Contrastive, Method, MoCo, SwAV, ViewGroup
from common.networks import DINOHead, ImageClassifier, Projector, ResNet18Encoder

BATCH, SIDE, WIDTH, FEATURES, HIDDEN = 128, 32, 0.25, 128, 512
QUEUE, PROTOTYPES, OUTPUTS, TAU, RATE = 4096, 300, 4096, 0.99, 0.01
SGD = partial(torch.optim.SGD, momentum=0.9)
NAMES = ("SimCLR", "BYOL", "MoCo v2", "Barlow Twins", "VICReg", "DINO", "SwAV")
UNCOUNTED = 5  # turns
KEEPS_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
TOLERANCE = 1e-3


class Nothing(nn.Module):
    """Chooses no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``lam (B, 0)``."""
        return x.new_empty(len(x), 0)


class Halves(nn.Module):
    """Hands out the two views that the batch holds: the first, then the second, and again."""

    calls = 0

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        """Return three of the six channels."""
        self.calls += 1
        return x[:, :3] if self.calls % 2 else x[:, 3:]


class Turns:
    """A loader of one batch: the engine takes turns with a step beside it.

    The time from handing out a batch to being asked for the next one is the engine's whole step.

    Args:
        batch: handed out again and again.
        beside: the step.
        count: turns that are counted.
    """

    def __init__(self, batch: dict[str, Tensor], beside: Callable[[], float], count: int) -> None:
        self.batch, self.beside, self.turns = batch, beside, UNCOUNTED + count
        self.seconds: dict[str, list[float]] = {"ours": [], "lightly": []}

    def __len__(self) -> int:
        return self.turns + 1  # nobody asks for another batch after the last one

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for turn in range(self.turns):
            if turn % 2:
                self._take()
            begun = time.process_time()
            yield self.batch
            self.seconds["ours"].append(time.process_time() - begun)
            if not turn % 2:
                self._take()
        yield self.batch

    def _take(self) -> None:
        begun = time.process_time()
        self.beside()
        self.seconds["lightly"].append(time.process_time() - begun)


def parts() -> tuple[ResNet18Encoder, dict[str, nn.Module]]:
    """Encoder and heads, the same for both sides."""
    torch.manual_seed(0)
    encoder = ResNet18Encoder(spatial_dims=2, in_channels=3, width=WIDTH)
    width = encoder.out_features
    return encoder, {
        "projector": Projector(width, HIDDEN, FEATURES, norm="BATCH"),
        "predictor": Projector(FEATURES, HIDDEN, FEATURES, norm="BATCH"),
        "dino": DINOHead(width, OUTPUTS, HIDDEN, FEATURES),
    }


def batch() -> Tensor:
    """Two views of each image, in six channels."""
    return torch.rand(BATCH, 6, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def method_of(name: str) -> Method:
    encoder, heads = parts()
    classifier = ImageClassifier(encoder, encoder.out_features)
    views = (Nothing(), Halves())
    losses = {  # lightly's VICReg takes the mean of the views' variances, ours, as the paper, both
        "SimCLR": InfoNCE(0.2),
        "Barlow Twins": BarlowTwins(0.005, 1.0),
        "VICReg": VICReg(25.0, 12.5, 1.0),
    }
    if name == "DINO":
        group = ViewGroup(*views, count=2)
        return DINO(classifier, heads["dino"], [group], loss=DINOLoss(OUTPUTS), momentum=TAU)
    one = (classifier, heads["projector"])
    if name in losses:
        return Contrastive(*one, *views, loss=losses[name])
    if name == "BYOL":
        return BYOL(*one, heads["predictor"], *views, momentum=TAU)
    if name == "MoCo v2":
        return MoCo(*one, *views, queue=QUEUE, momentum=TAU, temperature=0.2)
    return SwAV(*one, *views, prototypes=PROTOTYPES)


def ours(method: Method, loader: Turns) -> ContrastiveTrainer:
    """A training of one epoch by the engine, with its checks of finite numbers."""
    optimizers = PhaseOptimizers(method, {"encoder": RATE}, SGD)
    return ContrastiveTrainer("cpu", 1, loader, method, optimizers)


def lightly(name: str, method: Method) -> Callable[[], float]:
    """A step of a plain loop, from the first weights of `method`."""
    (online, extra), (slow, _) = (lightly_parts(name) for _ in range(2))
    if isinstance(method, SwAV):
        extra = SwaVPrototypes(FEATURES, PROTOTYPES)
        nn.init.zeros_(extra.heads[0].bias)  # ours, as SwAV's own code, has none
        extra.heads[0].weight.data.copy_(method.prototypes.weight)
    sizes = {"features": FEATURES, "queue": QUEUE, "outputs": OUTPUTS, "momentum": TAU}
    joined = isinstance(method, Contrastive | DINO)
    step, _ = lightly_step(name, online, extra, partial(SGD, lr=RATE), sizes, joined, slow)
    x = batch()
    return lambda: step(x[:, :3], x[:, 3:])


def lightly_parts(name: str) -> tuple[nn.Module, nn.Module]:
    """What is trained, and the predictor: ours, but of DINO lightly's head with our weights."""
    encoder, heads = parts()
    head = heads["projector"]
    if name == "DINO":
        head = DINOProjectionHead(encoder.out_features, HIDDEN, FEATURES, OUTPUTS)
        weights = heads["dino"].state_dict().values()  # in the same order
        head.load_state_dict(dict(zip(head.state_dict(), weights, strict=True)))
    return nn.Sequential(encoder, head), heads["predictor"]


def taken(name: str, turns: int) -> dict[str, Any]:
    """First losses, and seconds of the turns that count, of both sides in this process."""
    method, first = method_of(name), {}
    loader = Turns({"image": batch()}, lightly(name, method), turns)
    trainer = ours(method, loader)

    @trainer.on(Events.ITERATION_COMPLETED(once=1))
    def _() -> None:
        first["ours"] = trainer.state.output[0]["loss"]

    first["lightly"] = lightly(name, method)()
    trainer.run()
    require_agreement(name, first)
    seconds = {side: each[UNCOUNTED:] for side, each in loader.seconds.items()}
    return {"first_losses": first, "seconds": seconds}


def measured(name: str, turns: int, processes: int) -> dict[str, Any]:
    words = ["--one", name, "--turns", str(turns)]
    found = [apart(__file__, words, KEEPS_MEMORY) for _ in range(processes)]
    seconds = {
        side: np.concatenate([one["seconds"][side] for one in found])
        for side in ("ours", "lightly")
    }
    quartiles = np.quantile(seconds["lightly"] / seconds["ours"], [0.25, 0.5, 0.75])
    low, middle, high = (round(float(one), 3) for one in quartiles)
    return {
        "method": name,
        **{f"{side}_ms": round(1000 * float(np.median(s)), 1) for side, s in seconds.items()},
        "faster": middle,
        "quartiles": [low, high],
        "first_losses": found[0]["first_losses"],
    }


def require_agreement(name: str, first: dict[str, float]) -> None:
    # MoCo's queues begin with other random keys; BYOL's is 2 - 2 cos of both directions
    tolerance = TOLERANCE if name != "MoCo v2" else 0.05
    expected = 4 + 4 * first["lightly"] if name == "BYOL" else first["lightly"]
    if abs(first["ours"] - expected) > tolerance * abs(expected):
        sys.exit(f"{name}: the first losses differ: {first}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--turns", type=int, default=40, help="of each process")
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--methods", choices=NAMES, nargs="+", default=NAMES)
    parser.add_argument("--one", choices=NAMES, help="print the turns of one process")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(taken(options.one, options.turns)))
        return
    rows = []
    for name in options.methods:
        rows.append(measured(name, options.turns, options.processes))
        print(rows[-1], flush=True)
    cells = [
        [
            row["method"],
            f"{row['ours_ms']:.1f}",
            f"{row['lightly_ms']:.1f}",
            f"{row['faster']:.3f}",
            " to ".join(f"{end:.3f}" for end in row["quartiles"]),
        ]
        for row in rows
    ]
    print(markdown(["method", "ours, ms", "lightly, ms", "times as fast", "quartiles"], cells))
    record = {"turns": options.turns, "processes": options.processes, "rows": rows}
    if options.out:
        options.out.write_text(json.dumps({**record, **provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
