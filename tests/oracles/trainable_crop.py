"""CRL-TAC with every crop, draw, gradient and update written out.

The networks are single matrices: f = tanh(crop F), h = f G at unit length, logits of the channel
x C. Nothing here knows of methods, optimisers or engines.
"""

import torch
from torch import Tensor

from tests.oracles.info_max_bound import info_max_bound

Weights = dict[str, Tensor]


def crops(image: Tensor, size: int, stride: int) -> list[Tensor]:
    """All crops of ``image (C, H, W)``, row by row from the top left."""
    starts = range(0, image.shape[-1] - size + 1, stride)
    return [image[:, i : i + size, j : j + size] for i in starts for j in starts]


def channel(image: Tensor, w: Weights) -> Tensor:
    """P(T | x) of one image."""
    logits = (image.flatten() @ w["C"]).exp()
    return logits / logits.sum()


def features(crop: Tensor, w: Weights) -> Tensor:
    return torch.tanh(crop.flatten() @ w["F"])


def unit(crop: Tensor, w: Weights) -> Tensor:
    h = features(crop, w) @ w["G"]
    return h / h.norm() if h.any() else h


def looks(x: Tensor, index: list[list[int]], w: Weights, size: int, stride: int) -> Tensor:
    """h of the crops numbered `index`, image by image: (images, crops, D)."""
    rows = [
        torch.stack([unit(crops(image, size, stride)[t], w) for t in chosen])
        for image, chosen in zip(x, index)
    ]
    return torch.stack(rows)


def entropy(p: Tensor) -> Tensor:
    return -torch.stack([value * value.log() for value in p if value > 0]).sum()


def merged(image: Tensor, p: Tensor, chosen: list[int], size: int, stride: int) -> Tensor:
    """P of the crops numbered `chosen`, the black ones' in sum at the first of them."""
    given: dict[int, Tensor] = {}
    black = None
    for place, t in enumerate(chosen):
        given[place] = p[t]
        if not crops(image, size, stride)[t].any():
            if black is not None:
                given[black] = given[black] + p[t]
                given[place] = torch.zeros_like(p[t])
            else:
                black = place
    return torch.stack([given[place] for place in range(len(chosen))])


def step(
    x: Tensor,
    drawn: list[list[int]],
    seen: list[list[int]],
    w: Weights,
    grid: tuple[int, int],
    settings: dict[str, float],
    merge: bool = True,
) -> Weights:
    """Return the weights after one step of plain gradient descent in each phase.

    Args:
        x: (images, C, H, W).
        drawn: crops of each image in the encoder phase.
        seen: crops in the channel phase, of the first images only where it is shorter.
        w: "F", "G" and "C".
        grid: side and stride of the crops.
        settings: "beta", "lambda", and the rates "encoder" and "policy".
        merge: black crops of an image are one.
    """
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    equal = torch.full((len(x), len(drawn[0])), 1 / len(drawn[0]), dtype=x.dtype)
    loss = info_max_bound(looks(x, drawn, w, *grid), settings["beta"], equal)
    for name, slope in zip("FG", torch.autograd.grad(loss, [w["F"], w["G"]])):
        w[name] = (w[name] - settings["encoder"] * slope).detach()
    p = torch.stack([channel(image, w) for image in x[: len(seen)]])
    every = list(range(p.shape[1]))
    if merge:
        some = [merged(*row, *grid) for row in zip(x, p, seen)]
        p = torch.stack([merged(image, row, every, *grid) for image, row in zip(x, p)])
    else:
        some = [row[chosen] for row, chosen in zip(p, seen)]
    weight = torch.stack([row / row.sum() for row in some])
    loss = info_max_bound(looks(x[: len(seen)], seen, w, *grid), settings["beta"], weight)
    loss = loss - settings["lambda"] * torch.stack([entropy(row) for row in p]).mean()
    (slope,) = torch.autograd.grad(loss, [w["C"]])
    return {**w, "C": (w["C"] - settings["policy"] * slope).detach()}
