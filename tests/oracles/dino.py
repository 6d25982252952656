"""DINO from its formulas: the loss pair by pair, the schedules, and training steps written out.

The loss and the schedules know nothing of PyTorch. The steps use its derivatives only: the encoder
is ``tanh(mean of the pixels @ F)``, the head one linear layer and prototypes, AdamW is spelt out.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Logits = NDArray[np.float64]
Weights = dict[str, Tensor]


def softmax(row: Sequence[float]) -> list[float]:
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def loss(z: Logits, teacher: Logits, center: Logits, warm: float, sharp: float) -> float:
    """Mean over subjects, teacher's views u and student's views v != u of -sum_k q_uk log p_vk."""
    terms = []
    for student_views, teacher_views in zip(z, teacher):
        for u, row in enumerate(teacher_views):
            q = softmax([(value - c) / sharp for value, c in zip(row, center)])
            for v, other in enumerate(student_views):
                if u != v:
                    p = softmax([value / warm for value in other])
                    terms.append(-sum(a * math.log(b) for a, b in zip(q, p)))
    return sum(terms) / len(terms)


def center(old: Logits, teacher: Logits, momentum: float) -> Logits:
    """The old centre, moved towards the mean logit of every prototype."""
    new = []
    for k, value in enumerate(old):
        logits = [float(row[k]) for views in teacher for row in views]
        new.append(momentum * value + (1 - momentum) * sum(logits) / len(logits))
    return np.array(new)


def cosine(start: float, end: float, epochs: int, per_epoch: int, warmup: int = 0) -> list[float]:
    """Every iteration's value: from 0 to start over the warm-up, then half a cosine to the end."""
    first, total = warmup * per_epoch, epochs * per_epoch
    rising = [start * i / (first - 1) if first > 1 else 0.0 for i in range(first)]
    rest = total - first
    falling = [end + 0.5 * (start - end) * (1 + math.cos(math.pi * i / rest)) for i in range(rest)]
    return rising + falling


def forward(x: Tensor, w: Weights) -> Tensor:
    """Cosines of a view's projection with the prototypes."""
    h = torch.tanh(x.mean(dim=(2, 3)) @ w["F"])
    p = h @ w["W"].T + w["b"]
    unit = p / (p * p).sum(dim=1, keepdim=True).sqrt()
    return unit @ (w["V"] / (w["V"] * w["V"]).sum(dim=1, keepdim=True).sqrt()).T


def cross_entropy(student: list[Tensor], teacher: list[Tensor], c: Tensor, sharp: float) -> Tensor:
    terms = []
    for u, t in enumerate(teacher):
        q = ((t - c) / sharp).softmax(dim=1)
        for v, s in enumerate(student):
            if u != v:
                terms.append(-(q * (s / 0.1).log_softmax(dim=1)).sum(dim=1).mean())
    return torch.stack(terms).mean()


def train(
    batches: list[list[Tensor]],
    w: Weights,
    rates: Sequence[float],
    decays: Sequence[float],
    momenta: Sequence[float],
    sharp: Sequence[float],
    frozen: Sequence[bool],
    clip: float,
) -> tuple[Weights, Weights, Tensor, list[float]]:
    """Student, teacher, centre and the loss of every step; the first two views are global."""
    student = {name: value.clone() for name, value in w.items()}
    teacher = {name: value.clone() for name, value in w.items()}
    c = torch.zeros(1, len(w["V"]), dtype=torch.double)
    first = {name: torch.zeros_like(value) for name, value in w.items()}
    second = {name: torch.zeros_like(value) for name, value in w.items()}
    updates = dict.fromkeys(w, 0)
    losses = []
    for step, views in enumerate(batches):
        student = {name: value.detach().requires_grad_() for name, value in student.items()}
        t = [forward(x, teacher).detach() for x in views[:2]]
        value = cross_entropy([forward(x, student) for x in views], t, c, sharp[step])
        losses.append(float(value.detach()))
        c = 0.9 * c + 0.1 * torch.cat(t).mean(dim=0, keepdim=True)
        value.backward()
        for name, weight in student.items():
            if name == "V" and frozen[step]:
                continue
            gradient = weight.grad
            assert gradient is not None
            length = float((gradient * gradient).sum().sqrt())
            gradient = gradient * min(1.0, clip / (length + 1e-6))
            updates[name] += 1
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient * gradient
            m = first[name] / (1 - 0.9 ** updates[name])
            v = second[name] / (1 - 0.999 ** updates[name])
            decay = decays[step] if name != "b" else 0.0
            kept = weight.detach() * (1 - rates[step] * decay)
            student[name] = kept - rates[step] * m / (v.sqrt() + 1e-8)
        for name, weight in student.items():
            share = momenta[step]
            teacher[name] = share * teacher[name] + (1 - share) * weight.detach()
    return {name: value.detach() for name, value in student.items()}, teacher, c, losses
