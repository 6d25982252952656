"""The predictor beside a plain loop: images per second, and memory for ten times as many files.

``python benchmarks/predict.py --source cxr_kermany_224 --work DIR``

`source` holds ``images.zip``, films at 224 pixels. The network is the chest X-ray bundle's
DenseNet121, untrained: what it says does not matter here. The plain loop is what one writes in a
notebook: a `Dataset` that opens a picture with Pillow, a `DataLoader` with two worker processes,
the network, a list. Both read the same files with as many processes; the predictor checks and
prepares each file besides, and writes a row for each. They take turns, so that whatever else the
machine does meets both.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from paired_runs import provenance
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from common.deploy import PredictionFolder, Predictor, TrainedModel, load, save_model

BUNDLE = "chest_xray_learned_transforms"
BATCH = 16
WORKERS = 2
SPEED_SIZE, MEMORY_SIZE = 224, 64


class Pictures(Dataset[torch.Tensor]):
    """Films as a notebook reads them."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self.paths, self.size = list(paths), size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(self.paths[index]).convert("L").resize((self.size, self.size))
        return torch.from_numpy(np.asarray(image, np.float32) / 255)[None]


def model(folder: Path, size: int) -> Path:
    """Write an untrained model of the bundle; return its folder."""
    named = {"bundle": BUNDLE, "strategy": "untrained", "seed": 0, "head_fitted": True}
    dials = {"image_size": size}
    record = {**named, "config": {}, "dials": dials, "changed": [], "classes": ["no", "yes"]}
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(
        folder / "model.pt", TrainedModel(BUNDLE, ".", folder / "model.pt").network(), record
    )
    return folder


def films(source: Path, target: Path, count: int) -> list[Path]:
    """Extract `count` films, some under a second name where there are fewer."""
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(source / "images.zip") as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        for index in range(count):
            name = names[index % len(names)]
            path = target / f"{index:05d}{Path(name).suffix}"
            if not path.exists():
                path.write_bytes(archive.read(name))
    return sorted(target.iterdir())[:count]


def plain(paths: Sequence[Path], network: torch.nn.Module, size: int) -> float:
    """Return images per second of the plain loop."""
    start, probabilities = time.perf_counter(), []
    with torch.inference_mode():
        for x in DataLoader(Pictures(paths, size), batch_size=BATCH, num_workers=WORKERS):
            probabilities += network(x).sigmoid().flatten().tolist()
    assert len(probabilities) == len(paths)
    return len(paths) / (time.perf_counter() - start)


def ours(paths: Sequence[Path], predictor: Predictor, output: Path) -> float:
    """Return images per second of the predictor, written to a folder."""
    start = time.perf_counter()
    counts = PredictionFolder(output).write(predictor, predictor.dataset.of(list(paths)))
    assert (counts["images"], counts["skipped"]) == (len(paths), 0)
    return len(paths) / (time.perf_counter() - start)


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let both take turns on parts of the films."""
    paths = films(arguments.source, arguments.work / "films", arguments.films)
    predictor = load(BUNDLE, model(arguments.work / "models", SPEED_SIZE), "cpu")
    predictor.batch_size, predictor.num_workers = BATCH, WORKERS
    rates: dict[str, list[float]] = {"plain": [], "predictor": []}
    for part in range(arguments.turns):
        mine = paths[part :: arguments.turns]
        turns = {
            "plain": lambda mine=mine: plain(mine, predictor.network, SPEED_SIZE),
            "predictor": lambda mine=mine: ours(mine, predictor, arguments.work / "out"),
        }
        for name in sorted(turns, reverse=bool(part % 2)):
            rates[name].append(turns[name]())
    seconds = {name: sum(1 / rate for rate in of_turns) for name, of_turns in rates.items()}
    return {
        "films": len(paths),
        "turns": arguments.turns,
        "size": SPEED_SIZE,
        **{f"{name}_per_second": len(of_turns) / seconds[name] for name, of_turns in rates.items()},
        "ratio": seconds["plain"] / seconds["predictor"],
        "ratio_of_turns": [b / a for a, b in zip(rates["plain"], rates["predictor"])],
    }


def memory(arguments: argparse.Namespace, count: int) -> float:
    """Return the most megabytes that a command and its worker processes held at once."""
    folder = arguments.work / f"films_{count}"
    films(arguments.source, folder, count)
    output = arguments.work / f"out_{count}"
    shutil.rmtree(output, ignore_errors=True)
    words = [*("predict", BUNDLE, str(folder), "--output", str(output), "--device", "cpu")]
    words += ["--weights", str(model(arguments.work / "small", MEMORY_SIZE))]
    words += ["--workers", str(WORKERS), "--batch-size", str(BATCH), "--embeddings", "npz"]
    process = psutil.Popen([sys.executable, "-m", "common", *words], stdout=subprocess.DEVNULL)
    most = 0.0
    while process.poll() is None:
        held = [_held(each) for each in (process, *process.children(recursive=True))]
        most = max(most, sum(held) / 2**20)
        time.sleep(0.2)
    assert process.returncode == 0, process.returncode
    return most


def _held(process: psutil.Process) -> float:
    """Bytes of its own, and its share of what it has in common with others."""
    try:
        return float(process.memory_full_info().pss)
    except psutil.Error:
        return 0.0


def page(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    measured, held = result["speed"], result["memory_mb"]
    about = (
        f"{measured['films']} films (JPEG at {measured['size']} px) through an untrained "
        f"DenseNet121, batches of {BATCH}, {WORKERS} processes that read, in "
        f"{measured['turns']} turns each; "
        f"{result['threads']} thread(s) of an {result['processor']} CPU that others used too, "
        f"torch {result['torch']}, {result['date']}, code of {result['commit']}. A ratio above 1 "
        "is in favour of the predictor."
    )
    lines = [
        "# The predictor beside a plain loop",
        "",
        "<!-- figures: predict -->",
        "`python benchmarks/predict.py --source cxr_kermany_224 --work DIR`",
        "",
        about,
        "",
        "| | images per second |",
        "|---|---:|",
        f"| a plain loop | {measured['plain_per_second']:.2f} |",
        f"| the predictor: checks, preparation, rows | {measured['predictor_per_second']:.2f} |",
        f"| ratio | {measured['ratio']:.3f} |",
        f"| ratio, lowest turn | {measured['lowest_ratio']:.3f} |",
        "",
        f"`python -m common predict --embeddings npz` at {MEMORY_SIZE} px, memory of the command",
        "and its processes (proportional set size):",
        "",
        "| films | most at once, MB |",
        "|---:|---:|",
        *(f"| {count} | {held[count]:.0f} |" for count in sorted(held, key=int)),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for films and models")
    parser.add_argument("--films", type=int, default=500)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs=2, default=(500, 5000), help="for memory")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, help="write them as a page")
    arguments = parser.parse_args()
    measured = speed(arguments)
    measured["lowest_ratio"] = min(measured["ratio_of_turns"])
    measured["median_ratio"] = statistics.median(measured["ratio_of_turns"])
    result = {
        **provenance(),
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
        "speed": measured,
        "memory_mb": {str(count): memory(arguments, count) for count in arguments.counts},
    }
    text = page(result)
    print(text)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(text)


if __name__ == "__main__":
    main()
