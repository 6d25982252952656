"""Does an audit, which trains nothing, rank sets of transformations as trained encoders do?

    python benchmarks/audit.py --data DIR --out OUT
    python benchmarks/audit.py --data DIR --out OUT --time

`DIR` holds the folders bbbc021_cells, cifar10_jpeg_subset, cxr_kermany_224, fundus_dr_srahim,
ixi_t1_hh and mnist. Sets of transformations whose encoders have a measured probe in the results of
another benchmark are audited on the training images of that benchmark (at most 600), and ranked
within each data set by two figures of the audit that were fixed before any was seen: the
information about the label that views keep (more is better), and the expected InfoNCE of the
encoder that nobody trained (harder is better). Agreement: Kendall's tau over all pairs of sets of
one data set, which is the share of pairs in the same order minus that in the other; interval: data
sets drawn with replacement. Finished audits are kept in OUT. Prints the tables and writes
OUT/audit.json.

``--time`` audits 2,000 films of 224 pixels and 180 brains at 3 mm, whole, by the clock and by CPU
time of this process, and writes OUT/audit_time.json.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import cell_clusters
import digit_clusters
import numpy as np
import torch
from paired_runs import kept, provenance
from small_images import SETS

from common.audit import audit
from common.audit.configured import read_transforms
from common.audit.difficulty import difficulty_of, pairs_of
from common.audit.features import untrained_encoder
from common.audit.images import AuditImages, from_arrays, some_patients
from common.audit.information import ask, asked_once, label_information
from common.audit.seen import as_they_are, lesions_of, look
from common.audit.sets import TransformationSet, as_set
from common.audit.targets import label_of
from common.policies import EachWithProbability
from common.transforms import Composition

IMAGES = 600
RESULTS = Path(__file__).parent / "results"
SIDES = {"cifar10": 32, "kermany": 32, "fundus": 48, "lesions": 64}
PHOTO = {  # of decoupled_uniformity_images.py
    "all": {"resized_crop": 1.0, "mirror": 0.5, "color_jitter": 0.8, "grayscale": 0.2},
    "without crop and intensity": {"mirror": 0.5},
}
Contest = tuple[str, str, Callable[[], AuditImages], Callable[[], TransformationSet], float]


def stored(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def few(images: AuditImages) -> AuditImages:
    return images.rows(some_patients(images.patient.tolist(), IMAGES, 0))


def small(name: str, data: Path, out: Path, side: int, channels: int = 3) -> AuditImages:
    """Training images of `small_images`."""
    held = SETS[name](data, out, side)
    rows = held.splits[0][0]
    x = held.x[torch.from_numpy(rows)][:, :channels]
    return few(from_arrays(x, {"label": held.y[rows], "patient": held.group[rows]}))


def cells(data: Path) -> AuditImages:
    x, y = cell_clusters.cells_of(data / "bbbc021_cells")["training"]
    return few(from_arrays(x, {"label": y}))


def digits(data: Path) -> AuditImages:
    x, y = digit_clusters.read(data / "mnist")["training"]
    return few(from_arrays(x[:10000], {"label": y[:10000]}))


def photo(name: str, transforms: str) -> TransformationSet:
    chances = PHOTO[transforms]
    moved = Composition(list(chances), settings={"mirror": {"axes": [1]}})
    return as_set((EachWithProbability(list(chances.values()), moved.sizes), moved), name)


def crops(least: float) -> TransformationSet:
    """The study's set with another smallest crop, as `class_bias.py` sweeps it."""
    config = read_transforms("natural_image_ssl_study", 32)
    kind = config.kinds[0]
    assert isinstance(kind.transform, Composition)
    settings = dict(kind.transform.settings)
    settings["resized_crop"] = {**settings["resized_crop"], "scale": [least, 1.0]}
    moved = Composition(kind.transform.order, settings=settings)
    return as_set((EachWithProbability(kind.probability, moved.sizes), moved), f"{least}")


