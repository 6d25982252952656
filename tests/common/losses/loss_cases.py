"""Every loss with settings, and a batch for it, for the suites that all losses share."""

import torch
from torch import Tensor, nn

from common.kernels import Delta, Gaussian
from common.losses import (
    DecoupledInfoNCE,
    DecoupledUniformity,
    EnD,
    FairKL,
    Hinge,
    InfoNCE,
    KernelContrastive,
    SupCon,
    SupInfoNCE,
)

KERNEL = Gaussian(5.0)


def contrastive(temperature: float, epsilon: float) -> dict[str, nn.Module]:
    """Every loss that has a temperature, or the inverse of one."""
    cases: dict[str, nn.Module] = {
        "InfoNCE": InfoNCE(temperature),
        "epsilon-InfoNCE": InfoNCE(temperature, epsilon),
        "DecoupledInfoNCE": DecoupledInfoNCE(temperature),
        "SupInfoNCE out": SupInfoNCE(temperature, epsilon),
        "SupInfoNCE in": SupInfoNCE(temperature, epsilon, form="in"),
        "SupCon": SupCon(temperature),
        "epsilon-SupCon": SupCon(temperature, epsilon),
        "y-aware": KernelContrastive(KERNEL, temperature),
        "delta": KernelContrastive(Delta(), temperature),
        "decoupled uniformity": DecoupledUniformity(1 / temperature),
        "kernel decoupled uniformity": DecoupledUniformity(1 / temperature, KERNEL),
    }
    for repulsion in ("threshold", "exponential"):
        for variant in ("paper", "released"):
            cases[f"{repulsion} {variant}"] = KernelContrastive(
                KERNEL,
                temperature,
                repulsion,  # type: ignore[arg-type]
                variant,  # type: ignore[arg-type]
            )
    return cases


REGULARIZERS: dict[str, nn.Module] = {
    "FairKL distance": FairKL(variance_floor=0.01),
    "FairKL similarity": FairKL("similarity", variance_floor=0.01),
    "FairKL moments": FairKL(variant="moments", kld=2.0),
    "FairKL similarity moments": FairKL("similarity", "moments"),
    "FairKL released": FairKL(variant="released", kld=2.0),
    "EnD": EnD(0.3, 0.7),
}
HINGES: dict[str, nn.Module] = {"hinge max": Hinge(0.2), "hinge sum": Hinge(0.2, "sum")}
EVERY: dict[str, nn.Module] = contrastive(0.3, 0.2) | REGULARIZERS | HINGES


def supported_views(loss: nn.Module) -> tuple[int, ...]:
    """Numbers of views the loss takes: most take any."""
    if isinstance(loss, DecoupledInfoNCE):
        return (2,)
    return (2, 3) if isinstance(loss, InfoNCE | DecoupledUniformity) else (1, 2, 3)


def views(
    subjects: int = 6, n_views: int = 2, size: int = 5, dtype: torch.dtype = torch.double
) -> Tensor:
    generator = torch.Generator().manual_seed(subjects + 10 * n_views)
    return torch.randn(subjects, n_views, size, generator=generator, dtype=torch.double).to(dtype)


def targets(loss: nn.Module, subjects: int) -> dict[str, Tensor]:
    """What `loss` reads: a class of one member, equal ages, all four groups of pairs."""
    subject = torch.arange(subjects)
    columns = {
        "label": torch.where(subject == 1, 7, subject * 5 % 3 % 2),
        "bias": subject * 3 % 4 % 2 + subject % 3 // 2,
        "y": 20.0 + subject * 7 % 5 * 3,
        "prior": 20.0 + subject * 7 % 5 * 3,
    }
    return {name: columns[name] for name in loss.targets}  # type: ignore[union-attr]


def value(loss: nn.Module, z: Tensor) -> Tensor:
    result: Tensor = loss(z, **targets(loss, len(z)))
    return result


def gradient(loss: nn.Module, z: Tensor) -> Tensor:
    leaf = z.detach().clone().requires_grad_()
    value(loss, leaf).backward()
    assert leaf.grad is not None
    return leaf.grad
