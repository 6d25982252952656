"""What one call costs in seconds and bytes, measured in a process of its own; Linux only."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# the allocator hands every freed block back to the system, so that every tensor counts
STRICT_ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
ROUNDS = 2  # repeat at least so often
SECONDS = 2.0  # and for this long


class Cost(NamedTuple):
    """Time of one call, and by how much the peak resident size grew during it."""

    seconds: float
    bytes: int


def cost(run: Callable[[], object]) -> Cost:
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from the present size
    before, start = _resident("VmRSS"), time.perf_counter()
    run()
    return Cost(time.perf_counter() - start, _resident("VmHWM") - before)


def best_times(passes: Mapping[str, Callable[[], float]]) -> dict[str, dict[str, float]]:
    """Value and best time of "ours" and its peers, in turn, after a warm-up pass each.

    Time is that of the processor, on one thread: other work on the machine does not count.
    """
    values = {name: run() for name, run in passes.items()}
    times: dict[str, list[float]] = {name: [] for name in passes}
    until = time.perf_counter() + SECONDS
    while len(times["ours"]) < ROUNDS or time.perf_counter() < until:
        for name, run in passes.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    return {"values": values, "seconds": {name: min(taken) for name, taken in times.items()}}


def apart(script: str, words: Sequence[str], environment: Mapping[str, str]) -> Any:
    """Run `script` with `words` in a process of its own; return its last line, which is JSON."""
    command, settings = [sys.executable, script, *words], {**os.environ, **environment}
    done = subprocess.run(command, env=settings, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
