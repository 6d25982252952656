"""What bfloat16, channels-last memory, fused optimisers and torch.compile make of a training step.

    OMP_NUM_THREADS=1 python benchmarks/options.py --out benchmarks/results/options.json

A SimCLR step (forward, backward, Adam) of two networks on one thread of a CPU: ResNet18 on 2D
images, a 3D ResNet18 at a quarter of its width on volumes. Each option is on alone, and takes turns
with the plain step; the figure is the median, with quartiles, of the plain step's processor time
over the option's in the same turn: above 1 it is faster. torch.compile is given its first step to
compile, which is counted apart. The loss of the first step must be the plain one's, to 1e-3 (in
bfloat16 to 5e-2). Rows of other options that the file holds are kept. Figures of a CPU say nothing
of a GPU.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired_runs import markdown, provenance
from torch import Tensor, nn

from common.losses import InfoNCE
from common.networks import Projector, ResNet18Encoder

NETWORKS: dict[str, dict[str, Any]] = {
    "ResNet18, 2D": {"dimensions": 2, "width": 1.0, "batch": 16, "side": 64},
    "ResNet18, 3D": {"dimensions": 3, "width": 0.25, "batch": 4, "side": 32},
}
OPTIONS = ("bfloat16", "channels last", "fused Adam", "compiled")
TOLERANCE = {"bfloat16": 5e-2}


def step_of(network: str, option: str) -> Callable[[], float]:
    how = NETWORKS[network]
    torch.manual_seed(0)
    encoder = ResNet18Encoder(how["dimensions"], in_channels=1, width=how["width"])
    model: nn.Module = nn.Sequential(encoder, Projector(encoder.out_features, 128, 64))
    shape = (2 * how["batch"], 1, *(how["side"],) * how["dimensions"])
    x = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    if option == "channels last":
        last = torch.channels_last if how["dimensions"] == 2 else torch.channels_last_3d
        model, x = model.to(memory_format=last), x.to(memory_format=last)
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=option == "fused Adam")
    network_of: Callable[[Tensor], Tensor] = model
    if option == "compiled":  # for this shape alone, as the first network of a process is
        network_of = torch.compile(model, dynamic=False)
    loss = InfoNCE(0.1)

    def step() -> float:
        low = torch.autocast("cpu", torch.bfloat16) if option == "bfloat16" else nullcontext()
        with low:
            z = network_of(x)
        value = loss(torch.stack(z.chunk(2), dim=1))
        adam.zero_grad()
        value.backward()
        adam.step()
        return float(value.detach())

    return step


def measured(network: str, option: str, turns: int) -> dict[str, Any]:
    plain, other = step_of(network, ""), step_of(network, option)
    expected, start = plain(), time.perf_counter()
    if abs(other() - expected) > TOLERANCE.get(option, 1e-3) * abs(expected):
        sys.exit(f"{network}, {option}: the first loss differs from {expected}")
    first = time.perf_counter() - start
    ratios = []
    for _ in range(turns):
        seconds = []
        for step in (plain, other):
            begun = time.process_time()
            step()
            seconds.append(time.process_time() - begun)
        ratios.append(seconds[0] / seconds[1])
    low, middle, high = (round(float(q), 2) for q in np.quantile(ratios, [0.25, 0.5, 0.75]))
    row = {"network": network, "option": option, "faster": middle, "quartiles": [low, high]}
    return {**row, "first_step_seconds": round(first, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--options", choices=OPTIONS, nargs="+", default=list(OPTIONS))
    parser.add_argument("--turns", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    asked = [(network, option) for network in NETWORKS for option in options.options]
    rows = json.loads(options.out.read_text())["rows"] if options.out.is_file() else []
    rows = [row for row in rows if (row["network"], row["option"]) not in asked]
    about = provenance()
    for network, option in asked:
        found = measured(network, option, options.turns)
        rows.append({**found, "turns": options.turns, "commit": about["commit"]})
        print(rows[-1], flush=True)
    rows.sort(key=lambda row: (list(NETWORKS).index(row["network"]), OPTIONS.index(row["option"])))
    heads = ["network", "option", "times as fast", "quartiles", "first step, s"]
    cells = [
        [
            row["network"],
            row["option"],
            f"{row['faster']:.2f}",
            " to ".join(f"{end:.2f}" for end in row["quartiles"]),
            str(row["first_step_seconds"]),
        ]
        for row in rows
    ]
    print(markdown(heads, cells))
    record = {"networks": NETWORKS, "rows": rows, **about}
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
