"""FedAvg: the average of what clients learned, weighted by their images, a round after the other.

McMahan et al., Communication-efficient learning of deep networks from decentralized data, 2017
(https://arxiv.org/abs/1602.05629). The loop runs in one process, for tests, benchmarks and trying
out; between hospitals a federation's own server averages (`common.federated.flare`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.fl.client import ClientAlgo
from monai.fl.utils.constants import FlStatistics, WeightType
from monai.fl.utils.exchange_object import ExchangeObject
from torch import Tensor

from common.checks import require

__all__ = ["average", "federated_averaging"]


def average(states: Sequence[Mapping[str, Tensor]], images: Sequence[int]) -> dict[str, Tensor]:
    """Return ``sum_k n_k w_k / sum_k n_k``, tensor by tensor, summed in float64.

    Args:
        states: name -> tensor of each client, the same names and shapes.
        images: n_k, at least 0 and not all 0.

    Raises:
        InputError: none, other names, or numbers of images that are none.

    >>> average([{"w": torch.zeros(2)}, {"w": torch.ones(2)}], [1, 3])["w"]
    tensor([0.7500, 0.7500])
    """
    require(
        len(states) == len(images) > 0 and min(images) >= 0 and sum(images) > 0,
        f"average: images must be a number for each client, not all 0, got {list(images)} for "
        f"{len(states)} clients.",
    )
    names = list(states[0])
    require(
        all(set(state) == set(names) for state in states),
        "average: clients must share the same tensors, got others. Run the same bundle with the "
        "same dials everywhere.",
    )
    shares = [count / sum(images) for count in images]
    return {name: _sum([state[name] for state in states], shares) for name in names}


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
        for client in clients.values():
            client.train(ExchangeObject(weights=dict(everyones)))
            sent = client.get_weights()
            states.append(_full(sent, everyones))
            images.append(sent.statistics[FlStatistics.DATA_COUNT])
        everyones = average(states, images)
        history.append(
            {
                name: dict(client.evaluate(ExchangeObject(weights=dict(everyones))).metrics)
                for name, client in clients.items()
                if evaluate
            }
        )
    return everyones, history


def _full(sent: ExchangeObject, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = sent.weights or {}
    if sent.weight_type == WeightType.WEIGHT_DIFF:
        return {name: before[name] + change for name, change in weights.items()}
    return weights


def _sum(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    total = torch.zeros(tensors[0].shape, dtype=torch.float64)
    for tensor, share in zip(tensors, shares):
        total += share * tensor.detach().cpu().double()
    return total.to(tensors[0])
