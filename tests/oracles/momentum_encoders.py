"""What BYOL and MoCo minimise, and LARS, entry by entry from the formulas.

Loops over lists of numbers in float64; the two training steps are plain tensors and autograd, and
know nothing of methods, optimisers or engines.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.oracles.losses import cosine

Views = NDArray[np.float64]
Weights = dict[str, Tensor]


def negative_cosine(prediction: Views, target: Views) -> float:
    """Mean over subjects and ordered pairs of different views of -cos(p_u, z_v)."""
    terms = []
    for p, z in zip(prediction, target):
        for u in range(len(p)):
            for v in range(len(z)):
                if u != v:
                    terms.append(-cosine(p[u], z[v]))
    return sum(terms) / len(terms)


def moco(z: Views, key: Views, queue: Views, temperature: float) -> float:
    """Mean over queries of -log(e^{q k / T} / (e^{q k / T} + sum over n of e^{q n / T}))."""
    terms = []
    for queries, keys in zip(z, key):
        for q, k in zip(queries, keys):
            positive = math.exp(cosine(q, k) / temperature)
            negatives = sum(math.exp(cosine(q, n) / temperature) for n in queue)
            terms.append(-math.log(positive / (positive + negatives)))
    return sum(terms) / len(terms)


def lars(
    weight: list[float],
    gradients: list[list[float]],
    rate: float,
    momentum: float,
    decay: float,
    trust: float,
) -> list[float]:
    """The entries of one matrix after one step for each of `gradients`."""
    weight, velocity = list(weight), [0.0] * len(weight)
    for gradient in gradients:
        length = math.sqrt(sum(w * w for w in weight))
        slope = math.sqrt(sum(g * g for g in gradient))
        scale = trust * length / (slope + decay * length) if length > 0 and slope > 0 else 1.0
        for k in range(len(weight)):
            velocity[k] = momentum * velocity[k] + scale * (gradient[k] + decay * weight[k])
            weight[k] = weight[k] - rate * velocity[k]
    return weight


def cosine_of(a: Tensor, b: Tensor) -> Tensor:
    return a @ b / (a.norm() * b.norm())


def project(x: Tensor, w: Weights) -> Tensor:
    """z = tanh(x F) G."""
    return torch.tanh(x.flatten(1) @ w["F"]) @ w["G"]


def byol_step(
    views: tuple[Tensor, Tensor], w: Weights, slow: Weights, rate: float, momentum: float
) -> tuple[Weights, Weights]:
    """Weights F, G, Q and the slow F, G after one step of plain gradient descent."""
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    loss = torch.zeros((), dtype=torch.double)
    for used, other in (views, views[::-1]):
        p, z = project(used, w) @ w["Q"], project(other, slow)
        for i in range(len(used)):
            apart = p[i] / p[i].norm() - z[i] / z[i].norm()
            loss = loss + apart.square().sum() / len(used)
    return _descended(w, loss, slow, rate, momentum)


def moco_step(
    views: tuple[Tensor, Tensor],
    w: Weights,
    slow: Weights,
    queue: Tensor,
    settings: tuple[float, float, float],
) -> tuple[Weights, Weights, Tensor]:
    """Weights F, G, the slow ones, and the new keys, after one step of (rate, momentum, T)."""
    rate, momentum, temperature = settings
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    q, k = project(views[0], w), project(views[1], slow)
    k = torch.stack([row / row.norm() for row in k])
    loss = torch.zeros((), dtype=torch.double)
    for i in range(len(q)):
        s = torch.stack([cosine_of(q[i], n) for n in [k[i], *queue]]) / temperature
        loss = loss - (s[0].exp() / s.exp().sum()).log() / len(q)
    return *_descended(w, loss, slow, rate, momentum), k


def _descended(
    w: Weights, loss: Tensor, slow: Weights, rate: float, momentum: float
) -> tuple[Weights, Weights]:
    slopes = torch.autograd.grad(loss, list(w.values()))
    after = {name: (w[name] - rate * slope).detach() for name, slope in zip(w, slopes)}
    return after, {name: momentum * slow[name] + (1 - momentum) * after[name] for name in slow}
