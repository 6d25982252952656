"""Does a run that is killed again and again end as if nothing had happened?

A small training of a bundle (brain age, 3D phantom of 16 voxels a side, group normalisation, random
shifts and flips, saved every two steps) runs through once. It then runs again and is ended by
SIGKILL at random moments, each time resumed: by one process, whose weights must be the first run's
to the bit; and a short one once by two processes, of which one is killed, resumed by one process,
whose weights may differ by the order of sums alone.

    OMP_NUM_THREADS=1 python benchmarks/killed_runs.py --out OUT [--kills 20] [--epochs 60]

Prints the table and writes OUT/killed_runs.json. Processes are forked from one that has imported
everything, so that a kill costs a training's start and not an interpreter's.
"""

import argparse
import json
import multiprocessing
import os
import random
import socket
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from paired_runs import kept, provenance

from data_prep.__main__ import main as data_prep

BUNDLE = Path(__file__).parents[1] / "bundles" / "brain_mri_age_contrastive"
FORKS = multiprocessing.get_context("forkserver")
PHANTOM = "--kind brain --dims 3 --task age --patients 60 --size 16 --workers 1"
DIALS: dict[str, Any] = {
    "encoder": {
        "_target_": "common.networks.ConvEncoder",
        "spatial_dims": 3,
        "channels": [4, 8],
    },
    **{"norm": "group", "batch_size": 4, "learning_rate": 0.001, "resume": True},
    "optimizers#optimizer#_target_": "torch.optim.SGD",  # Adam would make steps of rounding errors
    **{"val_interval": 1000, "snapshot_interval": 1000, "checkpoint_every": "2 steps"},
    "device": "$torch.device('cpu')",
    "bundle_root": str(BUNDLE),
}
OVERLAYS = ("train", "augmentation_shift_flip")
LATEST = 1.0  # seconds into a training, within which it is killed
FEW = 3  # epochs of the run that two processes begin: rounding grows with every step


def train(dials: Mapping[str, Any], ranks: int, place: Mapping[str, str]) -> None:
    """One process of the bundle's training, resumed where it was begun."""
    from monai.bundle import ConfigWorkflow

    os.environ.update(place)
    torch.set_num_threads(1)
    names = (*OVERLAYS, *(["multi_gpu_train"] if ranks > 1 else []))
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in names]
    if ranks > 1:
        dials = {key: value for key, value in dials.items() if key != "device"}
    workflow = ConfigWorkflow(files, workflow_type="train", logging_file=False, **dials)
    workflow.initialize()
    workflow.run()


def started(dials: Mapping[str, Any], ranks: int) -> list[BaseProcess]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    processes = []
    for rank in range(ranks):
        place = {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {}
        processes.append(FORKS.Process(target=train, args=(dials, ranks, place)))
        processes[-1].start()
    return processes


def one_killed(
    dials: Mapping[str, Any], folder: Path, chance: random.Random, ranks: int, latest: float
) -> bool:
    """Start a training and kill one of its processes; whether it was still running."""
    record = folder / "run.json"
    before = record.stat().st_mtime_ns if record.is_file() else 0
    processes = started(dials, ranks)
    while all(process.is_alive() for process in processes):
        begun = record.is_file() and record.stat().st_mtime_ns != before
        if begun and (ranks == 1 or saved(folder)["iteration"]):  # two have something to hand on
            break
        time.sleep(0.005)
    time.sleep(chance.uniform(0, latest))
    victim = chance.choice(processes)
    running = victim.is_alive()
    victim.kill()
    for process in processes:
        process.join()
    return running


def saved(folder: Path) -> dict[str, int]:
    path = folder / "checkpoint.pt"
    return dict(torch.load(path)["engine"]) if path.is_file() else {"epoch": 0, "iteration": 0}


def difference(one: Path, other: Path) -> float:
    """The greatest difference of a weight."""
    a, b = (torch.load(folder / "model.pt") for folder in (one, other))
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


def finished(dials: Mapping[str, Any]) -> None:
    (process,) = started(dials, 1)
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f"killed_runs: the training ended with {process.exitcode}.")


def scenario(
    dials: Mapping[str, Any], out: Path, name: str, kills: int, ranks: int, seed: int
) -> dict[str, Any]:
    """A run that is killed so often and then left alone beside one that is not killed."""
    whole, folder = out / f"{name}_whole", out / name
    finished({**dials, "run_dir": str(whole)})
    dials = {**dials, "run_dir": str(folder)}
    chance, latest = random.Random(seed), LATEST if ranks == 1 else LATEST / 10
    steps: list[int] = []
    while len(steps) < kills:
        if not one_killed(dials, folder, chance, ranks, latest):
            raise SystemExit("killed_runs: it ended before it was killed. Give more --epochs.")
        steps.append(saved(folder)["iteration"])
    finished(dials)
    return {
        "steps": saved(whole)["iteration"],
        "kills": len(steps),
        "steps saved": steps,
        "difference": difference(whole, folder),
    }


def measure(out: Path, kills: int, epochs: int, seed: int) -> dict[str, Any]:
    data = out / "data"
    if not (data / "manifest.json").is_file():
        data_prep(["phantom", "--target", str(data), *PHANTOM.split()])
    dials = {**DIALS, "dataset_dir": str(data), "ckpt_dir": str(out), "output_dir": str(out)}
    long, few = ({**dials, "epochs": count} for count in (epochs, FEW))
    return {
        "provenance": provenance(),
        "settings": {"kills": kills, "seed": seed},
        "one process": kept(
            out / "one.json", lambda: scenario(long, out, "one", kills - 1, 1, seed)
        ),
        "two processes, then one": kept(
            out / "two.json", lambda: scenario(few, out, "two", 1, 2, seed)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    FORKS.set_forkserver_preload(["monai.bundle", "common.engines", "common.data", "common.losses"])
    result = measure(options.out, options.kills, options.epochs, options.seed)
    (options.out / "killed_runs.json").write_text(json.dumps(result, indent=1) + "\n")
    print("| run | steps | kills | steps saved at the kills | greatest difference of a weight |")
    print("|---|---:|---:|---|---:|")
    for name in ("one process", "two processes, then one"):
        steps = result[name]["steps saved"]
        told = ", ".join(map(str, steps))
        row = (name, result[name]["steps"], len(steps), told, f"{result[name]['difference']:.1e}")
        print("|", " | ".join(map(str, row)), "|")


if __name__ == "__main__":
    main()
