"""Features of whole data sets, and what is known of their images."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from common.checks import require
from common.methods import Method
from common.networks import ImageClassifier

__all__ = ["Embedded", "embed"]


SILENT = 10.0  # seconds without a bar


@dataclass(frozen=True)
class Embedded:
    """N images as an encoder sees them.

    Attributes:
        h: ``(N, F)`` representations.
        logits: ``(N, classes)``.
        columns: ``(N,)`` each: the numbers and texts that came with the images, by name.
    """

    h: NDArray[np.float32]
    logits: NDArray[np.float32]
    columns: Mapping[str, NDArray[Any]]

    @property
    def label(self) -> NDArray[np.int64]:
        """``(N,)``, -1 = not labelled."""
        return self._numbers("label", -1)

    @property
    def fold(self) -> NDArray[np.int64]:
        """``(N,)`` hold-out set of each image; 0 where the manifest has none."""
        return self._numbers("fold", 0)

    @property
    def patient(self) -> NDArray[np.str_]:
        """``(N,)`` patient of each image; every image its own where none is told."""
        return np.asarray(self.columns.get("patient", np.arange(len(self.h)))).astype(np.str_)

    @property
    def age(self) -> NDArray[np.float64]:
        """``(N,)`` years, NaN = not known."""
        return self._given("age").astype(np.float64)

    @property
    def site(self) -> NDArray[np.int64]:
        """``(N,)``, -1 = not known."""
        return self._numbers("site")

    @property
    def bias(self) -> NDArray[np.int64]:
        """``(N,)`` bias attribute, -1 = not known."""
        return self._numbers("bias")

    def within(self, training: "Embedded") -> NDArray[np.bool_]:
        """``(N,)``: whether an image is of the internal test set.

        As "split" says ("internal" or not), where it was given; else the images of a site that
        `training` has.
        """
        if "split" in self.columns:
            return np.asarray(self.columns["split"] == "internal")
        return np.isin(self.site, training.site[training.site >= 0])

    def _given(self, name: str) -> NDArray[Any]:
        require(
            name in self.columns,
            f"evaluation: the batches must hold {name!r}, got {', '.join(sorted(self.columns))}. "
            "Name it among the columns of the data set.",
        )
        return self.columns[name]

    def _numbers(self, name: str, default: int | None = None) -> NDArray[np.int64]:
        if default is not None and name not in self.columns:
            return np.full(len(self.h), default, dtype=np.int64)
        values = self._given(name)
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=-1)
        return values.astype(np.int64)


@torch.no_grad()
def embed(
    network: ImageClassifier | Method,
    batches: Iterable[Mapping[str, Any]],
    device: str | torch.device,
) -> Embedded:
    """Run a classifier in evaluation mode over all batches.

    What takes longer than ten seconds shows how far it is, on standard error.

    Args:
        network: the classifier, or the method around it; left in evaluation mode.
        batches: dicts with "image" ``(B, C, *spatial)`` and columns of ``(B,)`` numbers or texts,
            the same in every batch; other tensors are left out.
        device: where the network is.

    Returns:
        The features in the order of the batches.

    Raises:
        InputError: there is no batch.
    """
    network.eval()
    classifier = network.classifier if isinstance(network, Method) else network
    h, logits = [], []
    columns: dict[str, list[NDArray[Any]]] = {}
    interval = 0.1 if sys.stderr.isatty() else 30.0
    for batch in tqdm(batches, "encoding", unit="batch", mininterval=interval, delay=SILENT):
        features = classifier.encode(batch["image"].to(device))
        h.append(features.float().cpu().numpy())
        logits.append(classifier.head(features).float().cpu().numpy())
        for name, values in batch.items():
            if _is_column(values):
                columns.setdefault(name, []).append(np.asarray(values))
    require(
        bool(h),
        "embed: the images to encode must be at least one, got none. Choose another --part, or "
        "prepare data in which every part has images.",
    )
    return Embedded(
        np.concatenate(h),
        np.concatenate(logits),
        {name: np.concatenate(parts) for name, parts in columns.items()},
    )


def _is_column(values: Any) -> bool:
    if isinstance(values, Tensor):
        return values.ndim == 1
    return isinstance(values, list | tuple) and all(
        isinstance(v, str | int | float) for v in values
    )
