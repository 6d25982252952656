"""What `strategies.py` found on slices with tumours: curves, claims of the paper, designs of M.

    python benchmarks/tumour_strategies.py --runs OUT --designs DESIGNS --out tumours.json

`OUT` is the output folder of `strategies.py` with all strategies and seeds; `DESIGNS` holds one
such folder for each design of M, with what the command printed beside it as ``design_NAME.log``
(seed 0), from which the probe of the validation patients is read: designs are chosen by it, and
scored on test patients afterwards. Every claim of the paper is a paired difference on the same
draws of patients, all seeds together.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from paired_runs import markdown, provenance
from strategies import DRAWS, STRATEGIES, resampled, table, text

SEEDS = (0, 1, 2)
CLAIMS = (
    ("self_supervised_supervised", "random_supervised"),
    ("random_supervised", "random"),
    ("random", "base_simclr"),
    ("self_supervised", "random"),
    ("self_supervised_supervised", "supervised_100"),
    ("random_supervised", "supervised_10"),
)
PROBE = re.compile(r"Metrics -- probe_auc: ([0-9.]+)")


def curve(runs: Sequence[Path]) -> dict[str, list[float]]:
    """Epochs, and mean and standard deviation over seeds of the AUC after each."""
    found = [json.loads((run / "evaluation.json").read_text())["epochs"] for run in runs]
    auc = np.array([[one["auc_mean"] for one in each] for each in found])
    spread = auc.std(axis=0, ddof=1) if len(auc) > 1 else np.zeros(auc.shape[1])
    return {
        "epoch": [one["epoch"] for one in found[0]],
        "auc": auc.mean(axis=0).tolist(),
        "std_over_seeds": spread.tolist(),
    }


def compared(one: Sequence[Path], other: Sequence[Path]) -> dict[str, Any]:
    """Difference of AUC, its interval over patients, and in each seed."""
    auc = [
        [json.loads((run / "evaluation.json").read_text())["auc_mean"] for run in runs]
        for runs in (one, other)
    ]
    drawn = resampled(one, DRAWS) - resampled(other, DRAWS)
    return {
        "difference": float(np.mean(auc[0]) - np.mean(auc[1])),
        "interval": np.quantile(drawn, [0.025, 0.975]).tolist(),
        "of_seeds": (np.array(auc[0]) - np.array(auc[1])).tolist(),
    }


def design(folder: Path, reference: Sequence[Path]) -> dict[str, Any]:
    """One design of M: its validation probe, and its test figures over the seeds that ran."""
    runs = sorted(run.parent for run in folder.glob("*_seed*/evaluation.json"))
    strategy = runs[0].name.rsplit("_seed", 1)[0]
    seeds = [int(run.name.rsplit("_seed", 1)[1]) for run in runs]
    log = folder.parent.parent / f"design_{folder.name}.log"
    (row,) = table(folder, [strategy], seeds)
    return {
        "design": folder.name,
        "validation_auc": float(PROBE.findall(log.read_text(errors="replace"))[-1]),
        "seeds": seeds,
        **row,
        "against_random_supervised": compared(runs, [reference[seed] for seed in seeds]),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("runs", "designs", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args(arguments)
    of = {name: [options.runs / f"{name}_seed{seed}" for seed in SEEDS] for name in STRATEGIES}
    rows = table(options.runs, STRATEGIES, SEEDS)
    claims = [{"one": a, "other": b, **compared(of[a], of[b])} for a, b in CLAIMS]
    designs = [
        design(folder, of["random_supervised"])
        for folder in sorted(options.designs.iterdir())
        if list(folder.glob("*_seed0/evaluation.json"))
    ]
    curves = {name: curve(runs) for name, runs in of.items()}
    record = {"rows": rows, "claims": claims, "curves": curves, "designs": designs}
    options.out.write_text(json.dumps({**record, **provenance()}, indent=1) + "\n")
    print(text(rows), *(_lines(record)), sep="\n\n")
    return 0


def _lines(record: dict[str, Any]) -> list[str]:
    """Tables of curves, claims and designs."""
    epochs = next(iter(record["curves"].values()))["epoch"]
    curves = [
        [name, *(f"{a:.3f} ({s:.3f})" for a, s in zip(one["auc"], one["std_over_seeds"]))]
        for name, one in record["curves"].items()
    ]
    claims = [
        [f"{claim['one']} - {claim['other']}", *_difference(claim)] for claim in record["claims"]
    ]
    designs = [
        [
            one["design"],
            f"{one['validation_auc']:.3f}",
            str(len(one["seeds"])),
            f"{one['auc']:.3f} ({one['auc_std_over_seeds']:.3f})",
            *_difference(one["against_random_supervised"]),
            f"{one['lesions_kept']:.3f}",
            f"{max(one['lam_std_over_images']):.3f}",
        ]
        for one in record["designs"]
    ]
    return [
        markdown(["strategy", *(f"epoch {epoch}" for epoch in epochs)], curves),
        markdown(["difference of AUC", "mean", "95 % interval", "of seeds"], claims),
        markdown(
            [
                *["design", "validation", "seeds", "test AUC", "against random + supervision"],
                *["95 % interval", "of seeds", "lesions kept", "largest std of a lambda"],
            ],
            designs,
        ),
    ]


def _difference(found: dict[str, Any]) -> list[str]:
    low, high = found["interval"]
    each = ", ".join(f"{value:+.3f}" for value in found["of_seeds"])
    return [f"{found['difference']:+.3f}", f"{low:+.3f} to {high:+.3f}", each]


if __name__ == "__main__":
    sys.exit(main())
