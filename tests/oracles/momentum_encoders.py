"""What BYOL, MoCo and their relatives minimise, and LARS, entry by entry from the formulas.

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


def nearest(row: Tensor, queue: Tensor) -> Tensor:
    """The row of the queue with the largest cosine, found one by one."""
    best = queue[0]
    for candidate in queue:
        if cosine_of(row, candidate) > cosine_of(row, best):
            best = candidate
    return best


def units(rows: Tensor) -> Tensor:
    return torch.stack([row.detach() / row.norm() for row in rows])


def simsiam_step(views: tuple[Tensor, Tensor], w: Weights, rate: float) -> Weights:
    """Weights F, G, Q after one step of plain gradient descent."""
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    loss = torch.zeros((), dtype=torch.double)
    for seen, other in (views, views[::-1]):
        p, z = project(seen, w) @ w["Q"], project(other, w).detach()
        for i in range(len(seen)):
            loss = loss - cosine_of(p[i], z[i]) / (2 * len(seen))
    return _descended(w, loss, {}, rate, 0.0)[0]


def nnclr_step(
    views: tuple[Tensor, Tensor], w: Weights, queue: Tensor, rate: float, temperature: float
) -> tuple[Weights, Tensor]:
    """Weights F, G, Q and the rows that enter the queue."""
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    loss = torch.zeros((), dtype=torch.double)
    for seen, other in (views, views[::-1]):
        z, p = project(seen, w), project(other, w) @ w["Q"]
        for i in range(len(z)):
            n = nearest(z[i].detach(), queue)
            s = torch.stack([cosine_of(n, row) for row in p]) / temperature
            loss = loss - (s[i].exp() / s.exp().sum()).log() / (2 * len(z))
    entering = units(project(views[0], w))
    return _descended(w, loss, {}, rate, 0.0)[0], entering


def nnbyol_step(
    views: tuple[Tensor, Tensor], w: Weights, slow: Weights, queue: Tensor, rate: float, m: float
) -> tuple[Weights, Weights, Tensor]:
    """Weights F, G, Q, the slow F, G, and the rows that enter the queue."""
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    loss = torch.zeros((), dtype=torch.double)
    for seen, other in (views, views[::-1]):
        p, z = project(seen, w) @ w["Q"], project(other, slow)
        for i in range(len(seen)):
            loss = loss + (2 - 2 * cosine_of(p[i], nearest(z[i], queue))) / len(seen)
    entering = units(project(views[0], slow))
    return *_descended(w, loss, slow, rate, m), entering


def re_ssl_step(
    views: tuple[Tensor, Tensor],
    w: Weights,
    slow: Weights,
    queue: Tensor,
    settings: tuple[float, float, float, float],
) -> tuple[Weights, Weights, Tensor]:
    """Weights F, G, the slow ones, and the new keys, after one step of (rate, m, T, T_t)."""
    rate, momentum, temperature, teacher = settings
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    q, k = project(views[0], w), units(project(views[1], slow))
    loss = torch.zeros((), dtype=torch.double)
    for i in range(len(q)):
        s = torch.stack([cosine_of(q[i], n) for n in queue]) / temperature
        t = torch.stack([cosine_of(k[i], n) for n in queue]) / teacher
        loss = loss - (t.softmax(0) * (s.exp() / s.exp().sum()).log()).sum() / len(q)
    return *_descended(w, loss, slow, rate, momentum), k


def _descended(
    w: Weights, loss: Tensor, slow: Weights, rate: float, momentum: float
) -> tuple[Weights, Weights]:
    slopes = torch.autograd.grad(loss, list(w.values()))
    after = {name: (w[name] - rate * slope).detach() for name, slope in zip(w, slopes)}
    return after, {name: momentum * slow[name] + (1 - momentum) * after[name] for name in slow}
