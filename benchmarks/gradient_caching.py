"""Memory and time of a contrastive step on volumes, with and without cached activations.

    OMP_NUM_THREADS=1 python benchmarks/gradient_caching.py --out gradient_caching.json

SimCLR on a 3D ResNet-18 with group normalisation, each case in a process of its own: the memory is
what a step's peak adds to that before the batch was made, so it holds the batch, its views,
activations, gradients and the optimiser's first step (SGD). First a batch of 8 at once, then larger
ones in parts; the gradient of the smallest is compared with that of the whole batch.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from paired_runs import markdown, provenance
from torch import Tensor

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.losses import InfoNCE
from common.methods import Contrastive
from common.networks import ImageClassifier, Projector, ResNet18Encoder, set_cache_chunk
from common.policies import EachWithProbability
from common.transforms import Composition


def method_of(width: float) -> Contrastive:
    torch.manual_seed(0)
    encoder = ResNet18Encoder(3, width=width)
    classifier = ImageClassifier(encoder, encoder.out_features, norm="group")
    transform = Composition(["flip_0", "crop"], spatial_dims=3)
    projector = Projector(encoder.out_features, 128, 64)
    policy = EachWithProbability(0.5, transform.sizes)
    return Contrastive(classifier, projector, policy, transform, loss=InfoNCE(0.1))


def resident() -> int:
    """Bytes of memory that this process holds now. Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measured(batch: int, chunk: int, side: int, width: float) -> dict[str, Any]:
    """A step's memory in MiB, its seconds and, for a small batch, the gradient."""
    torch.set_num_threads(1)
    method = method_of(width)
    optimizers = PhaseOptimizers(method, {"encoder": 0.01}, torch.optim.SGD)
    before = resident()
    x = torch.rand(batch, 1, *(side,) * 3, generator=torch.Generator().manual_seed(1))
    trainer = ContrastiveTrainer("cpu", 1, [{"image": x}], method, optimizers, cache_chunk=chunk)
    started = time.perf_counter()
    trainer.run()
    seconds = time.perf_counter() - started
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "batch": batch,
        "chunk": chunk,
        "MiB": round((peak - before) / 2**20),
        "batch_MiB": round(x.nbytes / 2**20),
        "seconds": round(seconds, 1),
    }


def gradients(chunk: int, batch: int, side: int, width: float, double: bool) -> Tensor:
    """The gradient of all weights, in one row."""
    method = method_of(width)
    method = method.double() if double else method
    x = torch.rand(batch, 1, *(side,) * 3, generator=torch.Generator().manual_seed(1))
    set_cache_chunk(method, method.classifier.encoder, chunk)
    torch.manual_seed(2)
    loss = next(method.steps({"image": x.double() if double else x})).loss
    loss.backward()
    return torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])


def difference(double: bool, side: int, width: float) -> dict[str, float]:
    """How far the gradient of 8 volumes in parts of 2 is, by its length and its largest entry."""
    whole, parts = (gradients(chunk, 8, side, width, double) for chunk in (0, 2))
    apart = parts - whole
    return {
        "of_length": float(apart.norm() / whole.norm()),
        "of_largest": float(apart.abs().max() / whole.abs().max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--width", type=float, default=1.0, help="of the network")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 64, 512], help="in parts")
    parser.add_argument("--chunk", type=int, default=2)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    cases = [(8, 0), *((batch, options.chunk) for batch in options.batches)]
    rows = []
    for batch, chunk in cases:
        with spawn.Pool(1) as pool:  # peak memory is of a process
            rows.append(pool.apply(measured, (batch, chunk, options.side, options.width)))
        print(rows[-1], flush=True)
    plain = rows[0]
    for row in rows:
        row["memory_by_plain_8"] = round(row["MiB"] / plain["MiB"], 2)
        row["without_batch_by_plain_8"] = round(
            (row["MiB"] - row["batch_MiB"]) / (plain["MiB"] - plain["batch_MiB"]), 2
        )
        row["seconds_by_plain"] = round(
            row["seconds"] / row["batch"] / (plain["seconds"] / plain["batch"]), 2
        )
    error = {name: difference(name == "float64", 32, 0.25) for name in ("float32", "float64")}
    print(markdown(list(rows[0]), [[str(value) for value in row.values()] for row in rows]))
    print(error)
    record = {"settings": vars(options) | {"out": ""}, "rows": rows, "gradient": error}
    options.out.write_text(json.dumps({**record, **provenance()}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
