"""How `smoke.py` runs each benchmark: arguments, smaller constants, drawn data; or why not."""

import importlib
import multiprocessing
import sys
import types
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

FORK = multiprocessing.get_context("fork")

Module = Any
Prepare = Callable[[Module], None]


@dataclass(frozen=True)
class Case:
    """How one script is run.

    Attributes:
        words: its arguments; ``OUT`` is an empty folder.
        writes: the file it must write into that folder.
        prepare: changes its constants, and draws what it would read.
        needs: packages without which it is skipped.
    """

    words: str
    writes: str
    prepare: Prepare = lambda module: None
    needs: tuple[str, ...] = ()


def constants(**values: Any) -> Prepare:
    """Set constants of the script; a dict is merged into the script's own."""

    def prepare(module: Module) -> None:
        for name, value in values.items():
            own = getattr(module, name)  # a constant that is not there any more is an error
            setattr(module, name, {**own, **value} if isinstance(own, dict) else value)
            if isinstance(own, dict):
                own.update(value)

    return prepare


def digits(side: int) -> dict[str, tuple[torch.Tensor, np.ndarray]]:
    """Bright squares whose place is their class."""
    parts = {}
    for part, count in (("training", 120), ("test", 100)):
        label = np.arange(count) % 10
        x = torch.randint(60, (count, 1, side, side), dtype=torch.uint8)
        for image, k in zip(x, label):
            image[:, 2 * k : 2 * k + 4] += 150
        parts[part] = (x, label)
    return parts


def drawn_digits(name: str, side: int, **values: Any) -> Prepare:
    def prepare(module: Module) -> None:
        constants(**values)(module)
        setattr(module, name, lambda source: digits(side))

    return prepare


def drawn_images(module: Module) -> None:
    """A set of brighter and darker noise, for scripts that read `small_images`."""
    small = importlib.import_module("small_images")

    def images(data: Path, out: Path, side: int = 32) -> Any:
        y, group = np.arange(144) // 2 % 2, np.array([f"p{k // 2}" for k in range(144)])
        x = torch.randint(120, (144, 3, side, side)) + 60 * torch.from_numpy(y)[:, None, None, None]
        return small.Images(x.byte(), y, group, small.by_group(group)[:1])

    module.SETS = dict.fromkeys(module.SETS, images)
    if hasattr(module, "SCHEDULE"):  # images a batch, epochs, epochs of the VAE
        module.SCHEDULE = dict.fromkeys(module.SCHEDULE, (16, 1, 1))


def drawn_table(**values: Any) -> Prepare:
    """Features of subjects at three sites, for scripts that read `age_tables`."""

    def prepare(module: Module) -> None:
        tables = importlib.import_module("age_tables")
        rng, site = np.random.default_rng(0), np.arange(120) % 3
        age = rng.uniform(20, 80, 120)
        features = rng.normal(size=(120, 8)) + np.stack([age / 20, *[site] * 7], axis=1)
        subject = np.array([f"s{k}" for k in range(120)])
        table = tables.Table(features, age, site, subject, ["a", "b", "c"])
        module.load = lambda source, name: table
        tables.SETTINGS.update(steps=4, batch=32)
        constants(**values)(module)

    return prepare


def few_pictures(module: Module) -> None:
    """Of so few the moments say nothing, so their sizes alone must agree."""

    def agree(cases: dict[str, Callable[[], list[torch.Tensor]]]) -> None:
        shapes = {
            name: sorted(tuple(view.shape) for view in case()) for name, case in cases.items()
        }
        if len({str(found) for found in shapes.values()}) > 1:
            sys.exit(f"the views differ in size: {shapes}")

    module.BATCH, module.agree = 4, agree


def in_forks(module: Module) -> None:
    """Measure in copies of this process."""
    module.multiprocessing = types.SimpleNamespace(get_context=lambda _: FORK)


def without_processes(module: Module) -> None:
    """Their start takes longer than all the rest."""
    module.on_processes = lambda fit, data, jobs: fit(data, jobs)


def given(option: str) -> Path:
    """What the script's own arguments name."""
    return Path(sys.argv[sys.argv.index(option) + 1])


def pictures(folder: Path, kind: str, count: int, side: int) -> Path:
    """Noise in files of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        drawn = rng.integers(0, 256, (side, side), np.uint8)
        Image.fromarray(drawn).save(folder / f"{number:03d}.{kind}")
    return folder


def zipped(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(folder.iterdir()):
            archive.write(each, each.name)


def stored_pictures(module: Module) -> None:
    path = given("--images")
    zipped(path, pictures(path.parent / "drawn", "png", 40, 32))
    module.ROUNDS = 1


def few_names(module: Module) -> None:
    """A manifest is in tables however few it holds, as a million's is."""
    module.SHARD, module.SOURCES, module.BATCHES = 100, 8, 2


def few_films(module: Module) -> None:
    """Read in this process, and start none whose memory is measured."""
    source = given("--source")
    zipped(source / "images.zip", pictures(source / "drawn", "jpeg", 8, 32))
    module.WORKERS, module.BATCH = 0, 4
    module.memory = lambda arguments, count: 1.0


def counted_pictures(module: Module) -> None:
    pictures(given("--pictures"), "jpg", 4, 64)


