"""Brain age and site leakage on tables of regional features of several sites.

Five folds grouped by subject. In every fold each network is trained with this project's losses,
`Contrastive` / `Supervised` and engine on the standardised features (mean and deviation of the
training rows), then two heads read its representation: ridge for age and logistic regression for
the site, those of the OpenBHB challenge (`common.metrics.openbhb`). Test predictions of the
five folds are pooled: MAE, balanced accuracy of the site (BAcc), and "pooled Lc" = MAE * BAcc^0.3,
which is not the challenge's Lc (there MAE is of unseen sites). A second site probe standardises the
representation first, so that a representation that merely shrank cannot look free of site.

FairKL's form and weight are chosen in each fold on three inner folds of its training rows, grouped
by subject and pooled: the lowest pooled Lc, standardised probe, among the candidates whose inner
MAE is at most 3 % above that without FairKL. Everything else is fixed for all networks, in
`age_tables.SETTINGS`. Leaving a site out, FairKL has the form most folds chose.

    python benchmarks/brain_age_tables.py --source BRAIN_AGE_TABLES --out OUT --table openneuro ixi

Finished runs are kept in OUT, so an interrupted run continues. Prints the tables and writes
OUT/brain_age_table_<table>.json.
"""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from age_tables import (
    LOSSES,
    SETTINGS,
    SIGMA,
    Fair,
    Table,
    folds,
    inner_folds,
    load,
    options,
    represent,
)
from paired_runs import kept, markdown, mean_and_spread, paired_interval, provenance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from common.metrics.openbhb import fit_age, fit_site, openbhb_score

Array = np.ndarray
CANDIDATES = [
    ("released", "one class", 1.0),
    ("released", "one class", 3.0),
    ("released", "age bins", 1.0),
    ("released", "age bins", 3.0),
    ("moments", "one class", 1.0),
    ("moments", "age bins", 1.0),
    ("moments", "age bins", 3.0),
    ("paper", "age bins", 0.3),
]
ALLOWED = 1.03
CLASSICAL = ("ridge", "RBF-SVR")
COLUMNS = ("MAE", "BAcc", "pooled Lc", "BAcc, standardised probe", "pooled Lc, standardised probe")
RATIOS = (True, False, True, False, True)  # a change is a ratio for years, a difference for BAcc


def standardised_probe() -> Any:
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000)
    )


def predictions(
    table: Table, train: Array, test: Array, h: Array, age: Array | None
) -> dict[str, list[float]]:
    """Age and site of the test rows; the site by the challenge's head and by the standardised."""
    age = fit_age(h[train], table.age[train]).predict(h) if age is None else age
    site = fit_site(h[train], table.site[train]).predict(h[test])
    standardised = standardised_probe().fit(h[train], table.site[train]).predict(h[test])
    return {
        "row": test.tolist(),
        "age": age[test].tolist(),
        "site": site.tolist(),
        "site_standardised": standardised.tolist(),
    }


def balanced(truth: Array, predicted: Array) -> float:
    return float(np.mean([(predicted[truth == k] == k).mean() for k in np.unique(truth)]))


def choose(table: Table, train: Array, loss: str) -> dict[str, Any]:
    """FairKL's form, labels and weight from inner folds of the training rows, pooled."""
    inner = inner_folds(table, train)
    trials = []
    for fair in [None, *CANDIDATES]:
        errors, sites = np.empty(len(table.age)), np.empty(len(table.age), dtype=int)
        for fit, validate in inner:
            h, age = represent(table, fit, loss, fair, seed=0)
            age = fit_age(h[fit], table.age[fit]).predict(h) if age is None else age
            errors[validate] = np.abs(age - table.age)[validate]
            probe = standardised_probe().fit(h[fit], table.site[fit])
            sites[validate] = probe.predict(h[validate])
        mae, bacc = float(errors[train].mean()), balanced(table.site[train], sites[train])
        trials.append({"fair": fair, "mae": mae, "bacc": bacc, "lc": openbhb_score(mae, bacc)})
    allowed = [t for t in trials[1:] if t["mae"] <= ALLOWED * trials[0]["mae"]] or trials[:1]
    return {"chosen": min(allowed, key=lambda trial: trial["lc"])["fair"], "trials": trials}


