"""FedAvg: the average of what clients learned, weighted by their images, a round after the other.

McMahan et al., Communication-efficient learning of deep networks from decentralized data, 2017
(https://arxiv.org/abs/1602.05629). The loop runs in one process, for tests, benchmarks and trying
out; between hospitals a federation's own server averages (`common.federated.flare`).
"""

from collections.abc import Collection, Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from monai.fl.client import ClientAlgo
from monai.fl.utils.constants import FlStatistics, WeightType
from monai.fl.utils.exchange_object import ExchangeObject
from torch import Tensor

from common.checks import require

__all__ = ["average", "federated_averaging"]

CURE = "Run the same bundle with the same dials everywhere."


def average(
    states: Sequence[Mapping[str, Tensor]], images: Sequence[int], clients: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Return ``sum_k n_k w_k / sum_k n_k``, tensor by tensor, summed in float64.

    An average of whole numbers, such as counters of batches, is rounded to the nearest.

    Args:
        states: name -> tensor of each client: the same names, shapes and types, finite.
        images: n_k, at least 0 and not all 0.
        clients: their names, for errors; numbers from 1 unless given.

    Raises:
        InputError: none, other tensors, NaN or infinity, or numbers of images that are none.

    >>> average([{"w": torch.zeros(2)}, {"w": torch.ones(2)}], [1, 3])["w"]
    tensor([0.7500, 0.7500])
    """
    require(
        len(states) == len(images) > 0
        and all(isinstance(count, Integral) and count >= 0 for count in images)
        and sum(images) > 0,
        f"average: images must be a number for each client, not all 0, got {list(images)} for "
        f"{len(states)} clients.",
    )
    named = dict(zip(clients or range(1, len(states) + 1), states, strict=True))
    for client, state in named.items():
        _require_alike(f"average: client {client}", state, states[0])
    shares = [count / sum(images) for count in images]
    return {name: _sum([state[name] for state in states], shares) for name in states[0]}


def federated_averaging(
    clients: Mapping[str, ClientAlgo],
    weights: Mapping[str, Tensor],
    rounds: int,
    evaluate: bool = False,
) -> tuple[dict[str, Tensor], list[dict[str, dict[str, Any]]]]:
    """Train `clients` from `weights`, averaging after each round.

    Args:
        clients: name -> a client that was initialised, such as `BundleAlgo`.
        weights: where all begin.
        rounds: at least 1.
        evaluate: also evaluate each average at every client.

    Returns:
        The last average, and for each round the metrics by client, empty without `evaluate`.
    """
    require(rounds >= 1, f"rounds: must be at least 1, got {rounds}.")
    require(len(clients) > 0, "clients: must be at least one, got none.")
    everyones = dict(weights)
    history: list[dict[str, dict[str, Any]]] = []
    for _ in range(rounds):
        states, images = [], []
        for name, client in clients.items():
            client.train(ExchangeObject(weights=dict(everyones)))
            sent = client.get_weights()
            states.append(_full(name, sent, everyones))
            images.append(_count(name, sent))
        everyones = average(states, images, list(clients))
        history.append(
            {
                name: dict(client.evaluate(ExchangeObject(weights=dict(everyones))).metrics or {})
                for name, client in clients.items()
                if evaluate
            }
        )
    return everyones, history


def _count(client: str, sent: ExchangeObject) -> int:
    count: Any = (sent.statistics or {}).get(FlStatistics.DATA_COUNT)
    require(
        isinstance(count, Integral),
        f"average: client {client} must say how many images it has (statistics, "
        f"{FlStatistics.DATA_COUNT}), got {count!r}.",
    )
    return int(count)


def _full(client: str, sent: ExchangeObject, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = sent.weights or {}
    if sent.weight_type == WeightType.WEIGHT_DIFF:
        _require_alike(f"average: client {client}", weights, before)
        return {name: before[name] + change for name, change in weights.items()}
    return weights


def _require_alike(who: str, state: Mapping[str, Tensor], first: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other names, shapes or types, and those that are not finite."""
    require(
        set(state) == set(first),
        f"{who} must share the same tensors as the others, got others"
        f"{_some(set(state) ^ set(first))}. {CURE}",
    )
    for name, value in state.items():
        own = (tuple(value.shape), value.dtype)
        others = (tuple(first[name].shape), first[name].dtype)
        require(
            own == others,
            f"{who} must share {name} with shape and type {others}, got {own}. {CURE}",
        )
        require(
            bool(torch.isfinite(value).all()),
            f"{who} must share finite numbers, got NaN or infinity in {name}. Lower its learning "
            "rates, or leave it out.",
        )


def _some(names: Collection[str]) -> str:
    return f" ({min(names)} ...)" if names else ""


def _sum(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    wide = torch.complex128 if tensors[0].is_complex() else torch.float64
    total = torch.zeros(tensors[0].shape, dtype=wide)
    for tensor, share in zip(tensors, shares, strict=True):
        total += share * tensor.detach().cpu().to(wide)
    real = tensors[0].is_floating_point() or tensors[0].is_complex()
    return (total if real else total.round()).to(tensors[0])
