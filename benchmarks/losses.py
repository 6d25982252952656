"""Time and memory of the contrastive losses beside lightly's NT-Xent and MONAI's ContrastiveLoss.

One forward and backward pass over ``size x 2 views x 128`` on one CPU thread::

    pip install --no-deps lightly lightly-utils
    python benchmarks/losses.py --out losses.json

Every figure comes from its own process. Time is the best of the repetitions over `ROUNDS` rounds
of all cases in turn, after one warm-up pass. Memory is the growth of the peak resident size during
one pass (reset just before it, after a pass over 4 subjects), with freed memory handed back to the
system at once, so that every intermediate tensor counts. NT-Xent and InfoNCE without margin are
the same function; the run stops if their values differ. Linux only.
"""

import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from common.losses import DecoupledInfoNCE, InfoNCE

SIZES = (256, 1024, 4096)
DIMENSIONS = 128
TEMPERATURE = 0.5
ROUNDS = 3
SECONDS = 2.0  # repeat a case for this long in every round, at least twice
PEER = "lightly NTXentLoss"
MONAI = "MONAI ContrastiveLoss"
SAME_FUNCTION = (PEER, MONAI, "InfoNCE")
LARGEST = {MONAI: 256}  # holds size² x 512 numbers at a time: 13 GB at 1,024, 210 GB at 4,096
STRICT_ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}

Loss = Callable[[Tensor], Tensor]


class WithoutTorchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Satisfies lightly's imports of torchvision, of which its NT-Xent uses nothing."""

    def find_spec(self, name, path, target=None):  # type: ignore[no-untyped-def]
        """Claim torchvision and everything below it."""
        if name.partition(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Make a module of which every name is an empty class."""
        module = types.ModuleType(spec.name)

        def placeholder(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__getattr__ = placeholder  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def lightly_nt_xent() -> Loss:
    if importlib.util.find_spec("lightly") is None:
        sys.exit("lightly is missing: pip install --no-deps lightly lightly-utils")
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.append(WithoutTorchvision())
    from lightly.loss.ntx_ent_loss import NTXentLoss

    loss = NTXentLoss(temperature=TEMPERATURE)
    return lambda z: loss(z[:, 0], z[:, 1])


def monai_contrastive() -> Loss:
    from monai.losses import ContrastiveLoss

    loss = ContrastiveLoss(temperature=TEMPERATURE)
    return lambda z: loss(z[:, 0], z[:, 1])


CASES: dict[str, Callable[[], Loss]] = {
    PEER: lightly_nt_xent,
    MONAI: monai_contrastive,
    "InfoNCE": lambda: InfoNCE(TEMPERATURE),
    "DecoupledInfoNCE": lambda: DecoupledInfoNCE(TEMPERATURE),
}


def one_pass(loss: Loss, size: int) -> Callable[[], float]:
    z = torch.randn(size, 2, DIMENSIONS, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()

    def run() -> float:
        z.grad = None
        value = loss(z)
        value.backward()
        return float(value.detach())

    return run


def best_time(loss: Loss, size: int) -> dict[str, float]:
    run = one_pass(loss, size)
    value, times, until = run(), [], time.perf_counter() + SECONDS
    while len(times) < 2 or time.perf_counter() < until:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return {"value": value, "seconds": min(times)}


def peak_memory(loss: Loss, size: int) -> dict[str, float]:
    one_pass(loss, 4)()
    run = one_pass(loss, size)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from the present size
    before = resident("VmRSS")
    run()
    return {"bytes": resident("VmHWM") - before}


def resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def measure(what: str, case: str, size: int) -> dict[str, float]:
    """Run one case in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if what == "memory":
        environment |= STRICT_ALLOCATION
    command = [sys.executable, __file__, "--measure", what, "--case", case, "--size", str(size)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(sizes: list[int]) -> list[dict[str, float | str]]:
    rows: list[dict[str, float | str]] = []
    for size in sizes:
        cases = [case for case in CASES if size <= LARGEST.get(case, size)]
        rounds = [{case: measure("time", case, size) for case in cases} for _ in range(ROUNDS)]
        seconds = {case: min(r[case]["seconds"] for r in rounds) for case in cases}
        used = {case: measure("memory", case, size)["bytes"] for case in cases}
        values = [rounds[0][case]["value"] for case in cases if case in SAME_FUNCTION]
        if max(values) - min(values) > 1e-4:
            sys.exit(f"size {size}: the losses differ: {values}")
        for case in cases:
            rows.append(
                {
                    "size": size,
                    "loss": case,
                    "milliseconds": seconds[case] * 1e3,
                    "megabytes": used[case] / 1e6,
                    "times_faster": seconds[PEER] / seconds[case],
                    "times_smaller": used[PEER] / used[case],
                }
            )
    return rows


def table(rows: list[dict[str, float | str]]) -> str:
    lines = [
        f"| size | loss | ms | MB | faster than {PEER} | smaller |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            "| {size} | {loss} | {milliseconds:.1f} | {megabytes:.1f} | {times_faster:.3g} x "
            "| {times_smaller:.2f} x |".format(**row)
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    parser.add_argument("--measure", choices=["time", "memory"], help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure:
        function = best_time if arguments.measure == "time" else peak_memory
        print(json.dumps(function(CASES[arguments.case](), arguments.size)))
        return
    rows = compare(arguments.sizes)
    print(table(rows))
    if arguments.out:
        versions = {"torch": torch.__version__, "python": platform.python_version()}
        arguments.out.write_text(json.dumps({"versions": versions, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
