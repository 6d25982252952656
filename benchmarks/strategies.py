"""The seven strategies of a learned-transformations bundle, over seeds, on one data set.

Trains and evaluates every strategy with every seed through the bundle's own configuration files,
two or more runs side by side, one thread each; finished runs are kept, so an interrupted comparison
continues. Then prints and writes the table: AUC as mean and standard deviation over seeds,
a 95 % interval that resamples patients (all seeds of a strategy together), the paired difference to
random + supervision on the same resampled patients, the share of lesions kept, and the spread of
lambda over images.

    python benchmarks/strategies.py --data DIR --out DIR [--bundle NAME] [--seeds 0 1 2]
        [--strategies ...] [--jobs 2] [--set key=value ...]

Any other overlay of the bundle counts as a strategy too, such as alpha_0p1_10_1_1_1.
Hyper-parameters are given with --set and are the same for all strategies that read them, except
those an overlay sets (the paper gives M without supervision a tenth of the learning rate;
`--unsupervised-rate` replaces that number where --set changes the others).
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from paired_runs import provenance
from sklearn.metrics import roc_auc_score

from common.config import effective

ROOT = Path(__file__).resolve().parents[1]
STRATEGIES = (
    "supervised_100",
    "supervised_10",
    "base_simclr",
    "random",
    "random_supervised",
    "self_supervised",
    "self_supervised_supervised",
)
REFERENCE = "random_supervised"
DRAWS = 1000


def overlay_of(bundle: str, strategy: str) -> Path:
    """The bundle's overlay that is the strategy."""
    configs = ROOT / "bundles" / bundle / "configs"
    overlay = configs / f"strategy_{strategy}.json"
    return overlay if overlay.is_file() else configs / f"{strategy}.json"


def train_and_evaluate(
    bundle: str,
    strategy: str,
    seed: int,
    data: Path,
    out: Path,
    settings: dict[str, Any],
    overlay: Path | None = None,
) -> str:
    """Train a strategy, or the overlay given, and evaluate it, unless that was done before."""
    run_dir = out / f"{strategy}_seed{seed}"
    if (run_dir / "evaluation.json").is_file():
        return f"{run_dir.name}: kept"
    torch.set_num_threads(1)
    configs = ROOT / "bundles" / bundle / "configs"
    overlay = overlay or overlay_of(bundle, strategy)
    files = [str(configs / "train.json"), str(overlay)]
    common = {
        "strategy": strategy,
        "title": json.loads(overlay.read_text()).get("title", strategy),
        "run_suffix": "",
        "dataset_dir": str(data),
        "output_dir": str(out),
        "ckpt_dir": str(run_dir / "models"),
        "seed": seed,
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        **effective([Path(file) for file in files], settings),
    }
    trained = (run_dir / f"network_epoch={settings.get('epochs')}.pt").is_file()
    evaluate = [str(configs / "evaluate.json")]
    for extra in [evaluate] if trained else [[], evaluate]:
        override = {**common, "run": ["$@evaluation.run()"]} if extra else common
        workflow = ConfigWorkflow(
            config_file=files + extra, workflow_type="train", logging_file=False, **override
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    result = json.loads((run_dir / "evaluation.json").read_text())
    return f"{run_dir.name}: AUC {result['auc_mean']:.3f}"


def resampled(runs: Sequence[Path], draws: int) -> np.ndarray:
    """Mean AUC over folds and seeds for each draw of patients, the same for every strategy."""
    loaded = [dict(np.load(run / "scores.npz")) for run in runs]
    fold, patient, label = (loaded[0][key] for key in ("fold", "patient", "label"))
    groups = [
        [np.flatnonzero((fold == k) & (patient == p)) for p in np.unique(patient[fold == k])]
        for k in np.unique(fold)
    ]
    generator = np.random.default_rng(0)
    means = []
    for _ in range(draws):
        auc = []
        for group in groups:
            index = np.concatenate(
                [group[k] for k in generator.integers(len(group), size=len(group))]
            )
            auc += [roc_auc_score(label[index], run["score"][index]) for run in loaded]
        means.append(np.mean(auc))
    return np.array(means)


def table(out: Path, strategies: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    draws = {}
    rows = []
    for strategy in strategies:
        runs = [out / f"{strategy}_seed{seed}" for seed in seeds]
        results = [json.loads((run / "evaluation.json").read_text()) for run in runs]
        draws[strategy] = resampled(runs, DRAWS)
        auc = [result["auc_mean"] for result in results]
        transforms = [result["transform"] for result in results]
        spread = np.array([[s or 0.0 for s in t["lam_std_over_images"]] for t in transforms])
        rows.append(
            {
                "strategy": strategy,
                "auc": float(np.mean(auc)),
                "auc_std_over_seeds": float(np.std(auc, ddof=1)) if len(auc) > 1 else 0.0,
                "auc_per_seed": auc,
                "interval": np.quantile(draws[strategy], [0.025, 0.975]).tolist(),
                "lesions_kept": float(np.mean([t["lesion_kept"] for t in transforms])),
                "lam_names": transforms[0]["names"],
                "lam_mean": np.mean(
                    [[m or 0.0 for m in t["lam_mean"]] for t in transforms], axis=0
                ).tolist(),
                "lam_std_over_images": spread.mean(axis=0).tolist(),
                "pixels": float(np.mean([r["baselines"]["pixels"]["auc_mean"] for r in results])),
                "untrained": float(
                    np.mean([r["baselines"]["untrained"]["auc_mean"] for r in results])
                ),
            }
        )
    for row in rows:
        if REFERENCE in draws:
            difference = draws[row["strategy"]] - draws[REFERENCE]
            row["difference_to_random_supervised"] = np.quantile(
                difference, [0.025, 0.975]
            ).tolist()
    return rows


def text(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| strategy | AUC (std over seeds) | 95 % interval over patients | difference to random + "
        "supervision, 95 % | lesions kept | largest std of a lambda over images |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["interval"]
        worse, better = row.get("difference_to_random_supervised", (0.0, 0.0))
        lines.append(
            f"| {row['strategy']} | {row['auc']:.3f} ({row['auc_std_over_seeds']:.3f}) "
            f"| {low:.3f} to {high:.3f} | {worse:+.3f} to {better:+.3f} "
            f"| {row['lesions_kept']:.3f} | {max(row['lam_std_over_images']):.3f} |"
        )
    pixels, untrained = rows[0]["pixels"], np.mean([row["untrained"] for row in rows])
    return "\n".join([*lines, "", f"Pixels {pixels:.3f}, untrained encoder {untrained:.3f}."])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundle", default="brain_mri_learned_transforms")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--unsupervised-rate", type=float, default=None)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    settings = {key: json.loads(value) for key, value in (s.split("=", 1) for s in options.set)}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        futures = []
        for seed in options.seeds:
            for strategy in options.strategies:
                own = dict(settings)
                if strategy == "self_supervised":
                    own.pop("policy_learning_rate", None)
                    if options.unsupervised_rate is not None:
                        own["policy_learning_rate"] = options.unsupervised_rate
                job = (options.bundle, strategy, seed, options.data, options.out, own)
                futures.append(pool.submit(train_and_evaluate, *job))
        for future in futures:
            print(future.result(), flush=True)
    rows = table(options.out, options.strategies, options.seeds)
    result = {"settings": settings, "seeds": options.seeds, "rows": rows, **provenance()}
    (options.out / "strategies.json").write_text(json.dumps(result, indent=1) + "\n")
    print(text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
