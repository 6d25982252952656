"""The metric-learning losses as whole n x n matrices, as their public code writes them.

Peers for `benchmarks/losses.py` where no library has the loss: one matrix of similarities, masks of
the same size, row sums, autograd. Exact logarithms and means over anchors as in `common.losses`, so
that the values can be compared. Not tuned, but without needless passes.
"""

import torch
from torch import Tensor

from common.kernels import Kernel


def _rows(z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Similarities of all rows less the largest of each row, and the mask of the others."""
    rows = torch.nn.functional.normalize(z.flatten(0, 1), dim=1)
    s = rows @ rows.T / temperature
    s = s - s.detach().max(dim=1, keepdim=True).values
    return s, ~torch.eye(len(s), dtype=torch.bool, device=z.device)


def _same(group: Tensor, views: int) -> Tensor:
    of_row = group.repeat_interleave(views)
    return of_row[:, None] == of_row


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    s, others = _rows(z, temperature)
    partner = torch.arange(len(s), device=z.device) ^ 1
    return torch.nn.functional.cross_entropy(s.masked_fill(~others, -torch.inf), partner)


def sup_con(z: Tensor, label: Tensor, temperature: float, epsilon: float = 0.0) -> Tensor:
    s, others = _rows(z, temperature)
    positive = _same(label, z.shape[1]) & others
    exponentials = s.exp() * others
    if epsilon:
        exponentials = exponentials * torch.where(positive, 2.718281828459045**-epsilon, 1.0)
    log_probability = s - exponentials.sum(dim=1, keepdim=True).log()
    count = positive.sum(dim=1).clamp(min=1)
    return -((positive * log_probability).sum(dim=1) / count).mean()


def sup_info_nce(
    z: Tensor, label: Tensor, temperature: float, epsilon: float, form: str = "out"
) -> Tensor:
    s, others = _rows(z, temperature)
    positive = _same(label, z.shape[1]) & others
    exponentials = s.exp() * others
    negatives = (exponentials * ~positive).sum(dim=1, keepdim=True)
    margin = 2.718281828459045**-epsilon
    count = positive.sum(dim=1, keepdim=True).clamp(min=1)
    if form == "in":
        total = (exponentials * positive).sum(dim=1, keepdim=True)
        return -(total / (margin * total / count + negatives)).log().mean()
    log_probability = s - (margin * exponentials * positive + negatives).log()
    return -((positive * log_probability).sum(dim=1, keepdim=True) / count).mean()


def kernel_contrastive(
    z: Tensor,
    y: Tensor,
    kernel: Kernel,
    temperature: float,
    repulsion: str = "all",
    variant: str = "paper",
) -> Tensor:
    s, others = _rows(z, temperature)
    w = kernel(y, y).repeat_interleave(z.shape[1], 0).repeat_interleave(z.shape[1], 1)
    if variant == "paper" and repulsion != "all":
        s = s + 1 / temperature  # the largest, that of the anchor itself
    if repulsion == "all":
        denominator = (s.exp() * others).sum(dim=1, keepdim=True)
    elif repulsion == "exponential":
        terms = (s * (1 - w)).exp() * others
        total = terms.sum(dim=1, keepdim=True)
        denominator = total - terms if variant == "paper" else total
    else:
        exponentials = s.exp() * others
        less = w[:, None, :] < w[:, :, None]  # (i, k, t) and, released, (t, i, q)
        if variant == "paper":
            denominator = (exponentials[:, None, :] * less).sum(dim=2)
        else:
            denominator = (exponentials * less.sum(dim=2).T).sum(dim=1, keepdim=True)
    weights = w * others
    kept = weights * (denominator > 0)
    logs = denominator.where(denominator > 0, 1).log()
    return -((kept * (s - logs)).sum(dim=1) / weights.sum(dim=1)).mean()


def fairkl(z: Tensor, label: Tensor, bias: Tensor, statistic: str, variant: str) -> Tensor:
    z = z[:, :1] if variant == "released" else z
    rows = torch.nn.functional.normalize(z.flatten(0, 1), dim=1)
    s = rows @ rows.T
    others = ~torch.eye(len(s), dtype=torch.bool, device=z.device)
    if statistic == "distance" and variant != "released":
        s = (2 - 2 * s).masked_fill(~others, 1).clamp(min=1e-12).sqrt()
    positive, aligned = _same(label, z.shape[1]), _same(bias, z.shape[1])
    groups = (positive & aligned, positive & ~aligned, ~positive & aligned, ~positive & ~aligned)
    mean, spread = [], []
    for group in groups:
        if variant == "released":
            masked = s * group
            mean.append(masked.sum() / group.sum().clamp(min=1))
            spread.append(masked.std())
        else:
            chosen = s[group & others]
            mean.append(chosen.mean())
            spread.append(chosen.var(unbiased=False))
    if variant == "released":
        means = (mean[1] - mean[0]) ** 2 + (mean[2] - mean[3]) ** 2
        spreads = (spread[0] - spread[1]) ** 2 + (spread[2] - spread[3]) ** 2
        return means + spreads - mean[1] + mean[2]
    terms = [
        0.5
        * ((spread[a] + (mean[a] - mean[c]) ** 2) / spread[c] - (spread[a] / spread[c]).log() - 1)
        for a, c in ((0, 1), (2, 3))
    ]
    return terms[0] + terms[1]
