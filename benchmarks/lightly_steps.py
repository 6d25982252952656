"""Training steps of seven methods with lightly's loss modules, in a plain PyTorch loop.

lightly imports torchvision, of which its losses use nothing; where that is missing, empty names
stand for it (`losses.WithoutTorchvision`).
"""

import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy

import torch
from losses import WithoutTorchvision
from torch import Tensor, nn
from torch.optim import Optimizer

if importlib.util.find_spec("torchvision") is None:
    sys.meta_path.append(WithoutTorchvision())
from lightly.loss.barlow_twins_loss import BarlowTwinsLoss
from lightly.loss.dino_loss import DINOLoss
from lightly.loss.negative_cosine_similarity import NegativeCosineSimilarity
from lightly.loss.ntx_ent_loss import NTXentLoss
from lightly.loss.swav_loss import SwaVLoss
from lightly.loss.vicreg_loss import VICRegLoss
from lightly.models.modules.heads import DINOProjectionHead, SwaVPrototypes
from lightly.models.utils import deactivate_requires_grad, update_momentum

__all__ = ["DINOProjectionHead", "Step", "SwaVPrototypes", "lightly_step"]

Step = Callable[[Tensor, Tensor], float]
LossOf = Callable[[Tensor, Tensor], Tensor]
FOLLOWED = ("MoCo v2", "BYOL", "DINO")  # by a copy of the network


def lightly_step(
    name: str,
    online: nn.Module,
    extra: nn.Module,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
    sizes: Mapping[str, float],
    joined: bool = False,
    slow: nn.Module | None = None,
) -> tuple[Step, Optimizer]:
    """Return a step on two views, which gives its loss, and the optimiser that it moves.

    Args:
        name: "SimCLR", "BYOL", "MoCo v2", "Barlow Twins", "VICReg", "DINO" or "SwAV".
        online: encoder and projector, of DINO its head, trained in place.
        extra: the predictor of BYOL, the `SwaVPrototypes` of SwAV; the others leave it.
        optimizer: makes one of parameters.
        sizes: "features" and "queue" of MoCo v2, "outputs" of DINO, "momentum" of those with one.
        joined: both views pass the network together, where the method sends both through one, not
            one after the other as in lightly's examples.
        slow: the copy of `online` that follows it; made where it is not given.
    """
    slow = deepcopy(online) if slow is None else slow
    deactivate_requires_grad(slow)
    trained = [online, extra] if name in ("BYOL", "SwAV") else [online]
    made = optimizer([p for module in trained for p in module.parameters()])
    loss_of = _loss_of(name, online, slow, extra, sizes, joined)

    def step(first: Tensor, second: Tensor) -> float:
        if name in FOLLOWED:
            update_momentum(online, slow, sizes["momentum"])
        loss = loss_of(first, second)
        made.zero_grad()
        loss.backward()
        made.step()
        return float(loss.detach())

    return step, made


def _loss_of(
    name: str,
    online: nn.Module,
    slow: nn.Module,
    extra: nn.Module,
    sizes: Mapping[str, float],
    joined: bool,
) -> LossOf:
    def both(network: nn.Module, first: Tensor, second: Tensor) -> list[Tensor]:
        if joined:
            return list(network(torch.cat([first, second])).chunk(2))
        return [network(first), network(second)]

    if name == "MoCo v2":
        bank = (int(sizes["queue"]), int(sizes["features"]))
        queue = NTXentLoss(temperature=0.2, memory_bank_size=bank)
        return lambda first, second: queue(online(first), slow(second))
    if name == "BYOL":
        cosine = NegativeCosineSimilarity()

        def byol(first: Tensor, second: Tensor) -> Tensor:
            predicted = [extra(online(view)) for view in (first, second)]
            return (cosine(predicted[0], slow(second)) + cosine(predicted[1], slow(first))) / 2

        return byol
    if name == "DINO":
        dino = DINOLoss(int(sizes["outputs"]))
        return lambda *views: dino(both(slow, *views), both(online, *views))
    if name == "SwAV":
        swapped, unit = SwaVLoss(), nn.functional.normalize

        def swav(first: Tensor, second: Tensor) -> Tensor:
            extra.normalize()
            return swapped([extra(unit(online(view), dim=1)) for view in (first, second)], [])

        return swav
    pairs = {"SimCLR": lambda: NTXentLoss(temperature=0.2), "VICReg": VICRegLoss}
    pair = pairs.get(name, BarlowTwinsLoss)()
    return lambda *views: pair(*both(online, *views))