def contests(data: Path, out: Path) -> Iterator[Contest]:
    """Data set, set, its images, the set itself, and the probe of its encoders."""
    for name, rows in stored("decoupled_uniformity_images")["sets"].items():
        for transforms in PHOTO:
            probes = [
                np.mean(row["per_seed"])
                for row in rows
                if row["augmentation"] == transforms and row["model"] in ("SimCLR", "no prior")
            ]
            images = partial(small, name, data, out, SIDES[name])
            made = partial(photo, name, transforms)
            yield name, transforms, images, made, float(np.mean(probes))
    grey = partial(small, "lesions", data, out, 64, 1)
    for row in stored("strategies_ixi")["rows"]:
        if row["strategy"] in ("base_simclr", "random"):
            spec = f"brain_mri_learned_transforms+strategy_{row['strategy']}"
            yield (
                "IXI slices",
                row["strategy"],
                grey,
                partial(read_transforms, spec, 64),
                row["auc"],
            )
    scores = stored("fundus_dino")["auroc"]
    for strength in ("strong", "weak", "weak_med"):
        probe = next(s for s in scores if (s["model"], s["probe"]) == (strength, "logistic"))
        spec = f"fundus_photo_dino+augmentation_{strength}"
        images = partial(small, "fundus", data, out, 64)
        made = partial(read_transforms, spec, 64)
        yield "fundus, DINO", strength, images, made, float(np.mean(probe["per_seed"]))
    rows = {row["name"]: row for row in stored("cell_clusters")["rows"]}
    for key in ("set_1", "set_2", "left", "right"):
        made = partial(lambda key: as_set(cell_clusters.views(key, 68), key), key)
        probe = float(rows[cell_clusters.NAMES[key]]["probe"].split()[0]) / 100
        yield "cells", key, partial(cells, data), made, probe
    for row in stored("digit_clusters")["rows"][:2]:
        made = partial(digit_set, row["representation"])
        probe = float(row["probe"].split()[0]) / 100
        yield "digits", row["representation"], partial(digits, data), made, probe
    series = [s for s in stored("class_bias")["analysis"]["series"] if s["dial"] == "crop_min"]
    for place, least in enumerate(series[0]["values"]):
        probe = float(np.mean([one["overall"]["mean"][place] for one in series]))
        images = partial(small, "cifar10", data, out, 32)
        yield "CIFAR-10, smallest crop", f"{least}", images, partial(crops, least), probe


def digit_set(name: str) -> TransformationSet:
    method = digit_clusters.method_of(name)
    assert isinstance(method.transform, Composition)
    return as_set((method.policy, method.transform), name)


def looked_at(
    images: Callable[[], AuditImages], made: Callable[[], TransformationSet]
) -> dict[str, float | None]:
    """The figures of an audit that the ranking is by, and what else says how sure they are."""
    held, transforms = images(), made()
    encoder = untrained_encoder(held.spatial_dims, held.x.shape[1])
    label, plain = label_of(held), as_they_are(held, transforms, encoder)
    seen = look(held, transforms, encoder, 2, 0)
    assert label is not None
    told = label_information(label, asked_once(plain, label), ask(seen.features, label), held)
    pairs = pairs_of(
        held.rows(some_patients(held.patient.tolist(), 128, 1)), transforms, encoder, 0
    )
    lesions = lesions_of(held, seen)
    return {
        "label": told.transformed.value,
        "low": told.transformed.low,
        "high": told.transformed.high,
        "untransformed": told.untransformed.value,
        "info_nce": difficulty_of(pairs, 0.1).info_nce,
        "lesions_kept": None if lesions is None else lesions.kept.value,
    }


def tau(pairs: Sequence[tuple[float, float]]) -> float:
    """Kendall's tau: mean sign of the products of differences."""
    return float(np.mean([np.sign(a) * np.sign(b) for a, b in pairs])) if pairs else float("nan")


