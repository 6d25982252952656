"""Biased-MNIST on a CPU: CE, EnD, SupCon, SupInfoNCE, and FairKL in three variants, over seeds.

Trains through the configuration files of ``bundles/biased_image_fairkl`` with a short schedule and
a small network (`SHORT`), one thread. First FairKL's weight is chosen for each variant on the
validation digits of the harder ratio, with the first seed; only then are the chosen settings
trained with every seed at both ratios and the last epoch is scored on the test digits, once.
Finished runs are kept, so an interrupted comparison continues.

    python benchmarks/biased_mnist.py --source mnist --out DIR [--seeds 0 1 2] [--finished]
        [--methods end sup_con] [--ratios 0.995 0.999] [--weight 30] [--result NAME]

``--finished`` trains nothing and reports the runs that are there; ``--weight`` is FairKL's, chosen
before, so that nothing is chosen. Writes ``benchmarks/results/NAME.json`` (biased_mnist) and prints
the tables that ``benchmarks/biased_mnist.md`` holds.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow

from common.deploy.provenance import versions
from common.metrics.pair_distances import GROUPS
from data_prep.__main__ import main as data_prep

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "bundles" / "biased_image_fairkl" / "configs"
RESULTS = ROOT / "benchmarks" / "results"
RATIOS = ("0.99", "0.997")
CHOSEN_AT = "0.997"
METHODS = ("ce", "sup_info_nce", "fairkl_released", "fairkl_moments", "fairkl_paper")
NAMES = {
    "ce": "CE",
    "end": "CE + EnD",
    "sup_con": "SupCon",
    "sup_info_nce": "SupInfoNCE",
    "fairkl_released": "SupInfoNCE + FairKL, released",
    "fairkl_moments": "SupInfoNCE + FairKL, moments",
    "fairkl_paper": "SupInfoNCE + FairKL, paper's KL, variance floor 0.05",
}
WEIGHTS = {
    "fairkl_released": (10.0, 30.0, 100.0),
    "fairkl_moments": (10.0, 30.0, 100.0),
    "fairkl_paper": (0.3, 1.0, 3.0),
}
PAPER = {  # Barbano et al., ICLR 2023, 80 epochs of the full network; talk, slide 59
    "ce": ("90.8 ± 0.3", "79.5 ± 0.1", "62.5 ± 2.9", "11.8 ± 0.7"),
    "end": ("94.8 ± 0.3", "94.0 ± 0.6", "82.70 ± 0.3", "59.5 ± 2.3"),
    "sup_info_nce": ("91.18 ± 0.49", "83.65 ± 0.36", "73.86 ± 0.81", "33.16 ± 3.57"),
    "fairkl_released": ("97.86 ± 0.02", "97.00 ± 0.06", "96.19 ± 0.23", "90.51 ± 1.55"),
}
PAPER_RATIOS = ("0.99", "0.995", "0.997", "0.999")
SHORT: dict[str, Any] = {
    "epochs": 8,
    "lr_steps": [3, 5],
    "channels": [8, 16, 32, 64],
    "kernel_size": 5,
    "strides": [2, 2, 2, 2],
    "val_interval": 8,
    "snapshot_interval": 8,
}
FIGURES = ("accuracy", "accuracy_aligned", "accuracy_conflicting")


def workflow(names: Sequence[str], **settings: Any) -> ConfigWorkflow:
    made = ConfigWorkflow(
        config_file=[str(CONFIGS / f"{name}.json") for name in names],
        workflow_type="train",
        logging_file=False,
        **settings,
    )
    made.initialize()
    return made


def settings_of(method: str, weight: float | None, ratio: str, seed: int, out: Path) -> Any:
    """(run folder, settings) of one training."""
    run_suffix = "" if weight is None else f"_weight{weight:g}"
    folder = out / ratio / f"{method}{run_suffix}_seed{seed}"
    settings = {
        **SHORT,
        "run_suffix": run_suffix,
        "seed": seed,
        "dataset_dir": str(out / f"data_{ratio}"),
        "output_dir": str(folder.parent),
        "ckpt_dir": str(folder / "models"),
        "device": "$torch.device('cpu')",
    }
    return folder, settings if weight is None else {**settings, "regularizer_weight": weight}


def train(method: str, weight: float | None, ratio: str, seed: int, out: Path) -> dict[str, Any]:
    """Train one run unless it is there; return its validation accuracy and what it took."""
    folder, settings = settings_of(method, weight, ratio, seed, out)
    kept = folder / "trained.json"
    if not kept.is_file():
        start = time.process_time()
        run = workflow(["train", f"loss_{method}"], **settings)
        run.run()
        metrics = run.parser.get_parsed_content("validate#evaluator").state.metrics
        seconds = time.process_time() - start
        result = {"validation_accuracy": metrics["head_accuracy"], "cpu_seconds": seconds}
        result["commit"] = versions().get("commit", "unknown")
        kept.write_text(json.dumps(result) + "\n")
        print(f"{ratio} {folder.name}: validation {metrics['head_accuracy']:.4f}", flush=True)
    return dict(json.loads(kept.read_text()))


def test(method: str, weight: float | None, ratio: str, seed: int, out: Path) -> dict[str, Any]:
    """Score one trained run on the test digits unless it was; return ``evaluation.json``."""
    folder, settings = settings_of(method, weight, ratio, seed, out)
    kept = folder / "evaluation.json"
    if not kept.is_file():
        names = ["train", f"loss_{method}", "evaluate"]
        workflow(names, **settings, run=["$@evaluation.run()"]).run()
        print(f"{ratio} {folder.name}: test {json.loads(kept.read_text())['accuracy']:.4f}")
    return dict(json.loads(kept.read_text()))


def finished(method: str, weight: float | None, ratio: str, seed: int, out: Path) -> bool:
    folder, _ = settings_of(method, weight, ratio, seed, out)
    return (folder / "evaluation.json").is_file()


def choose(
    out: Path, seed: int, only_finished: bool, methods: Sequence[str]
) -> tuple[dict[str, float | None], dict[str, dict[str, float]]]:
    """Weight of each method by validation accuracy at `CHOSEN_AT`, and all those accuracies."""
    chosen: dict[str, float | None] = {}
    tried: dict[str, dict[str, float]] = {}
    for method in methods:
        accuracies = {
            weight: train(method, weight, CHOSEN_AT, seed, out)["validation_accuracy"]
            for weight in WEIGHTS.get(method, (None,))
            if not only_finished
            or (settings_of(method, weight, CHOSEN_AT, seed, out)[0] / "trained.json").is_file()
        }
        if accuracies:
            chosen[method] = max(accuracies, key=lambda weight: accuracies[weight])
        tried[method] = {"" if w is None else f"{w:g}": value for w, value in accuracies.items()}
    return chosen, tried


def spread(values: Sequence[float]) -> dict[str, Any]:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "std": deviation, "seeds": list(values)}


def row(method: str, weight: float | None, ratio: str, seeds: Sequence[int], out: Path) -> Any:
    trained = [train(method, weight, ratio, seed, out) for seed in seeds]
    tested = [test(method, weight, ratio, seed, out) for seed in seeds]
    return {
        "method": method,
        "ratio": ratio,
        "fairkl_weight": weight,
        "seeds": list(seeds),
        "cpu_seconds": float(np.mean([t["cpu_seconds"] for t in trained])),
        "validation_accuracy": spread([t["validation_accuracy"] for t in trained]),
        **{name: spread([t[name] for t in tested]) for name in FIGURES},
        "probe_accuracy": spread([t["probe"]["accuracy"] for t in tested]),
        "pixels_accuracy": tested[0]["baselines"]["pixels"]["accuracy"],
        "distances": {
            group: float(np.mean([t["distances"]["after"][group]["mean"] for t in tested]))
            for group in GROUPS
        },
        "commits": sorted({t["commit"] for t in trained}),
        "versions": tested[0]["versions"],
    }


def percent(value: dict[str, Any]) -> str:
    shown = f"{100 * value['mean']:.1f}"
    return shown if len(value["seeds"]) < 2 else f"{shown} ± {100 * value['std']:.1f}"


def page(result: dict[str, Any]) -> str:
    lines = [
        "| method | λ | ratio | paper | test accuracy | aligned | conflicting | refitted probe "
        "| validation | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in result["rows"]:
        weight = "" if entry["fairkl_weight"] is None else f"{entry['fairkl_weight']:g}"
        paper = dict(zip(PAPER_RATIOS, PAPER.get(entry["method"], ()))).get(entry["ratio"], "")
        shown = [*(percent(entry[name]) for name in FIGURES), percent(entry["probe_accuracy"])]
        shown += [percent(entry["validation_accuracy"]), str(len(entry["seeds"]))]
        cells = [NAMES[entry["method"]], weight, entry["ratio"], paper, *shown]
        lines.append(f"| {' | '.join(cells)} |")
    pixels = {entry["ratio"]: entry["pixels_accuracy"] for entry in result["rows"]}
    words = ", ".join(f"{100 * share:.1f} at ratio {ratio}" for ratio, share in pixels.items())
    lines += ["", f"Logistic regression on the pixels, averaged down to 8 x 8: {words}.", ""]
    titles = [name.replace("_", ", ") for name in GROUPS]
    lines += [f"| mean distance after training | ratio | {' | '.join(titles)} |", "|---" * 6 + "|"]
    for entry in result["rows"]:
        cells = [f"{entry['distances'][group]:.3f}" for group in GROUPS]
        lines.append(f"| {NAMES[entry['method']]} | {entry['ratio']} | {' | '.join(cells)} |")
    lines += ["", f"Validation accuracy at ratio {CHOSEN_AT}, seed {result['seeds'][0]}:", ""]
    for method in WEIGHTS:
        if not result["tried"].get(method):
            continue
        tried = ", ".join(f"λ {w}: {100 * a:.1f}" for w, a in result["tried"][method].items())
        lines.append(f"- {NAMES[method]}: {tried}")
    return "\n".join(lines)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="folder of MNIST's idx files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=NAMES)
    parser.add_argument("--ratios", nargs="+", default=RATIOS, choices=PAPER_RATIOS)
    parser.add_argument("--weight", type=float, help="FairKL's weight: nothing is chosen")
    parser.add_argument("--result", default="biased_mnist", help="name of the results file")
    parser.add_argument("--finished", action="store_true", help="report the runs that are there")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    given = options().parse_args(arguments)
    torch.set_num_threads(1)
    for ratio in given.ratios if not given.finished else ():
        words = ["biased_mnist", "--source", str(given.source), "--ratio", ratio]
        if data_prep([*words, "--target", str(given.out / f"data_{ratio}"), "--workers", "1"]):
            return 2
    chosen = {method: given.weight if method in WEIGHTS else None for method in given.methods}
    tried: dict[str, Any] = {}
    if given.weight is None:
        chosen, tried = choose(given.out, given.seeds[0], given.finished, given.methods)
    rows = []
    for ratio in reversed(given.ratios):
        for method, weight in chosen.items():
            seeds = [
                seed
                for seed in given.seeds
                if not given.finished or finished(method, weight, ratio, seed, given.out)
            ]
            if seeds:
                rows.append(row(method, weight, ratio, seeds, given.out))
    result = {
        "settings": SHORT,
        "seeds": given.seeds,
        "chosen_at": CHOSEN_AT,
        "tried": tried,
        "rows": rows,
        "hardware": f"1 core of {platform.processor() or platform.machine()}",
    }
    target = RESULTS / f"{given.result}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(page(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
