"""BYOL and SwAV of `ssl_methods.py` trained with lightly's modules, in a plain loop.

Where a method ends below its untrained encoder, this tells a fault of ours from the task: same
encoder, heads, views, optimiser, rate, batches and epochs, but lightly's losses, prototypes and
momentum update, and no engine.

    pip install --no-deps --target LIGHTLY lightly lightly-utils
    PYTHONPATH=.:LIGHTLY OMP_NUM_THREADS=1 python benchmarks/ssl_peers.py --source mnist --out OUT

Finished runs are kept in OUT; prints the table and writes OUT/ssl_peers.json.
"""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from batches import Batches
from lightly_steps import SwaVPrototypes, lightly_step
from paired_runs import kept, markdown, mean_and_spread, provenance
from ssl_methods import SETTINGS, Digits, encoder, judged, read_both, views
from torch import nn

from common.networks import Projector

NAMES = ("BYOL", "SwAV")


def run(name: str, seed: int, digits: Digits) -> dict[str, Any]:
    torch.manual_seed(seed)
    trunk, (policy, transform) = encoder(), views()
    untrained = judged(trunk, digits)
    hidden, features = SETTINGS["hidden"], SETTINGS["features"]
    head, predictor = (
        Projector(width, hidden, features, norm="BATCH") for width in (trunk.out_features, features)
    )
    prototypes = SwaVPrototypes(features, SETTINGS["prototypes"])
    online = nn.Sequential(trunk, head).train()
    adam = partial(torch.optim.AdamW, lr=SETTINGS["rate"], weight_decay=SETTINGS["decay"])
    extra = predictor if name == "BYOL" else prototypes
    step, optimizer = lightly_step(name, online, extra, adam, SETTINGS)
    loader = Batches({"image": digits["training"][0]}, SETTINGS["batch"])
    steps = SETTINGS["epochs"] * len(loader) + 1
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, SETTINGS["rate"], steps, pct_start=0.1)
    started = time.process_time()
    for _ in range(SETTINGS["epochs"]):
        for batch in loader:
            x = batch["image"]
            step(transform(x, policy(x)), transform(x, policy(x)))
            rate.step()
    return {
        "method": name,
        "seed": seed,
        "seconds": time.process_time() - started,
        "trained": judged(trunk, digits),
        "untrained": untrained,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of MNIST's idx files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    digits = read_both(options.source)
    runs = [
        kept(options.out / f"{name}_seed{seed}.json", partial(run, name, seed, digits))
        for name in NAMES
        for seed in options.seeds
    ]
    rows = []
    for name in NAMES:
        mine = [one for one in runs if one["method"] == name]
        both = [
            mean_and_spread([one[state]["probe"] for one in mine], 2)
            for state in ("trained", "untrained")
        ]
        rank = mean_and_spread([one["trained"]["rank"] for one in mine], 1)
        rows.append([name, *both, rank])
    print(markdown(["lightly's", "probe, %", "untrained, %", "rank"], rows))
    record = {"settings": SETTINGS, "rows": rows, "runs": runs, **provenance()}
    (options.out / "ssl_peers.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    sys.exit(main())
