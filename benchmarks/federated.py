"""Federated pre-training on six real sites: pooled, federated, each site alone.

The table's six OpenNeuro studies are six hospitals. Each in turn is the unseen site; of the others
a fifth of the subjects is held out, and on the rest an encoder is trained, with the losses and
settings of `age_tables`,

- pooled: on the rows of all of them in one place;
- federated: by FedAvg (`common.federated`), 10 rounds of 10 steps at each site, weighted by rows;
- alone: at each of them by itself, once a site.

All see the same number of steps at the same learning rates. Features are standardised by the
training rows, which a federation knows from counts, sums and sums of squares. The head is ridge,
from the sums ``H'H`` and ``H'y`` of each site, its strength by five folds of every site's subjects:
the same code for all three, so a federation computes what pooled rows would give.

MAE: of the unseen site, mean over the six; for "alone" also the mean over the five that trained. At
home: of the held-out subjects of a training site, mean over sites; "alone" there means the site's
own model. BAcc: how well the standardised probe (logistic regression) tells the five training sites
of held-out subjects.

    python benchmarks/federated.py --source BRAIN_AGE_TABLES --out OUT

Finished runs are kept in OUT. Prints the tables and writes OUT/federated.json.
"""

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from age_tables import SETTINGS, Table, load, method, options
from batches import Batches
from brain_age_tables import balanced, standardised_probe
from monai.fl.client import ClientAlgo
from monai.fl.utils.constants import FlStatistics, WeightType
from monai.fl.utils.exchange_object import ExchangeObject
from monai.handlers import LrScheduleHandler
from paired_runs import kept, markdown, mean_and_spread, provenance
from sklearn.model_selection import GroupKFold

from common.engines import PhaseOptimizers
from common.federated import FederatedTrainer, federated_averaging

Array = np.ndarray
MODELS = ("y-aware", "L_exp released")
ROUNDS, STEPS = 10, 10
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDS = 5


class TableClient(ClientAlgo):
    """A site that trains on its rows, `STEPS` steps a round."""

    def __init__(self, x: Array, age: Array, site: Array, loss: str, seed: int) -> None:
        torch.manual_seed(seed)
        network = method(loss, x.shape[1], None)
        columns = {
            "image": torch.tensor(x, dtype=torch.float32),
            "age": torch.tensor(age, dtype=torch.float32),
            "site": torch.tensor(site),
            "one class": torch.zeros(len(x), dtype=torch.long),
        }
        adam = partial(torch.optim.AdamW, weight_decay=SETTINGS["decay"])
        optimizers = PhaseOptimizers(network, {"encoder": SETTINGS["rate"]}, adam)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizers["encoder"], ROUNDS * STEPS)
        self.rows = len(x)
        self.trainer = FederatedTrainer(
            epochs=ROUNDS,
            device="cpu",
            max_epochs=ROUNDS,
            train_data_loader=Batches(columns, min(SETTINGS["batch"], len(x)), STEPS),
            network=network,
            optimizers=optimizers,
            seed=seed,
            train_handlers=[LrScheduleHandler(cosine, print_lr=False, epoch_level=False)],
        )

    def train(self, data: ExchangeObject, extra: dict[str, Any] | None = None) -> None:
        """Train one round."""
        self.trainer.network.load_state_dict(data.weights)
        self.trainer.state.max_epochs = self.trainer.state.epoch + 1
        self.trainer.run()

    def get_weights(self, extra: dict[str, Any] | None = None) -> ExchangeObject:
        """Return what the rows taught, and how many there are."""
        return ExchangeObject(
            weights=self.trainer.network.state_dict(),
            weight_type=WeightType.WEIGHTS,
            statistics={FlStatistics.DATA_COUNT: self.rows},
        )

    def represent(self, x: Array) -> Array:
        """Return the representation of rows ``(N, F)``."""
        encoder = self.trainer.method.classifier.encoder.eval()
        with torch.no_grad():
            return encoder(torch.tensor(x, dtype=torch.float32)).double().numpy()


