"""Which classes of CIFAR-10 win and lose as the crops grow, for SimCLR, BYOL and VICReg.

Section 3.1 of "No Free Lunch in Self Supervised Representation Learning" at a size for a CPU: the
least size of a crop at 5 values x 3 seeds x 3 methods, by ``python -m common sweep`` on the first
400 training images of each class (300 for the test), then ``python -m common analyse``. Finished
runs are kept in OUT, whole seeds one after the other; the same command goes on.

    OMP_NUM_THREADS=1 python benchmarks/class_bias.py --data SHARED_DATA --out OUT [--finished]

Beside it stands what the rule marks where there is nothing to find: accuracies of each class
shuffled over the values, random walks, and independent noise of the paper's own sizes.
Prints the tables and writes OUT/class_bias.json.
"""

import argparse
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from paired_runs import kept, markdown, provenance

from common.metrics import shuffled
from common.report.class_bias import ClassBias, Series
from common.report.schema import from_json, read_json

IMAGES = 400  # for the training, of each class
SEEDS = (5, 6, 7)
METHODS = {"simclr": "SimCLR", "byol": "BYOL", "vicreg": "VICReg"}
DIALS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 64,
    "small_images": False,
    "hidden_features": 256,
    "projection_features": 128,
    "val_interval": 100,
}
GRID = ("natural_image_ssl_study", "--grid", "crop_min=0.2:1:5", "--overlays",
        "encoder_resnet18_quarter")  # fmt: skip
SWEEPS: dict[str, tuple[str, dict[str, Any]]] = {  # VICReg's loss is infinite without a warm-up
    "sweep": ("simclr,byol", {"warmup_epochs": 0}),
    "sweep_vicreg": ("vicreg", {"warmup_epochs": 1}),
}
PAPERS = {  # (values, classes): what the paper sweeps so
    (10, 10): "hue, CIFAR-10",
    (10, 100): "hue, CIFAR-100",
    (20, 100): "probability of jitter, CIFAR-100",
    (8, 10): "crop, CIFAR-10",
    (8, 100): "crop, CIFAR-100",
}
DRAWS = 100


def run(*words: object) -> None:
    subprocess.run([sys.executable, "-m", *map(str, words)], check=True)


def prepare(data: Path, out: Path) -> Path:
    """Class folders of the images that are used, and what `data_prep` makes of them."""
    target = out / "data"
    if not (target / "manifest.json").is_file():
        with zipfile.ZipFile(data / "cifar10_jpeg_subset" / "images.zip") as stored:
            for name in stored.namelist():
                part, number = name.split("/")[0], Path(name).stem
                if part == "test" or int(number) < IMAGES:
                    stored.extract(name, out / "photos")
        settings = ("--kind", "photo", "--size", 32, "--validation", 0)
        run("data_prep", "folders", "--source", out / "photos", "--target", target, *settings)
    return target


def train(data: Path, out: Path) -> None:
    for seed in SEEDS:
        for folder, (methods, own) in SWEEPS.items():
            dials = [
                word for name, value in {**DIALS, **own}.items() for word in (f"--{name}", value)
            ]
            where = ("--seeds", f"{seed},", "--data", data, "--output", out / folder)
            run("common", "sweep", *GRID, "--strategies", methods, *where, *dials)


def row_of(one: Series) -> dict[str, Any]:
    """Figures of a method, in per cent."""
    of = one.opposites
    spans = {curve.name: max(curve.mean) - min(curve.mean) for curve in one.classes}
    most = max(spans, key=spans.__getitem__)
    assert one.overall is not None
    return {
        "method": METHODS[one.name.split("_quarter")[0]],
        "runs": one.runs,
        "accuracy": [round(100 * end(one.overall.mean), 1) for end in (min, max)],
        "largest_span": round(100 * spans[most], 1),
        "of_class": most,
        "pairs": len(of.pairs),
        "tested": of.tested,
        "pairs_share": round(100 * len(of.pairs) / of.tested, 1),
        "pairs_shuffled": chance(of.shuffled_pairs),
        "share": round(100 * of.share, 1),
        "share_shuffled": chance(of.shuffled),
        "share_walks": chance(of.walks),
        "holm": round(100 * of.holm, 1),
        "benjamini_hochberg": round(100 * of.benjamini_hochberg, 1),
        "behaviours": {
            name: sum(each.name == name for each in one.behaviour.values())
            for name in ("ascending", "descending", "random")
        },
        "properties": {
            test.name: {"f": round(test.f, 2), "p": round(test.p_value, 3),
                        "q": round(test.adjusted, 3)}
            for test in one.properties if not test.of and np.isfinite(test.f)
        },
    }  # fmt: skip


