"""Features of whole data sets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.networks import ImageClassifier

__all__ = ["Embedded", "embed"]


@dataclass(frozen=True)
class Embedded:
    """N images as an encoder sees them.

    Attributes:
        h: ``(N, F)`` representations.
        logits: ``(N, classes)``.
        label: ``(N,)``, -1 = not labelled.
        fold: ``(N,)`` hold-out set of each image; 0 where the manifest has none.
        patient: ``(N,)`` patient of each image.
    """

    h: NDArray[np.float32]
    logits: NDArray[np.float32]
    label: NDArray[np.int64]
    fold: NDArray[np.int64]
    patient: NDArray[np.str_]


@torch.no_grad()
def embed(
    network: ImageClassifier, batches: Iterable[Mapping[str, Any]], device: str | torch.device
) -> Embedded:
    """Run a classifier in evaluation mode over all batches.

    Args:
        network: the classifier; left in evaluation mode.
        batches: dicts with "image" ``(B, C, *spatial)``, "label", and "fold" and "patient" if any.
        device: where the network is.

    Returns:
        The features in the order of the batches.
    """
    network.eval()
    columns: dict[str, list[Any]] = {"h": [], "logits": [], "label": [], "fold": [], "patient": []}
    for batch in batches:
        h = network.encode(batch["image"].to(device))
        columns["h"].append(h.float().cpu().numpy())
        columns["logits"].append(network.head(h).float().cpu().numpy())
        columns["label"].extend(int(value) for value in batch["label"])
        count = len(h)
        columns["fold"].extend(int(value) for value in batch.get("fold", [0] * count))
        columns["patient"].extend(str(value) for value in batch.get("patient", [""] * count))
    return Embedded(
        np.concatenate(columns["h"]),
        np.concatenate(columns["logits"]),
        np.array(columns["label"], dtype=np.int64),
        np.array(columns["fold"], dtype=np.int64),
        np.array(columns["patient"], dtype=np.str_),
    )