def one_pass(module: Module) -> None:
    """Time one pass each, not seconds of them."""
    importlib.import_module("costs").SECONDS = 0.0


CASES = {
    "losses": Case("--sizes 16 --out OUT/losses.json", "losses.json", one_pass),
    "decoupled_uniformity": Case("--sizes 16 --out OUT/du.json", "du.json", one_pass),
    "cost_of_m": Case(
        "--size 16 --batch 2 --channels 4 8 --steps 2 --repeats 2 --out OUT/m.json", "m.json"
    ),
    "crop_windows": Case("--out OUT/windows.json", "windows.json", constants(IMAGES=2, DRAWN=2)),
    "transforms": Case(
        "--repeats 1 --out OUT/transforms.json", "transforms.json", needs=("kornia",)
    ),
    "views_dino": Case("--repeats 1 --out OUT/views.json", "views.json", few_pictures),
    "ssl_steps": Case(
        "--rounds 1 --out OUT/steps.json", "steps.json", constants(BATCH=16), ("lightly",)
    ),
    "gradient_caching": Case(
        "--side 16 --width 0.125 --batches 8 --out OUT/caching.json", "caching.json", in_forks
    ),
    "evaluation_heads": Case(
        "--tables small --heads site --rounds 1 --out OUT/heads.json",
        "heads.json",
        without_processes,
    ),
    "brats_prep": Case(
        "--patients 2 --workers 1 --repeats 1 --json OUT/brats.json",
        "brats.json",
        constants(SHAPE=(50, 50, 30)),
    ),
    "options": Case(
        "--options bfloat16 --turns 2 --out OUT/options.json",
        "options.json",
        constants(
            NETWORKS={
                "ResNet18, 2D": {"dimensions": 2, "width": 0.125, "batch": 4, "side": 32},
                "ResNet18, 3D": {"dimensions": 3, "width": 0.125, "batch": 4, "side": 16},
            }
        ),
    ),
    "reading": Case(
        "--work OUT/films --films 1 --size 64 --turns 2 --out OUT/reading.json", "reading.json"
    ),
    "digit_clusters": Case(
        "--source - --out OUT --batch 32 --queue 64 --width 0.03125 --groups 2",
        "digit_clusters.json",
        drawn_digits("read", 32),
    ),
    "ssl_methods": Case(
        "--source - --out OUT --epochs 1",
        "ssl_methods.json",
        drawn_digits("read_both", 28, SETTINGS={"width": 0.0625, "batch": 60, "queue": 128}),
    ),
    "ssl_peers": Case(
        "--source - --out OUT --seeds 0",
        "ssl_peers.json",
        drawn_digits("read_both", 28, SETTINGS={"width": 0.0625, "batch": 60, "epochs": 1}),
        ("lightly",),
    ),
    "view_distances": Case("--data - --out OUT --seeds 0", "view_distances.json", drawn_images),
    "decoupled_uniformity_images": Case(
        "--data - --out OUT --sets cifar10 --seeds 0 --set channels=[4,8]",
        "decoupled_uniformity_images.json",
        drawn_images,
    ),
    "kernel_width": Case(
        "--source - --out OUT --seeds 0 --table ixi",
        "kernel_width_ixi.json",
        drawn_table(WIDTHS=(5.0,)),
    ),
    "federated": Case("--source - --out OUT --seeds 0", "federated.json", drawn_table(ROUNDS=2)),
    "bundle_costs": Case(
        "--bundles digits_trainable_crop --sizes small --out OUT/costs.json", "costs.json"
    ),
    "store": Case(
        "--images OUT/images.zip --out OUT", "store.json", stored_pictures, needs=("lmdb",)
    ),
    "million": Case(
        "--count 2000 --only make read start workers --out OUT", "million.json", few_names
    ),
    "predict": Case(
        "--source OUT --work OUT/work --films 8 --turns 1 --out OUT/predict.json",
        "predict.json",
        few_films,
        ("psutil",),
    ),
    "scale": Case("--pictures OUT/pictures --out OUT/scale.json", "scale.json", counted_pictures),
}

TRAINS = "trains for hours, on images that are not part of the repository"
EXPERIMENTS = {
    "active_learning": TRAINS,
    "audit_proposal": TRAINS,
    "audit": "audits images that are not part of the repository, beside encoders trained on them",
    "biased_mnist": TRAINS,
    "brain_age_heads": "reads folders of prepared brains",
    "brain_age_ixi": TRAINS,
    "brain_age_tables": "chooses settings by nested folds: an hour at any size",
    "brain_age_weights": TRAINS,
    "brain_t1_prep": "registers raw heads: a minute each",
    "cell_clusters": TRAINS,
    "chest_xray_kermany": TRAINS,
    "chest_xray_weights": TRAINS,
    "class_bias": TRAINS,
    "demo": "is the demo of the README, which a test runs",
    "familiarity": TRAINS,
    "fundus_dino": TRAINS,
    "inserted_lesions": "reads brains that are not part of the repository; writes no figures",
    "killed_runs": "kills and resumes trainings; a test does so at a tiny size",
    "predict_many": "starts the command twice: half a minute at any size",
    "site_probes": "reads the settings that brain_age_tables chose",
    "strategies": TRAINS,
    "trainable_crop_places": TRAINS,
    "tumour_strategies": "puts together what strategies.py wrote",
    "tumours_3d": TRAINS,
}