def split(table: Table) -> tuple[list[Array], list[Array]]:
    """Rows to fit and rows held out of each site, by subject; no subject is at two sites."""
    fit, held = [], []
    for site in range(len(table.sites)):
        rows = np.flatnonzero(table.site == site)
        train, test = next(GroupKFold(FOLDS).split(rows, groups=table.group[rows]))
        fit.append(rows[train])
        held.append(rows[test])
    return fit, held


def scaler(parts: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and deviation of the rows of several sites, from the sums of each."""
    count = sum(len(part) for part in parts)
    mean = sum(part.sum(axis=0) for part in parts) / count
    square = sum((part**2).sum(axis=0) for part in parts) / count
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return mean, np.where(deviation > 1e-9, deviation, 1)


def solve(parts: Sequence[tuple[Array, Array]], strength: float) -> Array:
    """Ridge with an intercept from the moments of each site; the intercept is not shrunk."""
    with_one = [(np.column_stack([h, np.ones(len(h))]), age) for h, age in parts]
    gram = sum(h.T @ h for h, _ in with_one)
    shrink = strength * np.eye(len(gram))
    shrink[-1, -1] = 0
    return np.linalg.solve(gram + shrink, sum(h.T @ age for h, age in with_one))


def ages(head: Array, h: Array) -> Array:
    return h @ head[:-1] + head[-1]


def fit_head(parts: Sequence[tuple[Array, Array, Array]]) -> Array:
    """Ridge on (representation, age, subject) of several sites, strength by five folds of each."""
    folds = [list(GroupKFold(FOLDS).split(h, groups=group)) for h, _, group in parts]
    errors = []
    for strength in STRENGTHS:
        error = 0.0
        for k in range(FOLDS):
            chosen = [f[k] for f in folds]
            head = solve([(h[t], a[t]) for (h, a, _), (t, _) in zip(parts, chosen)], strength)
            tests = [(h[v], a[v]) for (h, a, _), (_, v) in zip(parts, chosen)]
            error += sum(((ages(head, h) - age) ** 2).sum() for h, age in tests)
        errors.append(error)
    return solve([part[:2] for part in parts], STRENGTHS[int(np.argmin(errors))])


def train(table: Table, sites: Sequence[Array], loss: str, seed: int, pooled: bool) -> Any:
    """Representation of all rows by a network trained on the rows of `sites`."""
    mean, deviation = scaler([table.features[rows] for rows in sites])
    x = (table.features - mean) / deviation
    places = [np.concatenate(sites)] if pooled else sites
    clients = {
        str(k): TableClient(x[rows], table.age[rows], table.site[rows], loss, seed)
        for k, rows in enumerate(places)
    }
    first = clients["0"]
    weights, _ = federated_averaging(clients, first.trainer.network.state_dict(), ROUNDS)
    first.trainer.network.load_state_dict(weights)
    return first.represent(x)


def errors(table: Table, h: Array, sites: Sequence[Array]) -> Array:
    """Absolute error in years, on every row, of the head that `sites` fit."""
    head = fit_head([(h[rows], table.age[rows], table.group[rows]) for rows in sites])
    return np.abs(ages(head, h) - table.age)


def told(table: Table, h: Array, fit: Sequence[Array], held: Sequence[Array]) -> float:
    rows, test = np.concatenate(fit), np.concatenate(held)
    probe = standardised_probe().fit(h[rows], table.site[rows])
    return balanced(table.site[test], probe.predict(h[test]))


def others(parts: Sequence[Array], unseen: int) -> list[Array]:
    return [part for k, part in enumerate(parts) if k != unseen]


def together(table: Table, unseen: int, loss: str, seed: int) -> dict[str, Any]:
    """Figures of pooled and of federated training with one site unseen."""
    started = time.process_time()
    fit, held = (others(parts, unseen) for parts in split(table))
    figures: dict[str, Any] = {}
    for name, pooled in (("pooled", True), ("federated", False)):
        h = train(table, fit, loss, seed, pooled)
        error = errors(table, h, fit)
        figures[name] = {
            "unseen": float(error[table.site == unseen].mean()),
            "home": [float(error[rows].mean()) for rows in held],
            "bacc": told(table, h, fit, held),
        }
    return {**figures, "cpu_seconds": time.process_time() - started}


def alone(table: Table, own: int, loss: str, seed: int) -> dict[str, Any]:
    """Figures of a network of one site, on each of the others in turn as the unseen one."""
    started = time.process_time()
    fit, held = split(table)
    h = train(table, [fit[own]], loss, seed, pooled=True)
    error = errors(table, h, [fit[own]])
    rest = [site for site in range(len(table.sites)) if site != own]
    return {
        "unseen": {str(site): float(error[table.site == site].mean()) for site in rest},
        "home": float(error[held[own]].mean()),
        "bacc": {str(site): told(table, h, others(fit, site), others(held, site)) for site in rest},
        "cpu_seconds": time.process_time() - started,
    }


def run(table: Table, out: Any, loss: str, seed: int) -> list[dict[str, Any]]:
    """For each unseen site the figures of the three ways; `out` keeps what was computed."""
    names = list(enumerate(table.sites))
    runs = [
        kept(out / f"{loss} {site} {seed}.json", partial(together, table, k, loss, seed))
        for k, site in names
    ]
    single = [
        kept(out / f"{loss} {site} alone {seed}.json", partial(alone, table, k, loss, seed))
        for k, site in names
    ]
    for unseen, figures in enumerate(runs):
        trained = [one for own, one in enumerate(single) if own != unseen]
        figures["alone"] = {
            "unseen": [one["unseen"][str(unseen)] for one in trained],
            "home": [one["home"] for one in trained],
            "bacc": [one["bacc"][str(unseen)] for one in trained],
        }
        figures["cpu_seconds"] += single[unseen]["cpu_seconds"]
    return runs


def summary(runs: dict[str, list[list[Any]]]) -> dict[str, Any]:
    """Per model and way, the mean over unseen sites for each seed."""
    result: dict[str, Any] = {}
    for loss, seeds in runs.items():
        result[loss] = {}
        for way in ("pooled", "federated", "alone"):
            result[loss][way] = {
                key: [float(np.mean([np.mean(run[way][key]) for run in runs])) for runs in seeds]
                for key in ("unseen", "home", "bacc")
            }
        best = [[min(run["alone"]["unseen"]) for run in runs] for runs in seeds]
        result[loss]["best alone"] = {"unseen": np.mean(best, axis=1).tolist()}
    return result


def report(table: Table, figures: dict[str, Any], runs: dict[str, list[list[Any]]]) -> str:
    rows = []
    for loss, ways in figures.items():
        for way, by_key in ways.items():
            cells = [
                mean_and_spread(by_key[key], digits) if key in by_key else ""
                for key, digits in (("unseen", 2), ("home", 2), ("bacc", 3))
            ]
            rows.append([loss, way, *cells])
    lines = [markdown(["model", "trained", "MAE, unseen site", "MAE at home", "BAcc"], rows), ""]
    rows = []
    for loss, seeds in runs.items():
        for way in ("pooled", "federated", "alone"):
            by_site = np.array([[np.mean(run[way]["unseen"]) for run in runs] for runs in seeds])
            rows.append([loss, way, *(mean_and_spread(list(column)) for column in by_site.T)])
    return "\n".join([*lines, markdown(["model", "trained", *table.sites], rows)])


def main(arguments: Sequence[str] | None = None) -> int:
    given = options(__doc__.splitlines()[0]).parse_args(arguments)
    torch.set_num_threads(1)
    table = load(given.source, "openneuro")
    runs = {loss: [run(table, given.out, loss, seed) for seed in given.seeds] for loss in MODELS}
    figures = summary(runs)
    counts = {name: int((table.site == k).sum()) for k, name in enumerate(table.sites)}
    ranges = {
        name: [float(f(table.age[table.site == k])) for f in (np.min, np.median, np.max)]
        for k, name in enumerate(table.sites)
    }
    result = {
        **provenance(),
        "settings": {**SETTINGS, "rounds": ROUNDS, "steps_a_round": STEPS},
        "seeds": given.seeds,
        "cpu_seconds": sum(one["cpu_seconds"] for by in runs.values() for r in by for one in r),
        "rows": counts,
        "ages": ranges,
        "figures": figures,
        "runs": runs,
    }
    target = given.out / "federated.json"
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(report(table, figures, runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
