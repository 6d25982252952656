"""Time, memory and error of Decoupled Uniformity beside the explicit inverse of its kernel.

One forward and backward pass over ``size x 2 views x 128`` on one CPU thread, with a Gaussian
kernel (sigma 10) on a prior of 128 standard normal columns, and without a prior::

    python benchmarks/decoupled_uniformity.py --out benchmarks/results/decoupled_uniformity.json

The peer is the form of the public code: a kernel from squared lengths and a product, the inverse of
K + lambda I times K, detached, and ``pdist`` of what it makes of the centroids; in float32, as
there, and in float64. Times are the best of the repetitions, the forms taking turns in one process,
after one warm-up pass each; memory is measured as in `benchmarks/losses.py`. Linux only.

The error is that of the smoothed centroids of 1,024 subjects in float32, relative to the inverse in
float64 (Frobenius norms), for narrow and wide kernels on the prior and on ages from 20 to 80.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from costs import STRICT_ALLOCATION, apart, best_times, cost
from torch import Tensor

from common.kernels import Gaussian
from common.losses import DecoupledUniformity
from common.losses.decoupled_uniformity import _smoothed

SIZES = (256, 1024, 4096)
DIMENSIONS = 128
SIGMA, T, REGULARIZATION = 10.0, 2.0, 0.01

Loss = Callable[[Tensor, Tensor], Tensor]


def smoothed(mu: Tensor, prior: Tensor, sigma: float) -> Tensor:
    """Compute alpha mu by the inverse, as the public code writes it."""
    length = prior.square().sum(dim=1)[:, None]
    kernel = torch.exp(-(length + length.T - 2 * prior @ prior.T) / (2 * sigma**2))
    eye = torch.eye(len(mu), dtype=kernel.dtype)
    return (torch.inverse(kernel + REGULARIZATION * eye) @ kernel).detach() @ mu


def uniformity(z: Tensor, prior: Tensor | None) -> Tensor:
    """Compute the loss with whole matrices, as its public code writes it."""
    mu = torch.nn.functional.normalize(z, dim=-1).mean(dim=1)
    if prior is not None:
        mu = smoothed(mu, prior, SIGMA)
    return torch.pdist(mu).square().mul(-T).exp().mean().log()


KERNEL = DecoupledUniformity(T, Gaussian(SIGMA), REGULARIZATION)
ALONE = DecoupledUniformity(T)
CASES: dict[str, dict[str, Loss]] = {
    "Gaussian": {
        "ours": lambda z, prior: KERNEL(z, prior),
        "inverse float32": uniformity,
        "inverse float64": lambda z, prior: uniformity(z.double(), prior.double()),
    },
    "none": {
        "ours": lambda z, _: ALONE(z),
        "whole float32": lambda z, _: uniformity(z, None),
    },
}


def one_pass(loss: Loss, size: int) -> Callable[[], float]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(size, 2, DIMENSIONS, generator=generator).requires_grad_()
    prior = torch.randn(size, DIMENSIONS, generator=generator)

    def run() -> float:
        z.grad = None
        value = loss(z, prior)
        value.backward()
        return float(value.detach())

    return run


def times(kernel: str, size: int) -> dict[str, dict[str, float]]:
    return best_times({form: one_pass(loss, size) for form, loss in CASES[kernel].items()})


def peak_memory(kernel: str, form: str, size: int) -> int:
    one_pass(CASES[kernel][form], 16)()
    return cost(one_pass(CASES[kernel][form], size)).bytes


def measured(kernel: str, form: str, size: int) -> Any:
    """Measure times (no form) or the memory of one form, in a process of its own."""
    environment = {"OMP_NUM_THREADS": "1"} | (STRICT_ALLOCATION if form else {})
    return apart(__file__, ["--measure", kernel, form, str(size)], environment)


def row(kernel: str, size: int) -> dict[str, Any]:
    """Measure one size; the exact forms must agree."""
    timed = measured(kernel, "", size)
    values = timed["values"]
    peer = list(values)[-1]
    if abs(values["ours"] - values[peer]) > 1e-5 * max(1, abs(values[peer])):
        sys.exit(f"{kernel}, size {size}: the losses differ: {values}")
    used = {form: measured(kernel, form, size) for form in values}
    return {"size": size, "prior": kernel, "bytes": used, **timed}


def lines(measurement: dict[str, Any]) -> list[str]:
    """Write a line of the table for each form, with the ratios of the peers to ours."""
    seconds, used = measurement["seconds"], measurement["bytes"]
    table = []
    for form in seconds:
        cells = [f"{measurement['size']:,}", measurement["prior"], form]
        cells += [f"{seconds[form] * 1e3:,.1f}", f"{used[form] / 1e6:,.1f}"]
        cells += [f"{measurement['values'][form]:.6f}"]
        if form == "ours":
            cells += ["", ""]
        else:
            cells += [f"{seconds[form] / seconds['ours']:.3g} x"]
            cells += [f"{used[form] / max(used['ours'], 1):.3g} x"]
        table.append(f"| {' | '.join(cells)} |")
    return table


def errors() -> list[dict[str, Any]]:
    """Measure what float32 costs the centroids, by either way."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1024, 2, DIMENSIONS, generator=generator)
    mu = torch.nn.functional.normalize(z, dim=-1).mean(dim=1)
    embedding = torch.randn(1024, DIMENSIONS, generator=generator)
    ages = torch.rand(1024, 1, generator=generator) * 60 + 20
    rows = []
    for name, prior, sigmas in (("embedding", embedding, (3, 10, 100)), ("age", ages, (1, 5, 20))):
        for sigma in sigmas:
            exact = smoothed(mu.double(), prior.double(), sigma)
            ours = _smoothed(mu, Gaussian(sigma), prior, REGULARIZATION)
            forms = {"ours": ours, "inverse float32": smoothed(mu, prior, sigma)}
            apart = {form: float((a - exact).norm() / exact.norm()) for form, a in forms.items()}
            rows.append({"prior": name, "sigma": sigma, "error": apart})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure:
        kernel, form, size = arguments.measure
        call = peak_memory(kernel, form, int(size)) if form else times(kernel, int(size))
        print(json.dumps(call))
        return
    print("| size | prior | form | ms | MB | loss | ours is faster | ours is smaller |")
    print("|---:|---|---|---:|---:|---:|---:|---:|")
    rows = []
    for size in arguments.sizes:
        for kernel in CASES:
            rows.append(row(kernel, size))
            print(*lines(rows[-1]), sep="\n", flush=True)
    print("\n| prior | sigma | error of ours | of the inverse in float32 |\n|---|---:|---:|---:|")
    precision = errors()
    for precise in precision:
        both = " | ".join(f"{error:.1e}" for error in precise["error"].values())
        print(f"| {precise['prior']} | {precise['sigma']} | {both} |")
    if arguments.out:
        versions = {"torch": torch.__version__, "python": platform.python_version()}
        whole = {"versions": versions, "rows": rows, "errors": precision}
        arguments.out.write_text(json.dumps(whole, indent=2) + "\n")


if __name__ == "__main__":
    main()