def classical(name: str, group: Array) -> Any:
    """Ridge or RBF-SVR on the features, tuned by grouped cross-validation of the rows it fits."""
    if name == "ridge":
        model: Any = Ridge()
        grid = {"alpha": 10.0 ** np.arange(-1, 5)}
    else:
        model = SVR()
        grid = {"C": [1, 3, 10, 30, 100], "gamma": [3e-4, 1e-3, 3e-3, 1e-2]}
    inner = list(GroupKFold(5).split(group, groups=group))
    return GridSearchCV(model, grid, cv=inner, scoring="neg_mean_absolute_error")


def classical_ages(table: Table, train: Array, name: str) -> tuple[Array, Array]:
    """Standardised features as the representation, and ages, of all rows."""
    x = StandardScaler().fit(table.features[train]).transform(table.features)
    model = classical(name, table.group[train]).fit(x[train], table.age[train])
    return x, model.predict(x)


def cross_validated(table: Table, model: str, fairs: Sequence[Fair], seed: int) -> list[Any]:
    """Predictions of every test fold; `fairs` holds FairKL's choice of each fold."""
    folds_read = []
    for (train, test), fair in zip(folds(table), fairs):
        if model in LOSSES:
            h, age = represent(table, train, model, fair, seed)
        else:
            h, age = classical_ages(table, train, model)
        folds_read.append(predictions(table, train, test, h, age))
    return folds_read


def floors(table: Table, mae: float, draws: int) -> list[list[Any]]:
    """Site from age alone, known up to a normal error of `mae` years: no feature is read.

    The representation is age on 30 Gaussian bumps of the kernel's width, so that the linear probe
    can find sites in the middle of the age range.
    """
    runs = []
    for seed in range(draws):
        noise = np.random.default_rng(seed).normal(size=len(table.age))
        age = table.age + mae * np.sqrt(np.pi / 2) * noise
        knots = np.linspace(age.min(), age.max(), 30)
        h = np.exp(-0.5 * ((age[:, None] - knots) / SIGMA) ** 2)
        runs.append([predictions(table, train, test, h, age) for train, test in folds(table)])
    return runs


def left_out(table: Table, model: str, fair: Fair, seed: int) -> dict[str, float]:
    """MAE on each site after training on all others."""
    errors = {}
    for number, name in enumerate(table.sites):
        train = np.flatnonzero(table.site != number)
        train = train[~np.isin(table.group[train], table.group[table.site == number])]
        if model in LOSSES:
            h, age = represent(table, train, model, fair, seed)
            age = fit_age(h[train], table.age[train]).predict(h) if age is None else age
        else:
            age = classical_ages(table, train, model)[1]
        errors[name] = float(np.abs(age - table.age)[table.site == number].mean())
    return errors


class Pooled(NamedTuple):
    """Test predictions of all folds, in the order of the table."""

    error: Array  # (N,) absolute, years
    site: Array  # (N,) predicted
    standardised: Array  # (N,) predicted by the standardised probe


def pooled(table: Table, run: list[Any]) -> Pooled:
    row = np.concatenate([fold["row"] for fold in run])
    columns = [np.concatenate([fold[name] for fold in run]) for name in list(run[0])[1:]]
    age, site, standardised = (column[np.argsort(row)] for column in columns)
    return Pooled(np.abs(age - table.age), site.astype(int), standardised.astype(int))


def figures(table: Table, run: Pooled, rows: Array | slice = slice(None)) -> list[float]:
    """MAE, BAcc, Lc, and the last two with the standardised probe."""
    truth, mae = table.site[rows], float(run.error[rows].mean())
    bacc = [balanced(truth, site[rows]) for site in (run.site, run.standardised)]
    return [mae, bacc[0], openbhb_score(mae, bacc[0]), bacc[1], openbhb_score(mae, bacc[1])]


def change(table: Table, base: Sequence[Pooled], other: Sequence[Pooled]) -> dict[str, Any]:
    """Other over base, minus 1 for MAE and both Lc, minus base for both BAcc; paired interval."""

    def statistic(rows: Array | slice) -> Array:
        a, b = (
            np.mean([figures(table, run, rows) for run in runs], axis=0) for runs in (base, other)
        )
        return np.where(RATIOS, b / a - 1, b - a)

    interval = paired_interval(table.group, statistic, draws=500)
    return {"mean": statistic(slice(None)).tolist(), "interval": interval}


