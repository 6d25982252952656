"""Labels that the strategies of `common.label` save against a random order, on films and retinas.

    python benchmarks/active_learning.py --data DIR --out OUT [--sets eyes films kinds]

`DIR` holds cxr_kermany_224 and fundus_dr_srahim. Three questions, each with an encoder that has
not seen its labels:

- films: normal or pneumonia, by an untrained DenseNet121 at 96 pixels (the released chest weights
  learned from these very labels);
- kinds: bacterial or viral pneumonia, by the released chest weights, which learned from most of
  these films whether they are normal, and nothing of the kind;
- eyes: retinopathy none, mild, moderate, or severe and proliferative, by the untrained DenseNet121.

Patients are in five parts. Seed k tests part k; of the others at most 800 images wait for labels.
They are labelled one at a time, as /review proposes them, from none to 400. At each step a logistic
regression on the labels (the one `margin` asks; features standardised on the images that wait) is
scored on the tested patients: AUC, for eyes the mean of each class against the rest. Random: the
mean of five orders a seed. The curves are smoothed (isotonic regression) before it is read off at
how many labels one reaches random's AUC at 200. Intervals: 95 %, patients and seeds drawn with
replacement, the same draws for all. Nothing was chosen by these figures. Finished runs are kept in
OUT.
"""

import argparse
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from label_curves import DRAWS, aucs, limits, needed, smoothed, weights
from paired_runs import kept, markdown, provenance
from sklearn.linear_model import LogisticRegression
from small_images import by_group, rows_of, unpacked
from threadpoolctl import threadpool_limits

import common
from common.label.strategies import STRATEGIES, Geometry, Round, propose
from common.networks import DenseNetEncoder

Array = np.ndarray
SEEDS = 5
RANDOM, ORDERS = "random", 5
FILMS = 1200  # of the source, at most
POOL = 800
STEPS = (10, 20, 30, 40, 50, 60, *range(80, 401, 20))
AIM = 200  # labels at which random's AUC is the mark
SHOWN = (50, 100, 200, 400)
SIDE = 96
RELEASED = "chest_xray_learned_transforms"


class Images(NamedTuple):
    """One question.

    Attributes:
        h: ``(N, F)`` of the encoder.
        y: ``(N,)`` class from 0.
        patient: ``(N,)``.
    """

    h: Array
    y: Array
    patient: Array


def untrained(archive: Path, names: Sequence[str], channels: int) -> Array:
    """Features of a DenseNet121 as it is drawn with seed 0."""
    torch.manual_seed(0)
    encoder = DenseNetEncoder(in_channels=channels).eval()
    x = unpacked(archive, names, SIDE)[:, :channels]
    with torch.no_grad():
        return torch.cat([encoder(part.float() / 255) for part in x.split(64)]).numpy()


def released(archive: Path, names: Sequence[str]) -> Array:
    """Features of the weights that come with the bundle of chest films."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as stored:
            stored.extractall(folder, names)
        embedded = common.load(RELEASED).embed([f"{folder}/{name}" for name in names])
    assert len(embedded.h) == len(names)
    return embedded.h


def films(data: Path, only_ill: bool) -> Images:
    """1,200 of Kermany's films; numbers of patients recur in its parts and count as one patient."""
    folder = data / "cxr_kermany_224"
    rows = [row for row in rows_of(folder) if not row["duplicate_of"]]
    rows = [row for row in rows if not only_ill or row["subtype"] != "normal"]
    drawn = np.random.default_rng(0).permutation(len(rows))[:FILMS]
    rows = [rows[k] for k in sorted(drawn)]
    names = [row["file"] for row in rows]
    archive = folder / "images.zip"
    h = released(archive, names) if only_ill else untrained(archive, names, 1)
    y = [row["subtype"] == "virus" if only_ill else row["label"] == "1" for row in rows]
    return Images(h, np.array(y, int), np.array([row["patient"] for row in rows]))


def eyes(data: Path) -> Images:
    """Photographs with a grade; 3 and 4 are one class, for there are 50 of both."""
    folder = data / "fundus_dr_srahim"
    rows = [row for row in rows_of(folder) if row["dr_grade"] != "5"]
    h = untrained(folder / "images_256.zip", [row["file"] for row in rows], 3)
    patient = np.array([row["file"][len("Patient") :][:3] for row in rows])
    patient[patient == "300"] = "299"  # the same photographs
    return Images(h, np.array([min(int(row["dr_grade"]), 3) for row in rows]), patient)


SETS = {
    "eyes": eyes,
    "films": partial(films, only_ill=False),
    "kinds": partial(films, only_ill=True),
}


def load(name: str, data: Path, out: Path) -> Images:
    """Read a question, embedded; the embeddings are kept."""
    path = out / f"{name}.npz"
    if not path.is_file():
        np.savez(path, **SETS[name](data)._asdict())
    with np.load(path) as stored:
        return Images(stored["h"], stored["y"], stored["patient"])


def parts(images: Images, seed: int) -> tuple[Array, Array]:
    """Rows that wait for labels, and rows that are tested: no patient is in both."""
    rest, test = by_group(images.patient, folds=SEEDS)[seed]
    pool = np.random.default_rng(seed).permutation(rest)[:POOL]
    return pool, test


def order(images: Images, pool: Array, strategy: str, count: int, seed: int) -> list[int]:
    """Places in the pool in the order in which they are labelled."""
    if strategy.startswith(RANDOM):
        generator = np.random.default_rng([seed, int(strategy.removeprefix(RANDOM))])
        return generator.permutation(len(pool))[:count].tolist()
    geometry, label = Geometry(images.h[pool]), np.full(len(pool), -1)
    chosen = []
    for _ in range(count):
        one = propose(strategy, Round(geometry, label))
        assert one is not None
        label[one.row] = images.y[pool[one.row]]
        chosen.append(one.row)
    return chosen


