"""One training step of Ruppli et al. 2022, Eq. 1, with every gradient and update written out.

The networks are single matrices: h = tanh(x F), z = h G, logit = h P + b, lam = sigmoid(x M) with
the pixels of an image as the row x. Nothing here knows of methods, optimisers or engines.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Transform = Callable[[Tensor, Tensor], Tensor]
ENCODER = ("F", "G", "P", "b")


def encode(x: Tensor, w: Weights) -> Tensor:
    return torch.tanh(x.flatten(1) @ w["F"])


def choose(x: Tensor, w: Weights) -> Tensor:
    return 1 / (1 + torch.exp(-(x.flatten(1) @ w["M"])))


def contrast(moved: Tensor, plain: Tensor, w: Weights, temperature: float) -> Tensor:
    """Eq. 2: mean over i of -log(e^{s_ii} / sum_{j != i} e^{s_ij})."""
    a, b = moved @ w["G"], plain @ w["G"]
    total = torch.zeros((), dtype=a.dtype)
    for i in range(len(a)):
        s = [a[i] @ b[j] / (a[i].norm() * b[j].norm()) / temperature for j in range(len(b))]
        others = torch.stack([s[j].exp() for j in range(len(b)) if j != i]).sum()
        total = total - (s[i].exp() / others).log()
    return total / len(a)


def cross_entropy(h: Tensor, label: Tensor, w: Weights) -> Tensor:
    """Mean over the labelled images; 0 where there are none."""
    terms = []
    for row, y in zip(h, label.tolist()):
        if y >= 0:
            probability = 1 / (1 + torch.exp(-(row @ w["P"] + w["b"])))
            terms.append(-(probability if y == 1 else 1 - probability).log().squeeze())
    return torch.stack(terms).mean() if terms else 0.0 * h.sum()


def step(
    x: Tensor,
    label: Tensor,
    w: Weights,
    transform: Transform,
    alpha: tuple[float, ...],
    rates: dict[str, float],
    update: str,
    temperature: float = 1.0,
) -> Weights:
    """Return the weights after M's step and then the encoder's."""
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    before = dict(w)
    moved = encode(transform(x, choose(x, w)), w)
    loss = -alpha[0] * contrast(moved, encode(x, w), w, temperature)
    loss = loss + alpha[1] * cross_entropy(moved, label, w)
    (slope,) = torch.autograd.grad(loss, w["M"])
    w["M"] = (w["M"] - rates["policy"] * slope).detach()

    m = w if update == "alternate" else before
    moved, plain = encode(transform(x, choose(x, m)).detach(), w), encode(x, w)
    loss = alpha[2] * contrast(moved, plain, w, temperature)
    loss = (
        loss + alpha[3] * cross_entropy(moved, label, w) + alpha[4] * cross_entropy(plain, label, w)
    )
    slopes = torch.autograd.grad(loss, [w[name] for name in ENCODER], allow_unused=True)
    for name, slope in zip(ENCODER, slopes):
        if slope is not None:
            w[name] = w[name] - rates["encoder"] * slope
    return {name: value.detach() for name, value in w.items()}
