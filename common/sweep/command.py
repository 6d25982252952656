"""``python -m common sweep BUNDLE --grid NAME=low:high:count [--seeds N] [--DIAL VALUE ...]``.

A grid of trainings with their evaluations, each in a process and a folder of its own, and one
table of all. `common.sweep.folder` says what the folder holds.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

import torch
from tqdm import tqdm

from common.checks import InputError, require
from common.cluster import LostWorker, add_arguments, cores, spread
from common.command_line import CommandParser, read_dials
from common.config.endings import Terminated
from common.config.record import MECHANICS
from common.data import fingerprint
from common.deploy.loading import folder_of
from common.own_process import Wanted
from common.sweep.folder import LEFT_OUT, SweepFolder
from common.sweep.grid import parse_grid
from common.sweep.launch import DONE, FAILED, LOG, RUN, Outcome, Task, launch
from common.sweep.plan import PlannedRun, SweepPlan
from common.sweep.table import TABLE

__all__ = ["main"]

SOME_FAILED, INTERRUPTED = 3, 130  # exit codes
ROUNDS = 3  # in which a cluster may lose workers
PLACES = ("dataset_dir", "output_dir", "ckpt_dir", "run_dir", "bundle_root", "resume", "seed")
SHOWN = 20  # failed runs that are printed


def main(words: Sequence[str]) -> int:
    """Run a sweep, or what is left of it; return the exit code.

    Raises:
        InputError: what is wrong with grid or dials, before anything is started; a folder of
            another sweep; no cluster.
    """
    options, rest = _parser().parse_known_args(list(words))
    plan = _plan(options, read_dials(rest, "python -m common sweep"))
    runs = plan.runs()
    folder = SweepFolder(plan.output, _record(plan))
    if options.list:
        folder.require_same()
        folder.read()
        _list(runs, folder)
        return 0
    with folder.opened() as wanted:
        before = sum(_is_done(run, folder) for run in runs)
        try:
            _run(plan, runs, folder, wanted, options)
        except (KeyboardInterrupt, Terminated):
            done = sum(_is_done(run, folder) for run in runs)
            print(f"interrupted: {done} of {len(runs)} runs are done. The same command goes on.")
            return INTERRUPTED
    return _summary(runs, before, folder)


def _plan(options: Namespace, dials: dict[str, str]) -> SweepPlan:
    folder = folder_of(options.bundle)
    for name in PLACES:
        require(
            name not in dials,
            f"--{name}: cannot be given to a sweep. It has --output, --data and --seeds.",
        )
    data = options.data.resolve()
    require(
        data.is_dir(),
        f"--data: must be a folder that data_prep wrote, got none at {options.data}.",
    )
    require(options.jobs is None or options.jobs >= 1, f"--jobs must be >= 1, got {options.jobs}.")
    output = options.output or Path(f"sweep_{folder.resolve().name}")
    return SweepPlan(
        folder.resolve(),
        data,
        output.resolve(),
        dials,
        parse_grid(options.grid),
        [name for name in options.strategies.split(",") if name],
        options.seeds,
        options.overlays,
    )


def _record(plan: SweepPlan) -> dict[str, Any]:
    """What must be equal for a folder to be gone on with."""
    prepared = (plan.dataset_dir / "manifest.json").is_file()
    return {
        "bundle": plan.bundle.name,
        "overlays": list(plan.overlays),
        "grid": list(plan.grid),
        "dials": {key: text for key, text in plan.dials.items() if key not in MECHANICS},
        "data": fingerprint(plan.dataset_dir) if prepared else str(plan.dataset_dir),
    }


def _is_done(run: PlannedRun, folder: SweepFolder) -> bool:
    outcome = folder.outcomes.get(run.name)
    return outcome is not None and outcome.ended == DONE


def _run(
    plan: SweepPlan,
    runs: Sequence[PlannedRun],
    folder: SweepFolder,
    wanted: Wanted,
    options: Namespace,
) -> None:
    """Do what is left, and again what a cluster lost."""
    left = {run.name: run for run in runs if not _is_done(run, folder)}
    slots = _gpus(plan.dials)
    jobs = min(options.jobs or max(len(slots), 1), max(len(left), 1))
    here = options.backend == "processes"
    threads = max(1, cores() // jobs) if here and jobs > 1 else None
    bar = tqdm(total=len(runs), initial=len(runs) - len(left), unit="run", disable=None)
    rounds = 0
    with bar:
        while left:
            tasks = [_task(plan, run, wanted, threads) for run in left.values()]
            work = partial(launch, gpus=_queue(slots, jobs) if here and slots else None)
            places = (options.backend, options.address, jobs, bool(slots) or not here)
            try:
                with closing(spread(work, tasks, *places)) as ended:
                    for outcome in ended:
                        if left.pop(outcome.name, None) is not None:
                            _take(outcome, folder, bar)
            except LostWorker as lost:
                rounds += 1
                if rounds >= ROUNDS:
                    raise InputError(
                        f"--backend {options.backend}: workers must stay alive, got {rounds} "
                        f"losses ({lost}). The same command goes on with what is left."
                    ) from None


def _take(outcome: Outcome, folder: SweepFolder, bar: Any) -> None:
    folder.add(outcome)
    folder.grow()
    failed = len(folder.of(FAILED))
    bar.set_postfix({"failed": failed} if failed else {})
    bar.update()
    if bar.disable:
        print(f"{outcome.name}: {outcome.ended} after {outcome.seconds:.0f} s", flush=True)


def _task(plan: SweepPlan, run: PlannedRun, wanted: Wanted, threads: int | None) -> Task:
    places = {
        "dataset_dir": plan.dataset_dir,
        "output_dir": plan.output,
        "ckpt_dir": plan.output / run.name / "models",
    }
    what = {
        "bundle": str(plan.bundle),
        "overlays": run.overlays,
        "dials": run.dials,
        "places": {name: str(path) for name, path in places.items()},
    }
    about = {"point": run.point, "strategy": run.strategy, "seed": run.seed}
    return Task(run.name, plan.output, wanted, about, what, Path.cwd(), threads, RUN)


def _gpus(dials: Mapping[str, str]) -> list[str]:
    """The GPUs that this process sees, as `CUDA_VISIBLE_DEVICES` calls them."""
    if dials.get("device", "cuda").startswith("cpu"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    count = torch.cuda.device_count()
    return visible.split(",")[:count] if visible else list(map(str, range(count)))


def _queue(slots: Sequence[str], jobs: int) -> "Queue[str]":
    """A GPU for each of `jobs` at once; with more jobs than GPUs some share one."""
    queue: Queue[str] = Queue()
    for number in range(max(jobs, len(slots))):
        queue.put(slots[number % len(slots)])
    return queue


def _list(runs: Sequence[PlannedRun], folder: SweepFolder) -> None:
    for run in runs:
        outcome = folder.outcomes.get(run.name)
        state = "to do" if outcome is None else outcome.ended
        print(f"{run.name}: {state}{f', {outcome.reason}' if outcome and outcome.reason else ''}")


def _summary(runs: Sequence[PlannedRun], before: int, folder: SweepFolder) -> int:
    """Say what came of it; return the exit code."""
    names = {run.name for run in runs}
    failed = [outcome for outcome in folder.of(FAILED) if outcome.name in names]
    done = sum(_is_done(run, folder) for run in runs)
    known = f" ({before} of them before)" if before else ""
    print(f"{len(runs)} runs: {done} done{known}, {len(failed)} failed")
    for outcome in failed[:SHOWN]:
        print(f"failed: {outcome.name}: {outcome.reason}")
    if failed:
        print(f"all that failed: {folder.path / LEFT_OUT}; what they said: {LOG} in their folders")
    print(f"table: {folder.path / TABLE}", flush=True)
    return SOME_FAILED if failed else 0


def _parser() -> ArgumentParser:
    parser = CommandParser(
        "python -m common sweep",
        description="Train and evaluate a bundle over a grid of dials, strategies and seeds; one "
        "table of all results grows as runs end.",
        epilog="All other options are dials of the bundle, the same for all runs. Given again, the "
        "command goes on where it was; a grid of other values goes on in the same folder. Exit "
        f"code 0: all runs are done; {SOME_FAILED}: some failed. docs/sweeps.md has examples, "
        "clusters and SLURM. Research use only; not a medical device.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="name of a bundle, or its folder")
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="a dial and its values: low:high:count (evenly spaced, both ends included) or a,b,c; "
        "several --grid are crossed",
    )
    parser.add_argument(
        "--seeds",
        default="1",
        help="how many, from the bundle's own seed on; or which, with commas between them",
    )
    parser.add_argument(
        "--strategies", default="", help="overlays strategy_NAME, with commas between them"
    )
    parser.add_argument(
        "--overlays", nargs="+", default=[], metavar="NAME", help="overlays that all runs have"
    )
    parser.add_argument(
        "--data", "--dataset_dir", type=Path, default=Path("data"), help="folder that data_prep "
        "wrote; ./data unless given",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, help="folder to write to; ./sweep_BUNDLE unless given"
    )
    parser.add_argument(
        "--jobs", type=int, help="runs at once on this machine; one a GPU unless given, else one"
    )
    add_arguments(parser)
    parser.add_argument(
        "--list", action="store_true", help="only list the runs: done, failed or to do"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
