"""Time and memory of the contrastive losses beside other libraries' and beside plain matrices.

One forward and backward pass over ``size x 2 views x 128`` on one CPU thread::

    pip install --no-deps lightly lightly-utils pytorch-metric-learning
    python benchmarks/losses.py --out losses.json
    python benchmarks/losses.py --sizes 32768 --losses InfoNCE SupCon y-aware --once
    python benchmarks/losses.py --sizes 8192 --losses L_thr "L_thr released" --against y-aware

Each loss stands beside the libraries that have it and beside its plain n x n form
(`benchmarks/plain_losses.py`), the only peer of most; all must return the same value, or the run
stops. Labels and biases are of 10 classes, ages uniform from 20 to 80, the kernel a Gaussian of 5
years. Times are the best of the repetitions, a loss and its peers taking turns in one process,
after one warm-up pass each. Memory is measured in a process for each: it is the growth of the peak
resident size during one pass (reset just before it, after a pass over 16 subjects), with freed
memory handed back to the system at once, so that every intermediate tensor counts. Linux only.
"""

import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain_losses as plain
import torch
from costs import STRICT_ALLOCATION, apart, best_times, cost
from paired_runs import provenance
from torch import Tensor

from common.kernels import Gaussian
from common.losses import (
    DecoupledInfoNCE,
    EnD,
    FairKL,
    InfoNCE,
    KernelContrastive,
    SupCon,
    SupInfoNCE,
)

SIZES = (256, 1024, 4096)
DIMENSIONS = 128
TEMPERATURE = 0.5
EPSILON = 0.25
KERNEL = Gaussian(5.0)
CLASSES = 10

Columns = dict[str, Tensor]
Loss = Callable[[Tensor, Columns], Tensor]


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
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.append(WithoutTorchvision())
    from lightly.loss.ntx_ent_loss import NTXentLoss

    loss = NTXentLoss(temperature=TEMPERATURE)
    return lambda z, _: loss(z[:, 0], z[:, 1])


def metric_learning_sup_con() -> Loss:
    from pytorch_metric_learning.losses import SupConLoss

    loss = SupConLoss(temperature=TEMPERATURE)
    return lambda z, columns: loss(z.flatten(0, 1), columns["label"].repeat_interleave(2))


def ours(loss: torch.nn.Module) -> Callable[[], Loss]:
    return lambda: lambda z, columns: loss(z, **{name: columns[name] for name in loss.targets})


def plainly(loss: Callable[..., Tensor], *names: str, **settings: object) -> Callable[[], Loss]:
    return lambda: lambda z, columns: loss(z, *(columns[name] for name in names), **settings)


def cases() -> dict[str, dict[str, Callable[[], Loss]]]:
    """Each loss: ours first, then its peers."""
    t, e = {"temperature": TEMPERATURE}, {"temperature": TEMPERATURE, "epsilon": EPSILON}
    table: dict[str, dict[str, Callable[[], Loss]]] = {
        "InfoNCE": {
            "ours": ours(InfoNCE(**t)),
            "plain": plainly(plain.nt_xent, **t),
            "lightly": lightly_nt_xent,
        },
        "DecoupledInfoNCE": {"ours": ours(DecoupledInfoNCE(TEMPERATURE))},
        "SupCon": {
            "ours": ours(SupCon(**t)),
            "plain": plainly(plain.sup_con, "label", **t),
            "pytorch-metric-learning": metric_learning_sup_con,
        },
        "epsilon-SupCon": {
            "ours": ours(SupCon(**e)),
            "plain": plainly(plain.sup_con, "label", **e),
        },
    }
    for form in ("out", "in"):
        table[f"epsilon-SupInfoNCE {form}"] = {
            "ours": ours(SupInfoNCE(**e, form=form)),
            "plain": plainly(plain.sup_info_nce, "label", **e, form=form),
        }
    for name, repulsion, variant in (
        ("y-aware", "all", "paper"),
        ("L_thr", "threshold", "paper"),
        ("L_thr released", "threshold", "released"),
        ("L_exp", "exponential", "paper"),
        ("L_exp released", "exponential", "released"),
    ):
        settings = {"repulsion": repulsion, "variant": variant, "kernel": KERNEL, **t}
        table[name] = {
            "ours": ours(KernelContrastive(**settings)),
            "plain": plainly(plain.kernel_contrastive, "y", **settings),
        }
    for statistic, variant in (
        ("similarity", "paper"),
        ("distance", "paper"),
        ("similarity", "released"),
    ):
        name = "FairKL released" if variant == "released" else f"FairKL {statistic}"
        settings = {"statistic": statistic, "variant": variant}
        table[name] = {
            "ours": ours(FairKL(**settings)),
            "plain": plainly(plain.fairkl, "label", "bias", **settings),
        }
    table["EnD"] = {"ours": ours(EnD())}
    return table


