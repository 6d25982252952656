"""One training step of Contrastive, with every view, gradient and update written out.

The networks are single matrices: h = tanh(x F), z = h G, logits = h P + b. Nothing here knows of
methods, optimisers or engines.
"""

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def encode(x: Tensor, w: Weights) -> Tensor:
    return torch.tanh(x.flatten(1) @ w["F"])


def info_nce(views: list[Tensor], temperature: float) -> Tensor:
    """Mean over the views of all subjects and their other views; positives not among the rest."""
    rows = [(i, v, z[i] / z[i].norm()) for v, z in enumerate(views) for i in range(len(z))]
    terms = []
    for i, v, anchor in rows:
        others = [(anchor @ row / temperature).exp() for j, _, row in rows if j != i]
        for j, u, row in rows:
            if j == i and u != v:
                s = (anchor @ row / temperature).exp()
                terms.append(-(s / (s + torch.stack(others).sum())).log())
    return torch.stack(terms).mean()


def gap(views: list[Tensor], bias: Tensor) -> Tensor:
    """Squared distance between the mean representations of the two values of the bias."""
    centres = []
    for value in (0, 1):
        rows = [h[i] for h in views for i in range(len(h)) if int(bias[i]) == value]
        centres.append(torch.stack(rows).mean(dim=0))
    return ((centres[0] - centres[1]) ** 2).sum()


def cross_entropy(h: Tensor, label: Tensor, w: Weights) -> Tensor:
    """Mean over the labelled images of minus the log of the softmax."""
    terms = []
    for row, y in zip(h, label.tolist()):
        if y >= 0:
            logits = row @ w["P"] + w["b"]
            terms.append(-(logits[y].exp() / logits.exp().sum()).log())
    return torch.stack(terms).mean()


def step(
    views: list[Tensor],
    label: Tensor,
    bias: Tensor,
    w: Weights,
    weights: tuple[float, float],
    rates: dict[str, float],
    temperature: float,
) -> Weights:
    """Return the weights after one step of plain gradient descent on both losses."""
    w = {name: value.clone().requires_grad_() for name, value in w.items()}
    h = [encode(x, w) for x in views]
    loss = weights[0] * info_nce([one @ w["G"] for one in h], temperature)
    loss = loss + weights[1] * gap(h, bias)
    encoder = torch.autograd.grad(loss, [w["F"], w["G"]])
    head = torch.autograd.grad(cross_entropy(h[0].detach(), label, w), [w["P"], w["b"]])
    slopes = {"F": encoder[0], "G": encoder[1], "P": head[0], "b": head[1]}
    phase = {"F": "encoder", "G": "encoder", "P": "head", "b": "head"}
    return {name: (w[name] - rates[phase[name]] * slopes[name]).detach() for name in w}