def scores(images: Images, pool: Array, test: Array, rows: Sequence[int]) -> Array:
    """Probabilities ``(test, classes)`` by a logistic regression on the labels of `rows`."""
    mean, deviation = images.h[pool].mean(axis=0), images.h[pool].std(axis=0)

    def unit(h: Array) -> Array:
        h = (h - mean) / np.maximum(deviation, 1e-9)
        return h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-9)

    known = pool[np.asarray(rows)]
    told = np.zeros((len(test), int(images.y.max()) + 1))
    if len(set(images.y[known].tolist())) > 1:
        head = LogisticRegression(C=1.0, max_iter=500).fit(unit(images.h[known]), images.y[known])
        told[:, head.classes_] = head.predict_proba(unit(images.h[test]))
    return told


def run(images: Images, strategy: str, seed: int) -> dict[str, Any]:
    """Scores of the tested images after each step."""
    started = time.process_time()
    pool, test = parts(images, seed)
    steps = [count for count in STEPS if count <= len(pool)]
    rows = order(images, pool, strategy, steps[-1], seed)
    told = [scores(images, pool, test, rows[:count]).round(6).tolist() for count in steps]
    return {"scores": told, "cpu_seconds": time.process_time() - started}


def areas(images: Images, test: Array, orders: list[Any], weight: Array) -> Array:
    """``(1 + DRAWS, steps)`` AUC of one seed, mean over its orders."""
    told = [[np.array(each) for each in one["scores"]] for one in orders]
    values = [[aucs(images.y[test], each, weight) for each in one] for one in told]
    return np.mean(values, axis=0).T


def curves(images: Images, runs: dict[str, list[Any]], steps: Sequence[int]) -> dict[str, Array]:
    """``(1 + DRAWS, steps)`` smoothed AUC of each strategy: as it is, then by the draws."""
    tested = [parts(images, seed)[1] for seed in range(SEEDS)]
    weight = [weights(images.patient[test], seed) for seed, test in enumerate(tested)]
    drawn = np.random.default_rng(SEEDS).integers(SEEDS, size=(len(weight[0]), SEEDS))
    drawn[0] = range(SEEDS)
    found = {}
    for name, seeds in runs.items():
        of = np.stack([areas(images, *each) for each in zip(tested, seeds, weight)])
        means = [of[chosen, k].mean(axis=0) for k, chosen in enumerate(drawn)]
        found[name] = np.stack([smoothed(one, steps) for one in means])
    return found


def figures(found: dict[str, Array], steps: Sequence[int]) -> dict[str, Any]:
    """For each strategy: AUC at `SHOWN`, less random's at `AIM`, labels for random's AUC there."""
    aim = list(steps).index(AIM)
    marks = found[RANDOM][:, aim]
    return {
        name: {
            "labels": limits(np.array([needed(c, m, steps) for c, m in zip(curve, marks)])),
            "auc": {n: limits(curve[:, list(steps).index(n)]) for n in SHOWN if n in steps},
            "more": limits(curve[:, aim] - marks),
            "curve": curve[0].tolist(),
        }
        for name, curve in found.items()
    }


def asked(name: str, data: Path, out: Path) -> dict[str, Any]:
    """Everything on one question."""
    images = load(name, data, out)
    runs: dict[str, list[Any]] = {}
    for strategy in (RANDOM, *STRATEGIES):
        repeats = [f"{RANDOM}{k}" for k in range(ORDERS)] if strategy == RANDOM else [strategy]
        runs[strategy] = [
            [
                kept(out / f"{name} {one} {seed}.json", partial(run, images, one, seed))
                for one in repeats
            ]
            for seed in range(SEEDS)
        ]
    steps = STEPS[: len(runs[RANDOM][0][0]["scores"])]
    return {
        "images": len(images.y),
        "patients": len(set(images.patient.tolist())),
        "classes": np.bincount(images.y).tolist(),
        "waiting": [len(parts(images, seed)[0]) for seed in range(SEEDS)],
        "steps": list(steps),
        "strategies": figures(curves(images, runs, steps), steps),
        "cpu_seconds": sum(one["cpu_seconds"] for by in runs.values() for k in by for one in k),
    }


def report(name: str, found: dict[str, Any]) -> str:
    def labels(value: float | None) -> str:
        return f"over {found['steps'][-1]}" if value is None else f"{value:.0f}"

    rows = []
    for strategy, said in found["strategies"].items():
        first, low, high = (labels(value) for value in said["labels"])
        rows.append([strategy, f"{first} ({low} to {high})"])
        rows[-1] += ["{:.3f} ({:.3f} to {:.3f})".format(*said["auc"][n]) for n in said["auc"]]
        rows[-1].append("{:+.3f} ({:+.3f} to {:+.3f})".format(*said["more"]))
    header = ["strategy", f"labels for random's AUC at {AIM}"]
    header += [f"AUC at {n}" for n in SHOWN if n in found["steps"]] + [f"more than random at {AIM}"]
    return f"## {name}\n\n{markdown(header, rows)}\n"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and figures")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    threadpool_limits(1)
    given.out.mkdir(parents=True, exist_ok=True)
    found = {name: asked(name, given.data, given.out) for name in given.sets}
    result = {**provenance(), "seeds": SEEDS, "pool": POOL, "draws": DRAWS, "sets": found}
    (given.out / "active_learning.json").write_text(json.dumps(result, indent=1) + "\n")
    for name, one in found.items():
        print(report(name, one))
    return 0


if __name__ == "__main__":
    sys.exit(main())