def agreement(rows: Sequence[dict[str, Any]], by: str, draws: int = 2000) -> dict[str, Any]:
    """Tau between a figure of the audit and the probe, over pairs within a data set."""
    of: dict[str, list[tuple[float, float]]] = {}
    for one, other in combinations(rows, 2):
        if one["images"] == other["images"]:
            pair = (one[by] - other[by], one["probe"] - other["probe"])
            of.setdefault(one["images"], []).append(pair)
    names, generator = sorted(of), np.random.default_rng(0)
    drawn = [
        tau([pair for name in generator.choice(names, len(names)) for pair in of[name]])
        for _ in range(draws)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    every = [pair for name in names for pair in of[name]]
    return {
        "by": by,
        "tau": tau(every),
        "interval": [float(low), float(high)],
        "pairs": len(every),
        "of": {name: tau(of[name]) for name in names},
    }


def timed(data: Path) -> list[dict[str, Any]]:
    """Whole audits of the sizes that one should not have to wait for."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        spec = "chest_xray_decoupled_uniformity"
        rows.append(clocked("films of 224 pixels", films(data, Path(folder)), spec))
    volumes = np.load(data / "ixi_t1_hh" / "ixi_hh_t1_3mm_uint8.npz")["t1"]
    with (data / "ixi_t1_hh" / "participants.csv").open(newline="") as lines:
        people = list(csv.DictReader(lines))
    known = [number for number, one in enumerate(people) if one["age"]][:180]
    columns = {
        "label": [people[number]["sex"] for number in known],
        "age": [float(people[number]["age"]) for number in known],
    }
    images = from_arrays(torch.from_numpy(volumes[known])[:, None], columns)
    rows.append(clocked("brains of 3 mm", images, "brain_mri_y_aware"))
    return rows


def films(data: Path, folder: Path) -> Path:
    """A plain folder of 1,000 films of each class."""
    with zipfile.ZipFile(data / "cxr_kermany_224" / "images.zip") as archive:
        for kind in ("NORMAL", "PNEUMONIA"):
            names = [name for name in archive.namelist() if f"/{kind}/" in name]
            (folder / kind).mkdir()
            for number, name in enumerate(sorted(names)[:1000]):
                (folder / kind / f"{number}.jpeg").write_bytes(archive.read(name))
    return folder


def clocked(name: str, images: Any, spec: str) -> dict[str, Any]:
    """An audit by the clock, and by CPU time of all threads of this process."""
    began, spent = time.perf_counter(), time.process_time()
    found = audit(images, [spec])
    return {
        "images": name,
        "number": found.images.used,
        "shape": list(found.images.shape),
        "set": spec,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - spent, 1),
        "threads": torch.get_num_threads(),
        "seconds_per_1000_views": found.sets[0].cost.seconds_per_1000_views,
    }


def text(rows: Sequence[dict[str, Any]], ranks: Sequence[dict[str, Any]]) -> str:
    """The tables as Markdown."""
    lines = [
        "| images | set | label told from views (95 %) | from images | InfoNCE | measured probe |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['images']} | {row['set']} | {row['label']:.3f} ({row['low']:.3f} to "
        f"{row['high']:.3f}) | {row['untransformed']:.3f} | {row['info_nce']:.2f} | "
        f"{row['probe']:.3f} |"
        for row in rows
    ]
    lines += ["", "| ranked by | tau (95 %) | pairs |", "| --- | --- | --- |"]
    lines += [
        f"| {rank['by']} | {rank['tau']:+.2f} ({rank['interval'][0]:+.2f} to "
        f"{rank['interval'][1]:+.2f}) | {rank['pairs']} |"
        for rank in ranks
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--time", action="store_true", help="measure how long whole audits take")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.time:
        result = {**provenance(), "rows": timed(options.data)}
        print(json.dumps(result["rows"], indent=1))
        (options.out / "audit_time.json").write_text(json.dumps(result, indent=1) + "\n")
        return 0
    torch.set_num_threads(1)
    rows = []
    for name, transforms, images, made, probe in contests(options.data, options.out):
        path = options.out / f"{name} {transforms}.json".replace(" ", "_")
        found = kept(path, partial(looked_at, images, made))
        rows.append({"images": name, "set": transforms, **found, "probe": probe})
    ranks = [agreement(rows, by) for by in ("label", "info_nce")]
    print(text(rows, ranks))
    result = {**provenance(), "images": IMAGES, "rows": rows, "ranks": ranks}
    (options.out / "audit.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
