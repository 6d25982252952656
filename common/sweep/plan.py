"""What a sweep is of: every run with its dials and its folder, checked before any is started."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from common.checks import InputError, require
from common.config import check
from common.config.keys import followed
from common.data import read_manifest
from common.deploy.commands.train import config_files
from common.sweep.grid import parse_seeds, parse_value, suffix

__all__ = ["PlannedRun", "SweepPlan"]

STRATEGY = "strategy_"


@dataclass(frozen=True)
class PlannedRun:
    """One training and its evaluation.

    Args:
        name: of its folder, which `RunFolder` makes: strategy, swept values, seed.
        point: the swept dials, in the grid's order.
        strategy: what it is called without the swept values.
        seed: of the training.
        overlays: names of configurations to lay over train.json, in order.
        dials: all that is given to it, as a command line would.
    """

    name: str
    point: dict[str, Any]
    strategy: str
    seed: int
    overlays: tuple[str, ...]
    dials: dict[str, Any]


@dataclass(frozen=True)
class SweepPlan:
    """Bundle, overlays and dials that all runs share, and what they differ in.

    Args:
        bundle: its folder.
        dataset_dir: the prepared data.
        output: the folder of the sweep.
        dials: of all runs, as typed.
        grid: values of each swept dial.
        strategies: overlays of which each run has one; none for the bundle's own strategy.
        seeds: as typed.
        overlays: names of those that all runs have, after the strategy's.
    """

    bundle: Path
    dataset_dir: Path
    output: Path
    dials: Mapping[str, str]
    grid: Mapping[str, Sequence[Any]]
    strategies: Sequence[str] = ()
    seeds: str = "1"
    overlays: Sequence[str] = ()

    def runs(self) -> list[PlannedRun]:
        """Return all runs: strategies outside, then the grid, then the seeds.

        Raises:
            InputError: an overlay that is not there, or a dial that a training or an evaluation
                would refuse; two runs of one name.
        """
        both = [name for name in self.grid if name in self.dials]
        require(not both, f"--grid {', '.join(both)}: must not be given as a dial too.")
        runs = [run for overlay in self.strategies or [""] for run in self._of(overlay)]
        name, count = Counter(run.name for run in runs).most_common(1)[0]
        require(
            count == 1,
            "--strategies: must be overlays whose runs have names of their own, got two of "
            f"{name}.",
        )
        return runs

    def _of(self, strategy: str) -> Iterator[PlannedRun]:
        """The runs of one strategy."""
        overlays = (*([self._overlay(strategy)] if strategy else []), *self.overlays)
        files = config_files(self.bundle, overlays)
        for path in files:
            require(path.is_file(), f"{path}: must be a file, got none. Name one of the bundle's.")
            self._check_overlay(path)
        fixed = {name: parse_value(text) for name, text in self.dials.items()}
        fixed |= {"output_dir": str(self.output), "dataset_dir": str(self.dataset_dir)}
        fixed |= {"bundle_root": str(self.bundle)}
        self._check_evaluation(files, fixed)
        late = _late(self.bundle)
        early = {name: value for name, value in fixed.items() if name not in late}
        base = _merged(files, early)
        before = str(base.get("run_suffix", ""))
        seeds = parse_seeds(self.seeds, int(base["seed"]))
        called = _name(base, seeds[0]).removesuffix(f"_seed{seeds[0]}")
        for values in product(*self.grid.values()):
            point = dict(zip(self.grid, values))
            own = {**point, **({"run_suffix": before + suffix(point)} if point else {})}
            _check(files, {**early, **own, "seed": max(seeds)})
            self._check_batch(_merged(files, {**early, **own}))
            for seed in seeds:
                config = _merged(files, {**early, **own, "seed": seed})
                dials = {**self.dials, **own, "seed": seed}
                yield PlannedRun(_name(config, seed), point, called, seed, overlays, dials)

    def _check_overlay(self, path: Path) -> None:
        """Refuse what the sweep lays over itself, and what needs a run that is not there."""
        require(
            path.name != "evaluate.json",
            "--overlays evaluate: must be left out: each run is evaluated after its training.",
        )
        require(
            path.name == "train.json"
            or "@pretrained_dir" not in path.read_text()
            or "pretrained_dir" in self.dials,
            f"--overlays {path.stem}: must start from a trained run, which a sweep's folder does "
            "not hold. Give --pretrained_dir, the folder of one.",
        )

    def _check_batch(self, config: Mapping[str, Any]) -> None:
        """Refuse a batch that no run could fill."""
        batch, loader = config.get("batch_size"), dict(config.get("train", {})).get("dataloader")
        whole = isinstance(loader, Mapping) and loader.get("drop_last") is True
        if whole and isinstance(batch, int) and self._images is not None:
            require(
                batch <= self._images,
                f"batch_size: must be at most the {self._images} training images of "
                f"{self.dataset_dir}, got {batch}. Lower it.",
            )

    @cached_property
    def _images(self) -> int | None:
        """Of the training part; None where the data are not prepared."""
        there = (self.dataset_dir / "manifest.json").is_file()
        return len(read_manifest(self.dataset_dir)["training"]) if there else None

    def _overlay(self, name: str) -> str:
        """The overlay that ``--strategies`` names, with or without its beginning."""
        known = self.bundle / "configs" / f"{STRATEGY}{name}.json"
        return f"{STRATEGY}{name}" if known.is_file() else name

    def _check_evaluation(self, files: Sequence[Path], fixed: Mapping[str, Any]) -> None:
        """Refuse what only the evaluation would find, hours later."""
        last = self.bundle / "configs" / "evaluate.json"
        _check([*files, last], {k: v for k, v in fixed.items() if k != "resume"})


def _late(bundle: Path) -> set[str]:
    """Dials that only an evaluation knows."""
    content = ConfigParser.load_config_file(bundle / "configs" / "evaluate.json")
    return set(content.get("+limits", {}))


def _merged(files: Sequence[Path], dials: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as ``monai.bundle run`` merges it."""
    parser = ConfigParser()
    parser.read_config([str(path) for path in files])
    try:
        parser.update(dict(dials))
    except KeyError as error:
        key = str(error.args[0]).rpartition(": ")[2]
        raise InputError(f"the command line: {key!r} is not a key of this configuration.") from None
    content: dict[str, Any] = parser.get()
    return content


def _check(files: Sequence[Path], dials: Mapping[str, Any]) -> None:
    check(_merged(files, dials), files)


def _name(config: Mapping[str, Any], seed: int) -> str:
    """What a run's folder is called, of its ``run_dir``."""
    keys = followed({**config, "_name": "@run_dir"}, "_name")
    small = {key: config[key] for key in keys if key in config}
    folder = Path(str(ConfigParser({**small, "seed": seed}).get_parsed_content("run_dir")))
    return folder.name
