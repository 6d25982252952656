"""Inference on a hundred thousand pictures: memory while it runs, and what a kill leaves.

``python benchmarks/predict_many.py --work DIR --out benchmarks/results/predict_many.json``

``python -m common predict`` with embeddings and two processes that read, on drawn pictures of 16
pixels, by an untrained, tiny network: what a network costs is no part of the question. Half-way the
command is killed (SIGKILL) and given again. Memory is what the command and its readers hold of
their own, each with its share of what they have in common (Pss_Anon of Linux), looked at again and
again; code of libraries is left out, of which a process is counted more when an unrelated one ends.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from paired_runs import markdown, provenance, publish
from PIL import Image

from common.deploy import TrainedModel, save_model
from common.deploy.journal import PROGRESS

BUNDLE = "brain_mri_learned_transforms"
SIDE = 16
BATCH = 64
WORKERS = 2
A_FOLDER = 1000
LOOKS = 12  # rows of the page

Sample = dict[str, float]  # "seconds", "images", "main_mb", "all_mb"


def pictures(folder: Path, count: int) -> Path:
    """Draw noise, a thousand pictures a folder."""
    generator = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // A_FOLDER:03d}" / f"{number:06d}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (SIDE, SIDE), np.uint8)).save(path)
    return folder


def model(folder: Path) -> Path:
    """Write an untrained model with two layers; return its folder."""
    dials = {"image_size": SIDE, "channels": [2, 4]}
    named = {"bundle": BUNDLE, "strategy": "untrained", "seed": 0, "head_fitted": True}
    record = {**named, "config": {}, "dials": dials, "changed": [], "classes": ["no", "yes"]}
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    made = TrainedModel(BUNDLE, ".", folder / "model.pt")
    made.record = record
    save_model(folder / "model.pt", made.network(), record)
    return folder


def done(folder: Path) -> int:
    """Return the images that the last whole line of the progress tells of."""
    path = folder / PROGRESS
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16))
        lines = file.read().split(b"\n")[:-1]
    return int(json.loads(lines[-1])["counts"]["images"]) if lines else 0


def held(process: psutil.Process) -> float:
    """Megabytes of its own, and its share of what it has in common with forks."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0.0
    sizes = [int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:")]
    return sum(sizes) / 2**10


def follow(words: list[str], folder: Path, until: int, every: float) -> list[Sample]:
    """Run the command and look at it; kill it when so many images are done."""
    start, samples, least = time.perf_counter(), [], done(folder)
    process = psutil.Popen([sys.executable, "-m", "common", *words], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        images = done(folder)
        if images >= until:
            process.kill()
            process.wait()
            return samples
        main, *others = (held(each) for each in (process, *process.children(recursive=True)))
        if images > least:
            seconds = time.perf_counter() - start
            each = {"seconds": seconds, "images": images, "main_mb": main}
            samples.append({**each, "all_mb": main + sum(others)})
        time.sleep(every)
    assert process.returncode == 0, process.returncode
    return samples


def rows(folder: Path) -> list[str]:
    """Return the names in the table that can be read whole."""
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return [row["file"] for row in csv.DictReader(file) if row["probability_yes"]]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Predict, kill half-way, and go on."""
    source = pictures(arguments.work / f"pictures_{arguments.pictures}", arguments.pictures)
    output = arguments.work / "out"
    shutil.rmtree(output, ignore_errors=True)
    words = ["predict", BUNDLE, str(source), "--output", str(output), "--device", "cpu"]
    words += ["--weights", str(model(arguments.work / "model")), "--embeddings", "npz"]
    words += ["--workers", str(WORKERS), "--batch-size", str(BATCH)]
    before = follow(words, output, arguments.pictures // 2, arguments.every)
    kept, there = done(output), rows(output)
    after = follow(words, output, arguments.pictures + 1, arguments.every)
    names = rows(output)
    with np.load(output / "embeddings.npz") as embeddings:
        whole = embeddings["name"].tolist() == names and bool(embeddings["h"].any(axis=1).all())
    return {
        "killed": {"done": kept, "rows": len(there), "lost_at_most": len(there) - kept},
        "after": {"rows": len(names), "of_one_picture": len(set(names)), "embeddings": whole},
        "per_second": (before[-1]["images"] - before[0]["images"])
        / (before[-1]["seconds"] - before[0]["seconds"]),
        "before": thinned(before),
        "again": thinned(after),
        "most_mb": max(one["all_mb"] for one in (*before, *after)),
    }


def thinned(samples: list[Sample]) -> list[Sample]:
    """Return some samples, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(samples) - 1, LOOKS // 2).round().astype(int))
    return [samples[place] for place in chosen]


def page(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    looks = [
        [name, f"{one['images']}", f"{one['main_mb']:.0f}", f"{one['all_mb']:.0f}"]
        for name in ("before", "again")
        for one in result[name]
    ]
    killed, after = result["killed"], result["after"]
    return "\n".join([
        "# Inference on many pictures",
        "",
        "<!-- figures: predict_many -->",
        "`python benchmarks/predict_many.py --work DIR --out benchmarks/results/predict_many.json`",
        "",
        f"{result['pictures']} pictures of {SIDE} pixels, a tiny untrained network, batches of "
        f"{BATCH}, {WORKERS} processes that read, rows and embeddings written; {result['threads']} "
        f"thread of an {result['processor']} CPU that others used too, torch {result['torch']}, "
        f"{result['date']}, code of {result['commit']}.",
        "",
        f"{result['per_second']:.0f} pictures a second. The command was killed (SIGKILL) when "
        f"{killed['done']} were recorded as done: {killed['rows']} whole rows could be read. Given "
        f"again it went on from there; at the end there are {after['rows']} rows of "
        f"{after['of_one_picture']} pictures, and as many embeddings.",
        "",
        "Memory of its own (Pss_Anon, MB) of the command, and with the processes that read:",
        "",
        markdown(["", "pictures done", "command", "all"], looks),
    ]) + "\n"  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, required=True, help="folder for pictures and outputs")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two looks")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, help="write them as a page")
    arguments = parser.parse_args()
    result = {
        **provenance(),
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
        "pictures": arguments.pictures,
        **run(arguments),
    }
    publish(result, page(result), arguments.out, arguments.markdown)


if __name__ == "__main__":
    main()