def chance(control: Any) -> dict[str, float]:
    names = ("mean", "low", "high")
    figures = {name: round(100 * getattr(control, name), 1) for name in names}
    return figures | {"p": round(control.p_value, 3)}


def noise() -> list[dict[str, Any]]:
    """What the rule marks in independent noise of the paper's sizes."""
    rows = []
    for (values, classes), name in PAPERS.items():
        drawn = np.random.default_rng(0).random((values, classes))
        marked = list(shuffled(drawn, DRAWS))
        pairs = [each.sum() / (classes * (classes - 1)) for each in marked]
        share = [each.any(axis=0).mean() for each in marked]
        rows.append(
            {
                "of": name,
                "values": values,
                "classes": classes,
                "pairs": round(100 * float(np.mean(pairs)), 1),
                "share": round(100 * float(np.mean(share)), 1),
            }
        )
    return rows


def tables(rows: list[dict[str, Any]], drawn: list[dict[str, Any]]) -> str:
    def beside(control: dict[str, float]) -> str:
        return f"{control['mean']} ({control['low']} to {control['high']})"

    head = [
        "method", "accuracy, %", "largest span of a class", "opposite pairs, %", "shuffled", "p",
        "classes with an opposite, %", "shuffled", "p", "random walks", "Holm", "B.-H.",
    ]  # fmt: skip
    lines = [
        [
            row["method"],
            f"{row['accuracy'][0]} to {row['accuracy'][1]}",
            f"{row['largest_span']} ({row['of_class']})",
            f"{row['pairs_share']} ({row['pairs']} of {row['tested']})",
            beside(row["pairs_shuffled"]),
            f"{row['pairs_shuffled']['p']}",
            f"{row['share']}",
            beside(row["share_shuffled"]),
            f"{row['share_shuffled']['p']}",
            beside(row["share_walks"]),
            f"{row['holm']}",
            f"{row['benjamini_hochberg']}",
        ]
        for row in rows
    ]
    names = list(dict.fromkeys(name for row in rows for name in row["properties"]))
    tested = [[name, *(_tested(row, name) for row in rows)] for name in names]
    of_noise = [
        [row["of"], *(str(row[name]) for name in ("values", "classes", "pairs", "share"))]
        for row in drawn
    ]
    return "\n\n".join(
        [
            markdown(head, lines),
            markdown(["property: F (p)", *(row["method"] for row in rows)], tested),
            markdown(
                ["noise of the size of", "values", "classes", "pairs, %", "classes, %"], of_noise
            ),
        ]
    )


def _tested(row: dict[str, Any], name: str) -> str:
    found = row["properties"].get(name)
    return f"{found['f']} ({found['p']})" if found else "not tested"


def baselines(sweeps: list[Path]) -> dict[str, list[float]]:
    """Accuracies of the pixels and of the untrained encoder, lowest and highest, in per cent."""
    found: dict[str, list[float]] = {}
    for path in (path for sweep in sweeps for path in sorted(sweep.glob("*/evaluation.json"))):
        for name, figures in read_json(path)["baselines"].items():
            found.setdefault(name, []).append(round(100 * figures["accuracy"], 1))
    return {name: [min(values), max(values)] for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds cifar10_jpeg_subset")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--finished", action="store_true", help="analyse the finished runs alone")
    options = parser.parse_args()
    out: Path = options.out
    data = prepare(options.data, out)
    if not options.finished:
        train(data, out)
    sweeps = [out / name for name in SWEEPS]
    run("common", "analyse", *sweeps, "--data", data, "--output", out / "analysis")
    path = out / "analysis" / "analysis.json"
    found = from_json(ClassBias, read_json(path), path)
    rows, drawn = [row_of(one) for one in found.series], kept(out / "noise.json", noise)
    print(tables(rows, drawn))
    ends = [path for sweep in sweeps for path in sweep.glob("*/outcome.json")]
    outcomes = [json.loads(path.read_text()) for path in ends]
    record = {
        "settings": {"images": IMAGES, "seeds": SEEDS, "grid": GRID, "sweeps": SWEEPS, **DIALS},
        "values": found.series[0].values,
        "rows": rows,
        "noise": drawn,
        "baselines": baselines(sweeps),
        "seconds": [round(end(each["seconds"] for each in outcomes)) for end in (min, max)],
        "analysis": read_json(path),
        **provenance(),
    }
    (out / "class_bias.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
