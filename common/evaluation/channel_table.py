"""All representations of all images by one `ChannelEncoder`, from one pass over their crops."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from torch import Tensor, nn

from common.networks import ChannelEncoder
from common.networks.crop_encoder import encode_crops
from common.policies import UniformCrops

__all__ = ["ChannelTable", "tabulate"]

_LEAST = 1e-6  # probability below which a crop does not count in a mean, as in ChannelEncoder
_IMAGES = 32  # whose crops are encoded at a time

Key = tuple[str, str]
Floats = NDArray[np.float32]
Batches = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class ChannelTable:
    """N images as a channel and its encoder see them.

    Attributes:
        z: ``(N, F)`` by (representation, average). The representation is "projection" or "features"
            as in `ChannelEncoder`; the average "mean", "top" (where the channel learned) or
            "oracle".
        probability: ``(N, |T|)``, P(T | x).
        touching: ``(N,)``, the share of P on crops that hold a pixel above 0.
        pixels: ``(N, C H W)``, the images themselves, sparse.
        columns: ``(N,)`` each: the numbers and texts that came with the images.
    """

    z: dict[Key, Floats]
    probability: Floats
    touching: Floats
    pixels: csr_matrix
    columns: dict[str, NDArray[Any]]

    @property
    def label(self) -> NDArray[np.int64]:
        """``(N,)``, the class of each image."""
        return self.columns["label"].astype(np.int64)

    @property
    def labelled(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The label and the patient of each image; without patients every image is its own."""
        return self.label, self.columns.get("patient", np.arange(len(self.label)))


@torch.no_grad()
def tabulate(
    encoder: ChannelEncoder,
    batches: Batches,
    device: str | torch.device,
    oracle: nn.Module | None = None,
    limit: int = 0,
) -> ChannelTable:
    """Represent all images; each crop that an average needs is encoded once for all of them.

    "mean" is the average under the encoder's channel where that has weights; where it has none, as
    in SimCLR, under the uniform one, whichever stands in the encoder.

    Args:
        encoder: on `device`; left in evaluation mode.
        batches: dicts with "image" ``(B, C, H, W)`` and columns of ``(B,)`` numbers or texts.
        device: where to compute.
        oracle: another channel, ``x -> log P``; None leaves "oracle" out.
        limit: images to take, the first; 0 for all.
    """
    look = _Look(encoder.eval(), oracle)
    z: dict[Key, list[Tensor]] = {}
    probability, touching, pixels = [], [], []
    columns: dict[str, list[NDArray[Any]]] = {}
    for batch in _first(batches, limit):
        for x in torch.split(batch["image"].to(device), _IMAGES):
            p, represented = look(x)
            for key, rows in represented.items():
                z.setdefault(key, []).append(rows.float().cpu())
            probability.append(p.float().cpu())
            lit = encoder.grid.touching(x.amax(dim=1, keepdim=True))
            touching.append((p * lit).sum(dim=1).float().cpu())
        pixels.append(csr_matrix(batch["image"].flatten(1).double().cpu().numpy()))
        for name, values in batch.items():
            if np.ndim(values) == 1:
                columns.setdefault(name, []).append(np.asarray(values))
    return ChannelTable(
        {key: torch.cat(parts).numpy() for key, parts in z.items()},
        torch.cat(probability).numpy(),
        torch.cat(touching).numpy(),
        vstack(pixels).tocsr(),
        {name: np.concatenate(parts) for name, parts in columns.items()},
    )


class _Look:
    """``x (B, C, H, W)`` -> P ``(B, |T|)`` and the representations."""

    def __init__(self, encoder: ChannelEncoder, oracle: nn.Module | None) -> None:
        self.encoder = encoder
        self.learned = next(encoder.channel.parameters(), None) is not None
        self.channel = encoder.channel if self.learned else UniformCrops(encoder.grid)
        self.oracle = oracle

    def __call__(self, x: Tensor) -> tuple[Tensor, dict[Key, Tensor]]:
        probability = self.channel(x).exp()
        weights = self._weights(x, probability)
        needed = torch.stack(list(weights.values())).amax(dim=0) > 0
        count = int(needed.sum(dim=1).max())
        index = needed.float().topk(count, dim=1).indices
        f = encode_crops(self.encoder.encoder, self.encoder.grid, x, index)
        h = nn.functional.normalize(self.encoder.projector(f), dim=-1)
        averages = {}
        for average, weight in weights.items():
            chosen = weight.gather(1, index)
            averages["features", average] = torch.einsum("bm,bmf->bf", chosen, f)
            mean = torch.einsum("bm,bmd->bd", chosen, h)
            averages["projection", average] = nn.functional.normalize(mean, dim=1)
        return probability, averages

    def _weights(self, x: Tensor, probability: Tensor) -> dict[str, Tensor]:
        """What each crop counts in each average, ``(B, |T|)``."""
        weights = {"mean": torch.where(probability > _LEAST, probability, 0)}
        if self.learned:
            top = probability.topk(self.encoder.top, dim=1).indices
            weights["top"] = torch.zeros_like(probability).scatter(1, top, 1 / self.encoder.top)
        if self.oracle is not None:
            weights["oracle"] = self.oracle(x).exp().to(probability)
        return weights


def _first(batches: Batches, limit: int) -> Iterator[dict[str, Any]]:
    """The batches, cut after `limit` images; 0 for all."""
    left = limit
    for batch in batches:
        if limit and left <= 0:
            return
        yield {key: values[:left] if limit else values for key, values in batch.items()}
        left -= len(batch["image"])
