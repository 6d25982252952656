"""The predictor beside a plain loop: images per second, and memory for ten times as many files.

``python benchmarks/predict.py --source cxr_kermany_224 --work DIR``

`source` holds ``images.zip``, films at 224 pixels. The network is the chest X-ray bundle's
DenseNet121 with the weights that come with it. The plain loop is what one writes in a notebook: a
`Dataset` that opens a picture with Pillow, a `DataLoader` with two worker processes, the network, a
list. Both read the same files with as many processes; the predictor checks and prepares each file
besides, says how familiar it is, and writes a row for each. They take turns, so that whatever else
the machine does meets both; the time of its processors, of all processes together, is told beside
the time that passed. Memory is measured with an untrained network on smaller films.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from paired_runs import markdown, provenance, publish
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from common.deploy import PredictionFolder, Predictor, TrainedModel, load, save_model

BUNDLE = "chest_xray_learned_transforms"
BATCH = 16
WORKERS = 2
MEMORY_SIZE = 64


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


def plain(paths: Sequence[Path], network: torch.nn.Module, size: int) -> None:
    """Predict as one does in a notebook."""
    probabilities = []
    with torch.inference_mode():
        for x in DataLoader(Pictures(paths, size), batch_size=BATCH, num_workers=WORKERS):
            probabilities += network(x).sigmoid().flatten().tolist()
    assert len(probabilities) == len(paths)


def ours(paths: Sequence[Path], predictor: Predictor, output: Path) -> None:
    """Predict into a folder."""
    counts = PredictionFolder(output).write(predictor, predictor.dataset.of(list(paths)))
    assert (counts["images"], counts["skipped"]) == (len(paths), 0)


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Return seconds that passed, and seconds of processors in this and in ended processes."""
    start, before = time.perf_counter(), os.times()
    run()
    after = os.times()
    return time.perf_counter() - start, sum(after[:4]) - sum(before[:4])


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let both take turns on parts of the films."""
    paths = films(arguments.source, arguments.work / "films", arguments.films)
    predictor = load(BUNDLE, device="cpu")
    predictor.batch_size, predictor.num_workers = BATCH, WORKERS
    size = int(predictor.model["image_size"])
    contenders: dict[str, Callable[[Sequence[Path]], None]] = {
        "plain": lambda mine: plain(mine, predictor.network, size),
        "predictor": lambda mine: ours(mine, predictor, arguments.work / "out"),
    }
    contenders["predictor"](paths[:BATCH])  # the weights are loaded when first used
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for part in range(arguments.turns):
        mine = paths[part :: arguments.turns]
        for name in sorted(contenders, reverse=bool(part % 2)):
            seconds[name].append(timed(partial(contenders[name], mine)))
    result: dict[str, Any] = {"films": len(paths), "turns": arguments.turns, "size": size}
    for place, kind in enumerate(("passed", "processors")):
        taken = {name: np.array([one[place] for one in seconds[name]]) for name in contenders}
        rates = {f"{name}_per_second": len(paths) / taken[name].sum() for name in contenders}
        quartiles = np.quantile(taken["plain"] / taken["predictor"], [0.25, 0.5, 0.75])
        result[kind] = {
            **{name: float(rate) for name, rate in rates.items()},
            "ratio": float(taken["plain"].sum() / taken["predictor"].sum()),
            "quartiles": quartiles.tolist(),
        }
    return result


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


def quartiles(ratios: Sequence[float]) -> str:
    return ", ".join(f"{ratio:.3f}" for ratio in ratios)


def page(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    measured, held = result["speed"], result["memory_mb"]
    kinds = (measured["passed"], measured["processors"])
    about = (
        f"{measured['films']} films (JPEG at 224 px) through the bundle's DenseNet121 at "
        f"{measured['size']} px, batches of {BATCH}, {WORKERS} processes that read, in "
        f"{measured['turns']} turns each; "
        f"{result['threads']} thread(s) of an {result['processor']} CPU that others used too, "
        f"torch {result['torch']}, {result['date']}, code of {result['commit']}. A ratio above 1 "
        "is in favour of the predictor."
    )
    rows = [
        ["a plain loop", *(f"{one['plain_per_second']:.2f}" for one in kinds)],
        [
            "the predictor: checks, preparation, familiarity, rows",
            *(f"{one['predictor_per_second']:.2f}" for one in kinds),
        ],
        ["ratio", *(f"{one['ratio']:.3f}" for one in kinds)],
        ["quartiles of the turns", *(quartiles(one["quartiles"]) for one in kinds)],
    ]
    lines = [
        "# The predictor beside a plain loop",
        "",
        "<!-- figures: predict -->",
        "`python benchmarks/predict.py --source cxr_kermany_224 --work DIR`",
        "",
        about,
        "",
        markdown(["", "images a second", "images a second of all processors"], rows),
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
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--counts", type=int, nargs=2, default=(500, 5000), help="for memory")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, help="write them as a page")
    arguments = parser.parse_args()
    result = {
        **provenance(),
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
        "speed": speed(arguments),
        "memory_mb": {str(count): memory(arguments, count) for count in arguments.counts},
    }
    publish(result, page(result), arguments.out, arguments.markdown)


if __name__ == "__main__":
    main()