def majority(choices: Sequence[Fair]) -> Fair:
    names = [json.dumps(choice) for choice in choices]
    return json.loads(max(sorted(set(names)), key=names.count))


def measure(table: Table, out: Path, seeds: Sequence[int]) -> tuple[dict[str, Any], ...]:
    """All runs, FairKL's choices and the leave-site-out errors of one table; `out` keeps each."""
    runs: dict[str, list[Any]] = {}
    outside: dict[str, list[dict[str, float]]] = {}

    def run(name: str, model: str, fairs: Sequence[Fair], usual: Fair, seed: int) -> None:
        job = partial(cross_validated, table, model, fairs, seed)
        runs.setdefault(name, []).append(kept(out / f"{name} {seed}.json", job))
        job = partial(left_out, table, model, usual, seed)
        error = kept(out / f"{name} {seed} site out.json", job)
        outside.setdefault(name, []).append(error)

    for model in (*CLASSICAL, *LOSSES):
        for seed in [0] if model in CLASSICAL else seeds:
            run(model, model, [None] * 5, None, seed)
    choices = {}
    for model in LOSSES:
        choices[model] = [
            kept(out / f"{model} choice {fold}.json", partial(choose, table, train, model))
            for fold, (train, _) in enumerate(folds(table))
        ]
        fairs = [choice["chosen"] for choice in choices[model]]
        for seed in seeds:
            run(f"{model} + FairKL", model, fairs, majority(fairs), seed)
    return runs, choices, outside


def summary(table: Table, out: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """The figures of one table, per seed, with paired intervals over subjects."""
    runs, choices, outside = measure(table, out, seeds)
    read = {name: [pooled(table, run) for run in by_name] for name, by_name in runs.items()}
    by_name = {name: [figures(table, run) for run in several] for name, several in read.items()}
    level = float(np.mean([figure[0] for figure in by_name["y-aware"]]))
    for name, mae in (("age itself", 0.0), ("age with y-aware's error", level)):
        draws = 1 if mae == 0 else 5
        job = partial(floors, table, mae, draws)
        several = [pooled(table, run) for run in kept(out / f"{name}.json", job)]
        by_name[name] = [figures(table, run) for run in several]
    pairs = [(name, f"{name} + FairKL") for name in LOSSES]
    pairs += [(base, name) for base in ("ridge", "l1") for name in LOSSES if name != "l1"]
    return {
        "columns": COLUMNS,
        "figures": by_name,
        "paired": {f"{b} against {a}": change(table, read[a], read[b]) for a, b in pairs},
        "choices": choices,
        "leave_site_out": outside,
    }


def report(table: Table, result: dict[str, Any]) -> str:
    lines = [f"## {len(table.age)} rows, {len(table.sites)} sites\n"]
    rows = []
    for name, several in result["figures"].items():
        columns = zip(*several)
        digits = (2, 3, 2, 3, 2)
        rows.append([name, *[mean_and_spread(column, k) for column, k in zip(columns, digits)]])
    lines += [markdown(["model", *COLUMNS], rows), "", "Change, 95 % paired over subjects\n"]
    rows = []
    for name, paired in result["paired"].items():
        cells = []
        for mean, (low, high), ratio in zip(paired["mean"], paired["interval"], RATIOS):
            form = "{:+.1%}" if ratio else "{:+.3f}"
            cells.append(" ".join(form.format(value) for value in (mean, low, high)))
        rows.append([name, *cells])
    lines += [markdown(["comparison", *COLUMNS], rows), "", "MAE on a site left out\n"]
    rows = []
    for name, several in result["leave_site_out"].items():
        rows.append(
            [name, *[mean_and_spread([one[site] for one in several]) for site in table.sites]]
        )
    lines += [markdown(["model", *table.sites], rows), "", "FairKL chosen in each fold\n"]
    for name, chosen in result["choices"].items():
        lines.append(f"- {name}: " + "; ".join(str(choice["chosen"]) for choice in chosen))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    given = options(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    for name in given.table:
        table = load(given.source, name)
        result = summary(table, given.out / name, given.seeds)
        result = {**provenance(), "settings": SETTINGS, "seeds": given.seeds, **result}
        target = given.out / f"brain_age_table_{name}.json"
        target.write_text(json.dumps(result, indent=1) + "\n")
        print(report(table, result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
