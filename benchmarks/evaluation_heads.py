"""The heads of the challenge fitted on threads, beside one thread and beside processes.

    OMP_NUM_THREADS=1 python benchmarks/evaluation_heads.py --out evaluation_heads.json

Features are normal numbers that tell a little of age and site. The three heads of
`common.metrics.openbhb` are fitted one fit at a time, on threads, and with the same search on
processes (what joblib does unless told otherwise, which is what the heads were fitted with before).
The ways take turns; the best time of each counts. Coefficients must be equal to the last bit. On
processes only the small table is fitted: what they cost is their start, which is the same on any.
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from joblib import parallel_config
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from paired_runs import markdown, provenance

from common.metrics import openbhb

TABLES = {  # sites, subjects of a site, features
    "small": (3, 20, 16),
    "20 sites": (20, 40, 128),
}
Arrays = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]


def table(sites: int, each: int, width: int) -> Arrays:
    """Features ``(N, width)``, ages and sites."""
    rng = np.random.default_rng(0)
    site = np.repeat(np.arange(sites), each)
    age = rng.uniform(20, 80, len(site))
    features = rng.normal(size=(len(site), width)) + 0.5 * rng.normal(size=(sites, width))[site]
    features[:, 0] += age / 20
    order = rng.permutation(len(site))
    return features[order].astype(np.float32), age[order], site[order]


HEADS: dict[str, Callable[[Arrays, int], Any]] = {
    "age": lambda data, jobs: openbhb.fit_age(data[0], data[1], jobs).coef_,
    "site": lambda data, jobs: openbhb.fit_site(data[0], data[2], jobs).coef_,
    "site, standardised": lambda data, jobs: (
        openbhb.fit_site_standardised(data[0], data[2], np.arange(len(data[0])), jobs)
        .best_estimator_[-1]
        .coef_
    ),
}


def on_processes(fit: Callable[[Arrays, int], Any], data: Arrays, jobs: int) -> Any:
    """Fit with joblib's own backend, whose processes start anew, as in a run of its own."""
    get_reusable_executor().shutdown(wait=True)
    threads = openbhb.parallel_config
    openbhb.parallel_config = lambda _, n_jobs: parallel_config("loky", n_jobs=n_jobs)  # type: ignore[assignment,misc]
    try:
        return fit(data, jobs)
    finally:
        openbhb.parallel_config = threads  # type: ignore[misc]


def measured(name: str, head: str, jobs: int, rounds: int) -> dict[str, Any]:
    data, fit = table(*TABLES[name]), HEADS[head]
    ways = {
        "one thread": lambda: fit(data, 1),
        "threads": lambda: fit(data, jobs),
    }
    if name == "small":
        ways["processes"] = lambda: on_processes(fit, data, jobs)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        found = {}
        for way, run in ways.items():
            start = time.perf_counter()
            found[way] = run()
            seconds[way].append(time.perf_counter() - start)
        if not all(
            np.array_equal(found["one thread"], coefficients) for coefficients in found.values()
        ):
            sys.exit(f"{name}, {head}: the ways differ")
    best = {way: min(taken) for way, taken in seconds.items()}
    faster = {way: round(best["one thread"] / best[way], 3) for way in list(ways)[1:]}
    rounded = {way: round(value, 3) for way, value in best.items()}
    return {"table": name, "head": head, "seconds": rounded, "faster": faster}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tables", choices=TABLES, nargs="+", default=list(TABLES))
    parser.add_argument("--heads", choices=HEADS, nargs="+", default=list(HEADS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows = []
    for name in options.tables:
        for head in options.heads:
            rows.append(measured(name, head, options.jobs, options.rounds))
            print(rows[-1], flush=True)
    columns = ("one thread", "threads", "processes")
    cells = [
        [row["table"], row["head"], *(str(row["seconds"].get(way, "-")) for way in columns)]
        + [str(row["faster"].get(way, "-")) for way in columns[1:]]
        for row in rows
    ]
    faster = [f"{way}, times as fast" for way in columns[1:]]
    print(markdown(["table", "head", *(f"{way}, s" for way in columns), *faster], cells))
    record = {"jobs": options.jobs, "tables": TABLES, "rows": rows, **provenance()}
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