PACKAGES = {"lightly": "lightly", "pytorch-metric-learning": "pytorch_metric_learning"}
CASES = {  # without the peers whose package is not installed
    loss: {
        peer: make
        for peer, make in by.items()
        if peer not in PACKAGES or importlib.util.find_spec(PACKAGES[peer])
    }
    for loss, by in cases().items()
}
LARGEST = {  # subjects of which 16 GB hold what the peer keeps
    ("L_thr", "plain"): 256,  # (2 size)^3 numbers: 34 GB at 1,024
    ("L_thr released", "plain"): 256,
}


def one_pass(loss: Loss, size: int) -> Callable[[], float]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(size, 2, DIMENSIONS, generator=generator).requires_grad_()
    columns = {
        "label": torch.randint(CLASSES, (size,), generator=generator),
        "bias": torch.randint(CLASSES, (size,), generator=generator),
        "y": torch.rand(size, generator=generator) * 60 + 20,
    }

    def run() -> float:
        z.grad = None
        value = loss(z, columns)
        value.backward()
        return float(value.detach())

    return run


def times(loss: str, size: int, against: str | None) -> dict[str, dict[str, float]]:
    if against:  # peers hold too much at such sizes: one of ours takes their place
        pair = {"ours": CASES[loss]["ours"], against: CASES[against]["ours"]}
        return best_times({name: one_pass(make(), size) for name, make in pair.items()})
    names = [case for case in CASES[loss] if size <= LARGEST.get((loss, case), size)]
    return best_times({case: one_pass(CASES[loss][case](), size) for case in names})


def single_cost(loss: str, case: str, size: int) -> dict[str, float]:
    one_pass(CASES[loss][case](), 16)()
    return cost(one_pass(CASES[loss][case](), size))._asdict()


def measure(loss: str, case: str, size: int, against: str | None = None) -> dict[str, Any]:
    """Measure times (no case) or the memory of one case, in a process of its own."""
    words = ["--losses", loss, "--measure", case or "times", "--sizes", str(size)]
    words += ["--against", against] if against else []
    environment = {"OMP_NUM_THREADS": "1"} | (STRICT_ALLOCATION if case else {})
    result: dict[str, Any] = apart(__file__, words, environment)
    return result


def compare(size: int, loss: str) -> dict[str, Any]:
    """Measure a loss and its peers; a row of the table."""
    timed = measure(loss, "", size)
    values = list(timed["values"].values())
    if max(values) - min(values) > 1e-4 * max(1, abs(values[0])):
        sys.exit(f"{loss}, size {size}: the losses differ: {values}")
    used = {case: measure(loss, case, size)["bytes"] for case in timed["seconds"]}
    return {"size": size, "loss": loss, "seconds": timed["seconds"], "bytes": used}


def alone(size: int, loss: str) -> dict[str, Any]:
    """Measure one pass of ours; a row of the table."""
    measured = measure(loss, "ours", size)
    return {"size": size, "loss": loss} | {key: {"ours": measured[key]} for key in measured}


def beside(size: int, loss: str, against: str) -> dict[str, Any]:
    """Measure ours beside another of ours, in turn; a row of the table."""
    seconds = measure(loss, "", size, against)["seconds"]
    used = {
        name: measure(of, "ours", size)["bytes"]
        for name, of in (("ours", loss), (against, against))
    }
    share = {name: of["ours"] / of[against] for name, of in (("time", seconds), ("memory", used))}
    return {"size": size, "loss": loss, "seconds": seconds, "bytes": used, "ours_by_other": share}


def line(row: dict[str, Any]) -> str:
    """Write a row of the table, with the ratios to the fastest peer."""
    seconds, used = row["seconds"], row["bytes"]
    cells = [f"{row['size']:,}", row["loss"]]
    cells += [f"{seconds['ours'] * 1e3:,.1f}", f"{used['ours'] / 1e6:,.1f}"]
    peers = sorted((value, name) for name, value in seconds.items() if name != "ours")
    if not peers:
        return f"| {' | '.join([*cells, '-', '-', '-', '-', '-'])} |"
    best, peer = peers[0]
    cells += [peer, f"{best * 1e3:,.1f}", f"{used[peer] / 1e6:,.1f}"]
    cells += [f"{best / seconds['ours']:.3g} x", f"{used[peer] / max(used['ours'], 1):.3g} x"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--losses", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--once", action="store_true", help="one pass of ours, no peers")
    parser.add_argument("--against", choices=CASES, help="a loss of ours in the place of peers")
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure:
        loss, size = arguments.losses[0], arguments.sizes[0]
        timed = arguments.measure == "times"
        measured = (
            times(loss, size, arguments.against)
            if timed
            else single_cost(loss, arguments.measure, size)
        )
        print(json.dumps(measured))
        return
    print("| size | loss | ms | MB | fastest peer | its ms | its MB | faster | smaller |")
    print("|---:|---|---:|---:|---|---:|---:|---:|---:|")
    rows = []
    for size in arguments.sizes:
        for loss in arguments.losses:
            if arguments.against:
                rows.append(beside(size, loss, arguments.against))
            else:
                rows.append((alone if arguments.once else compare)(size, loss))
            print(line(rows[-1]), flush=True)
    if arguments.out:
        result = {**provenance(), "rows": rows}
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
