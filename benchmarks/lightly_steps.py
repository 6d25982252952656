"""Training steps of six methods with lightly's loss modules, in a plain PyTorch loop.

lightly imports torchvision, of which its losses use nothing; where that is missing, empty names
stand for it (`losses.WithoutTorchvision`).
"""

import importlib.util
import sys
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from losses import WithoutTorchvision
from torch import Tensor, nn
from torch.optim import Optimizer

if importlib.util.find_spec("torchvision") is None:
    sys.meta_path.append(WithoutTorchvision())
from lightly.loss.barlow_twins_loss import BarlowTwinsLoss
from lightly.loss.negative_cosine_similarity import NegativeCosineSimilarity
from lightly.loss.ntx_ent_loss import NTXentLoss
from lightly.loss.swav_loss import SwaVLoss
from lightly.loss.vicreg_loss import VICRegLoss
from lightly.models.modules.heads import SwaVPrototypes
from lightly.models.utils import deactivate_requires_grad, update_momentum

Step = Callable[[Tensor, Tensor], float]


def lightly_step(
    name: str,
    online: nn.Module,
    predictor: nn.Module,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
    sizes: dict[str, Any],
) -> tuple[Step, Optimizer]:
    """Return a step on two views, which gives its loss, and the optimiser that it moves.

    Args:
        name: "SimCLR", "BYOL", "MoCo v2", "Barlow Twins", "VICReg" or "SwAV".
        online: encoder and projector, trained in place.
        predictor: of BYOL; the others leave it.
        optimizer: makes one of parameters.
        sizes: "features", "queue", "prototypes" and "momentum".
    """
    slow = deepcopy(online)
    deactivate_requires_grad(slow)
    prototypes = SwaVPrototypes(sizes["features"], sizes["prototypes"])
    extra = {"BYOL": [predictor], "SwAV": [prototypes]}.get(name, [])
    made = optimizer([p for module in (online, *extra) for p in module.parameters()])
    cosine = NegativeCosineSimilarity()
    queue = NTXentLoss(temperature=0.2, memory_bank_size=(sizes["queue"], sizes["features"]))
    pairs: dict[str, Any] = {
        "SimCLR": NTXentLoss(temperature=0.2),
        "Barlow Twins": BarlowTwinsLoss(),
        "VICReg": VICRegLoss(),
    }
    swapped = SwaVLoss()

    def loss_of(first: Tensor, second: Tensor) -> Tensor:
        if name == "MoCo v2":
            return queue(online(first), slow(second))
        z = [online(first), online(second)]
        if name == "BYOL":
            keys = [slow(first), slow(second)]
            terms = [cosine(predictor(z[i]), keys[1 - i]) for i in range(2)]
            return (terms[0] + terms[1]) / 2
        if name == "SwAV":
            prototypes.normalize()
            return swapped([prototypes(nn.functional.normalize(one, dim=1)) for one in z], [])
        return pairs[name](*z)

    def step(first: Tensor, second: Tensor) -> float:
        if name in ("MoCo v2", "BYOL"):
            update_momentum(online, slow, sizes["momentum"])
        loss = loss_of(first, second)
        made.zero_grad()
        loss.backward()
        made.step()
        return float(loss.detach())

    return step, made
