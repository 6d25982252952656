"""What a probe tuned on the training subjects tells of the site, and what ComBat leaves of it.

Networks, folds, seeds and FairKL's choices are those of `brain_age_tables.py` (the choices are read
from its results). Age is read by the challenge's ridge (l1 by its own head, ridge by itself); the
site by logistic regression on the standardised representation, whose C is the best of five over
three inner folds of the training subjects. ``+ ComBat`` adjusts the features of the known sites by
`common.data.ComBat`, fitted on the training rows with their ages; test rows are adjusted by their
site, without their age. All networks have the same noise, dropout and decay.

    python benchmarks/site_probes.py --source BRAIN_AGE_TABLES --out OUT [--table openneuro ixi]

Finished runs are kept in OUT. Prints a table for each source, writes OUT/site_probes_TABLE.json.
"""

import json
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from age_tables import LOSSES, SETTINGS, Fair, Table, folds, load, options, represent
from brain_age_tables import balanced, classical_ages, standardised_probe
from paired_runs import kept, markdown, mean_and_spread, paired_interval, provenance
from sklearn.model_selection import GridSearchCV, GroupKFold

from common.data import ComBat
from common.metrics.openbhb import fit_age, openbhb_score

Array = np.ndarray
RESULTS = Path(__file__).resolve().parent / "results"
STRENGTHS = 10.0 ** np.arange(-3, 2)
MODELS = ("ridge", "ridge + ComBat", "l1", "y-aware", "L_exp released", "l1 + ComBat")
FAIR = ("l1", "y-aware")
PAIRS = [
    ("l1", "y-aware"),
    ("l1", "L_exp released"),
    ("l1", "l1 + FairKL"),
    ("y-aware", "y-aware + FairKL"),
    ("l1", "l1 + ComBat"),
    ("l1 + ComBat", "l1 + FairKL"),
]


def tuned_probe(h: Array, site: Array, group: Array) -> Any:
    """The standardised probe with the C of the best balanced accuracy over three inner folds."""
    inner = list(GroupKFold(3).split(h, groups=group))
    grid = {"logisticregression__C": STRENGTHS}
    search = GridSearchCV(standardised_probe(), grid, cv=inner, scoring="balanced_accuracy")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        return search.fit(h, site)


def adjusted_for_site(table: Table, train: Array) -> Table:
    """The table after ComBat, fitted on the training rows; the sites of all rows are known."""
    fitted = ComBat.fit(table.features[train], table.site[train], table.age[train])
    return table._replace(features=fitted.transform(table.features, table.site))


def read_out(table: Table, name: str, fairs: Sequence[Fair], seed: int) -> dict[str, list[float]]:
    """Error of age and told site of every row, each as a test row of its fold."""
    model, _, beside = name.partition(" + ")
    error, site = np.empty(len(table.age)), np.empty(len(table.age), dtype=int)
    for (train, test), fair in zip(folds(table), fairs):
        read = adjusted_for_site(table, train) if beside == "ComBat" else table
        if model in LOSSES:
            h, age = represent(read, train, model, fair, seed)
        else:
            h, age = classical_ages(read, train, model)
        age = fit_age(h[train], table.age[train]).predict(h) if age is None else age
        error[test] = np.abs(age - table.age)[test]
        probe = tuned_probe(h[train], table.site[train], table.group[train])
        site[test] = probe.predict(h[test])
    return {"error": error.tolist(), "site": site.tolist()}


def measure(table: Table, name: str, out: Path, seeds: Sequence[int]) -> dict[str, list[Any]]:
    earlier = json.loads((RESULTS / f"brain_age_table_{name}.json").read_text())
    chosen = {
        loss: [fold["chosen"] for fold in by_fold] for loss, by_fold in earlier["choices"].items()
    }
    fairs = {f"{loss} + FairKL": chosen[loss] for loss in FAIR}
    runs: dict[str, list[Any]] = {}
    for seed in seeds:
        for model in (*MODELS, *fairs):
            if seed == seeds[0] or not model.startswith("ridge"):
                job = partial(read_out, table, model, fairs.get(model, [None] * 5), seed)
                runs.setdefault(model, []).append(kept(out / f"{model} {seed}.json", job))
    return runs


def figures(table: Table, run: dict[str, Any], rows: Array | slice = slice(None)) -> list[float]:
    """MAE in years, balanced accuracy of the site, and pooled Lc."""
    mae = float(np.array(run["error"])[rows].mean())
    bacc = balanced(table.site[rows], np.array(run["site"])[rows])
    return [mae, bacc, openbhb_score(mae, bacc)]


def compared(table: Table, base: list[Any], other: list[Any]) -> dict[str, Any]:
    """Other minus base in MAE and BAcc, other over base - 1 in Lc; paired over subjects."""

    def statistic(rows: Array | slice) -> Array:
        a, b = (
            np.mean([figures(table, run, rows) for run in runs], axis=0) for runs in (base, other)
        )
        return np.array([b[0] - a[0], b[1] - a[1], b[2] / a[2] - 1])

    return {
        "difference": statistic(slice(None)).tolist(),
        "interval": paired_interval(table.group, statistic, draws=500),
    }


def report(result: dict[str, Any]) -> str:
    rows = [
        [name, *(mean_and_spread([run[k] for run in runs], d) for k, d in enumerate((2, 3, 2)))]
        for name, runs in result["figures"].items()
    ]
    lines = [markdown(["model", "MAE", "BAcc, tuned", "pooled Lc, tuned"], rows), ""]
    rows = []
    for name, pair in result["paired"].items():
        cells = [
            " ".join(form.format(value) for value in (mean, *ends))
            for mean, ends, form in zip(
                pair["difference"], pair["interval"], ("{:+.2f}", "{:+.3f}", "{:+.1%}")
            )
        ]
        rows.append([name, *cells])
    return "\n".join([*lines, markdown(["comparison", "MAE", "BAcc", "pooled Lc"], rows)])


def main(arguments: Sequence[str] | None = None) -> int:
    given = options(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    for name in given.table:
        table = load(given.source, name)
        runs = measure(table, name, given.out / name, given.seeds)
        result = {
            **provenance(),
            "settings": SETTINGS,
            "seeds": given.seeds,
            "figures": {key: [figures(table, run) for run in own] for key, own in runs.items()},
            "paired": {f"{b} against {a}": compared(table, runs[a], runs[b]) for a, b in PAIRS},
        }
        (given.out / f"site_probes_{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
