"""What `smoke.py` draws for the benchmarks, and the constants it makes smaller."""

import importlib
import multiprocessing
import sys
import types
import zipfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

FORK = multiprocessing.get_context("fork")

Module = Any
Prepare = Callable[[Module], None]


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


def drawn_h(module: Module) -> None:
    """Features of sixty images of thirty patients, of three classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    h = rng.normal(size=(60, 5)) + 2 * y[:, None]
    images = module.Images(h, y, np.repeat(np.arange(30), 2).astype(str))
    module.SETS = {name: lambda data: images for name in module.SETS}
    constants(STEPS=(4, 8, 12), AIM=8, SHOWN=(4, 8))(module)
    constants(DRAWS=20)(importlib.import_module("label_curves"))


def drawn_brains(module: Module) -> None:
    """Noise as maps of a hundred brains, for the benchmarks of brain age."""
    maps = torch.rand(100, 1, 8, 8, 8)
    age, subject = np.linspace(20, 80, 100), np.arange(100).astype(str)
    as_tensor = hasattr(module, "SETTINGS")
    x = maps if as_tensor else maps.flatten(1).numpy()
    module.load = lambda *_: module.Brains(x, age, subject)
    if as_tensor:
        module.SETTINGS["epochs"] = 1
        module.CLASSICAL = module.CLASSICAL[:1]
    else:
        module.maps_of = lambda folder: {"noise": 1}


def drawn_cells(module: Module) -> None:
    count = {"training": 120, "validation": 40, "test": 60}
    y = {part: np.arange(number) % 2 for part, number in count.items()}
    images = {part: torch.randint(256, (len(of), 3, 68, 68)).byte() for part, of in y.items()}
    module.cells_of = lambda source: {part: (images[part], y[part]) for part in y}
    module.SETTINGS.update(batch=16)


def drawn_eyes(module: Module) -> None:
    """Noise; two photographs of each person."""
    tiny = {"epochs": 1, "batch": 16, "warmup": 0, "probe_epochs": 1}
    importlib.import_module("fundus_teacher").SETTINGS.update(tiny)
    importlib.import_module("fundus_figures").DRAWS = 20
    x = torch.randint(256, (90, 3, 64, 64), dtype=torch.uint8)
    person = np.array([f"{k // 2:03d}" for k in range(90)])
    fold = importlib.import_module("fundus_eyes").folds(person)
    label = np.arange(90) // 2 % 2
    module.load = lambda data, side, small: module.Eyes(
        x[:, :, :side, :side], x[:, :, :small, :small], label, person, fold
    )


def drawn_places(module: Module) -> None:
    x = torch.rand(96, 1, module.SIDE, module.SIDE)
    place = torch.rand(32, len(module.GRID)) < 0.3
    module.fundus = lambda data, out: module.Places(x[:64], x[64:], place, ~place)
    module.SETTINGS.update(steps=2, batch=16)


def drawn_volumes(module: Module) -> None:
    """Balls for brains."""
    module.SHAPE = (16, 16, 16)
    axes = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in module.SHAPE), indexing="ij"))
    ball = ((axes**2).sum(axis=0) < 0.8).astype(np.float32) * 0.6
    module.read_volumes = lambda source: {f"p{k:02d}": ball for k in range(30)}
    module.coarse = lambda volume: volume
    module.COPIES = 2


class Here:
    """Stand for a pool of processes: does what it is given at once."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: Any) -> None: ...

    def submit(self, run: Callable[..., Any], *given: Any) -> Future[Any]:
        """Run it."""
        future: Future[Any] = Future()
        future.set_result(run(*given))
        return future


def phantom(module: Module) -> None:
    """Slices with lesions in the folder of ``--data``; runs one after the other."""
    from data_prep.__main__ import main as data_prep

    words = "phantom --kind brain --patients 12 --size 32 --workers 1 --target"
    assert data_prep([*words.split(), str(given("--data"))]) == 0
    module.ProcessPoolExecutor = Here


def one_pass(module: Module) -> None:
    """Time one pass each, not seconds of them."""
    importlib.import_module("costs").SECONDS = 0.0
