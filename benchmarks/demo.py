"""What the demo prints, by seed: AUC of both strategies, of pixels and of an untrained encoder.

    python benchmarks/demo.py --out benchmarks/results/demo.json

Runs ``demo.sh`` once a seed, in the folder ``demo`` of the repository, which it replaces. The
README says the range of these figures, and its test runs the demo and demands it.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from paired_runs import provenance

ROOT = Path(__file__).resolve().parents[1]


def demo(seed: int) -> list[dict[str, Any]]:
    """Run the demo; return what it wrote of each strategy."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "SEED": str(seed), "PATH": path}
    subprocess.run(["sh", "demo.sh"], cwd=ROOT, env=environment, check=True)
    folders = sorted((ROOT / "demo" / "eval").glob("*/evaluation.json"))
    return [json.loads(path.read_text()) for path in folders]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    auc: dict[str, list[float]] = {}
    for seed in options.seeds:
        runs = demo(seed)
        for run in runs:
            auc.setdefault(run["strategy"], []).append(run["auc_mean"])
        for name, baseline in runs[0]["baselines"].items():
            auc.setdefault(name, []).append(baseline["auc_mean"])
        settings = {run["strategy"]: run["settings"] for run in runs}
        ends = {name: [min(values), max(values)] for name, values in auc.items()}
        result = {**provenance(), "seeds": options.seeds[: len(auc["pixels"])]}
        result |= {"settings": settings, "auc": auc, "lowest_and_highest": ends}
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
