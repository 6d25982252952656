"""Every benchmark at a tiny size: does it run, do its ways agree, does it write its file?

    python benchmarks/smoke.py [--only losses transforms] [--jobs 2]

A script's own ``main`` runs in a copy of this process, with the arguments and the changed constants
of `smoke_cases.py`; data are drawn where it reads some (`smoke_data.py`). Where ways are compared
the script itself stops if they differ. What must hold besides: it ends within its limit, and its
file holds finite numbers. One whose package is missing is skipped. `EXPERIMENTS` are not run, for
the reason there; they are imported and asked for their help.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import math
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from smoke_cases import CASES, EXPERIMENTS
from smoke_data import FORK, Module

FOLDER = Path(__file__).resolve().parent
IMPORTED_ONCE = ("common.engines", "common.evaluation")  # and not in every copy of this process


def in_this_process(module: Module) -> Callable[..., Any]:
    """Stand for `costs.apart`: a script measures itself without another start of Python."""

    def apart(script: str, words: Sequence[str], environment: Any) -> Any:
        printed, argv = io.StringIO(), sys.argv
        with contextlib.redirect_stdout(printed):
            sys.argv = [script, *words]
            module.main()
        sys.argv = argv
        return json.loads(printed.getvalue().splitlines()[-1])

    return apart


def run(name: str, folder: Path) -> None:
    """Run a script in this process; what all of it prints goes to a file in `folder`."""
    with (folder / "log").open("w") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    try:
        _run(name, folder)
    except BaseException as error:
        if not (isinstance(error, SystemExit) and not error.code):
            traceback.print_exc()
            raise SystemExit(1) from None


def _run(name: str, folder: Path) -> None:
    sys.path.insert(0, str(FOLDER))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    module = importlib.import_module(name)
    case = CASES.get(name)
    sys.argv = [
        f"{name}.py",
        *(case.words.replace("OUT", str(folder)).split() if case else ["--help"]),
    ]
    if case:
        if hasattr(module, "apart"):
            module.apart = in_this_process(module)
        case.prepare(module)
    module.main()


def numbers(content: Any) -> Iterator[float]:
    """All numbers of a results file."""
    if isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            yield from numbers(value)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield float(content)


def judged(name: str, folder: Path, exitcode: int) -> str:
    """What a script that ended left: "ok", "imported" or "FAILED: ..."."""
    if exitcode:
        return "FAILED:\n" + (folder / "log").read_text()[-2000:]
    if name not in CASES:
        return f"imported: {EXPERIMENTS.get(name, 'smoke_cases.py does not know it')}"
    file = folder / CASES[name].writes
    if not file.is_file():
        return f"FAILED: it wrote no {file.name}"
    found = list(numbers(json.loads(file.read_text())))
    if not found or not all(map(math.isfinite, found)):
        return f"FAILED: {file.name} holds no numbers, or some that are not finite"
    return "ok"


def missing(name: str) -> list[str]:
    needs = CASES[name].needs if name in CASES else ()
    return [package for package in needs if importlib.util.find_spec(package) is None]


def all_outcomes(names: Sequence[str], jobs: int, limit: float) -> Iterator[tuple[str, float, str]]:
    """Run scripts, `jobs` at a time, each in a copy of this process; name, seconds and outcome."""
    waiting, running = list(names), []
    while waiting or running:
        while waiting and len(running) < jobs:
            name, folder = waiting.pop(0), tempfile.TemporaryDirectory()
            process = FORK.Process(target=run, args=(name, Path(folder.name)))
            process.start()
            running.append((name, process, folder, time.perf_counter()))
        time.sleep(0.05)
        for one in list(running):
            name, process, folder, start = one
            seconds = time.perf_counter() - start
            if process.is_alive() and seconds < limit:
                continue
            late = process.is_alive()
            process.kill()
            process.join()
            late_line = f"FAILED: it took more than {limit:.0f} s"
            yield (
                name,
                seconds,
                late_line if late else judged(name, Path(folder.name), process.exitcode),
            )
            folder.cleanup()
            running.remove(one)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    scripts = sorted(p.stem for p in FOLDER.glob("*.py") if "__name__ ==" in p.read_text())
    others = [name for name in scripts if name not in {*CASES, "smoke"}]  # asked for their help
    every = [*CASES, *others]
    parser.add_argument("--only", nargs="+", choices=every, default=every)
    parser.add_argument("--jobs", type=int, default=2, help="scripts at a time")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of one script")
    options = parser.parse_args()
    for package in IMPORTED_ONCE:
        importlib.import_module(package)
    absent = {name: missing(name) for name in options.only}
    for name, packages in absent.items():
        if packages:
            print(f"{name:28s}          skipped: {', '.join(packages)} is not installed")
    failed = 0
    present = [name for name in options.only if not absent[name]]
    for name, seconds, result in all_outcomes(present, options.jobs, options.limit):
        print(f"{name:28s} {seconds:5.1f} s  {result}", flush=True)
        failed += result.startswith("FAILED")
    print(f"{len(present) - failed} of {len(present)} benchmarks hold")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
