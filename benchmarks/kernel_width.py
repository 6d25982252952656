"""What the width of the kernel on age does to the site, loss by loss, without FairKL.

Near collapse, where all rows of a batch are at nearly one cosine, a loss pulls together what y does
not tell apart, with the strength printed as "pull": what it gains as all cosines rise, times the
temperature. It is 0 for y-aware, the mean weight of a pair for L_exp as released, less as printed
(`common.losses.kernel_contrastive`). Networks, folds and settings are those of
`brain_age_tables.py`; age is read by the challenge's ridge, the site by the standardised probe.

    python benchmarks/kernel_width.py --source BRAIN_AGE_TABLES --out OUT [--table openneuro ixi]

Finished runs are kept in OUT. Prints a table for each source, writes OUT/kernel_width_TABLE.json.
"""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from age_tables import LOSSES, TEMPERATURE, Table, folds, load, options, represent
from brain_age_tables import balanced, standardised_probe
from paired_runs import kept, markdown, mean_and_spread, provenance

from common.kernels import Gaussian
from common.losses import KernelContrastive
from common.metrics.openbhb import fit_age

WIDTHS = (2.0, 5.0, 10.0, 20.0)
KERNEL_LOSSES = tuple(name for name in LOSSES if name != "l1")
APART = 1e-4  # 1 - cosine of all pairs, for the pull


def pull(age: np.ndarray, loss: str, sigma: float) -> float:
    """Gain of the loss as rows at one cosine to each other close up, times the temperature."""
    repulsion, variant = LOSSES[loss]
    contrast = KernelContrastive(Gaussian(sigma), TEMPERATURE, repulsion, variant)
    n = len(age)
    closed = torch.zeros(n, 1, n + 1, dtype=torch.float64)
    closed[:, :, n] = 1
    spread = closed.clone()
    spread[range(n), 0, range(n)] = APART**0.5
    y = torch.from_numpy(age)
    return float(contrast(spread, y) - contrast(closed, y)) * TEMPERATURE / APART


def read_out(table: Table, loss: str, sigma: float, seed: int) -> dict[str, float]:
    """Error of age and balanced accuracy of the site, test rows of all folds pooled."""
    error, site = np.empty(len(table.age)), np.empty(len(table.age), dtype=int)
    for train, test in folds(table):
        h, _ = represent(table, train, loss, None, seed, sigma)
        age = fit_age(h[train], table.age[train]).predict(h[test])
        error[test] = np.abs(age - table.age[test])
        probe = standardised_probe().fit(h[train], table.site[train])
        site[test] = probe.predict(h[test])
    return {"mae": float(error.mean()), "bacc": balanced(table.site, site)}


def measure(table: Table, out: Path, seeds: Sequence[int]) -> list[dict[str, object]]:
    rows = []
    for sigma in WIDTHS:
        for loss in KERNEL_LOSSES:
            runs = [
                kept(
                    out / f"{loss} {sigma:g} {seed}.json",
                    partial(read_out, table, loss, sigma, seed),
                )
                for seed in seeds
            ]
            figures = {name: [run[name] for run in runs] for name in ("mae", "bacc")}
            rows.append(
                {"sigma": sigma, "loss": loss, "pull": pull(table.age, loss, sigma)} | figures
            )
    return rows


def report(rows: Sequence[dict[str, object]]) -> str:
    cells = [
        [
            f"{row['sigma']:g}",
            str(row["loss"]),
            f"{round(row['pull'], 3) + 0.0:.3f}",
            mean_and_spread(row["mae"]),
            mean_and_spread(row["bacc"], 3),
        ]
        for row in rows
    ]
    return markdown(["sigma, years", "loss", "pull", "MAE", "BAcc, standardised probe"], cells)


def main(arguments: Sequence[str] | None = None) -> int:
    given = options(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    for name in given.table:
        rows = measure(load(given.source, name), given.out / name, given.seeds)
        result = {**provenance(), "seeds": given.seeds, "rows": rows}
        target = given.out / f"kernel_width_{name}.json"
        target.write_text(json.dumps(result, indent=1) + "\n")
        print(report(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
