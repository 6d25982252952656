"""What a quick classifier is given of an image: cheap numbers, of three kinds.

- "pixels": the image averaged down to 32 pixels a side (12 in 3D): shapes and places;
- "intensities": mean, spread and quantiles of each channel at every n-th pixel (64 a side, 32 in
  3D): brightness, contrast and noise, without places;
- "encoder": two convolutions that nobody trained, drawn with a fixed seed, on the image at 64
  pixels a side (32 in 3D): mean and maximum of each channel of each of them, which is textures
  wherever they lie; or the encoder that is given.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.networks.layers.factories import Conv, Pool
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from common.checks import require
from common.deploy import load
from common.metrics.plain_features import intensities, pixels
from common.report.words import plural

__all__ = [
    "KINDS",
    "Encoder",
    "Features",
    "check_fits",
    "every_nth",
    "features_of",
    "given_encoder",
    "untrained_encoder",
]

KINDS = ("pixels", "intensities", "encoder")
SIDE = {2: 64, 3: 32}
CHANNELS = {2: 32, 3: 16}
Features = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Encoder:
    """An encoder and what it is called.

    Attributes:
        name: "untrained", or that of a model.
        represent: ``x (B, C, *spatial) -> h (B, F)``.
        reads: channels and spatial axes of its images; None where it does not say.
    """

    name: str
    represent: Callable[[Tensor], Tensor]
    reads: tuple[int, int] | None = None


class Drawn(nn.Module):
    """Two convolutions with weights drawn as He et al. 2015 do, the same ones at every call."""

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        width = CHANNELS[spatial_dims]
        convolution = Conv["CONV", spatial_dims]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.ModuleList(
                convolution(before, width, 3, padding=1, bias=False) for before in (channels, width)
            )
            for layer in self.layers:
                nn.init.kaiming_normal_(next(layer.parameters()))
        self.pool = Pool["MAX", spatial_dims](2)
        self.side = SIDE[spatial_dims]

    def forward(self, x: Tensor) -> Tensor:
        """Return ``h (B, 4 width)`` of ``x (B, C, *spatial)``."""
        x = interpolate(x, [min(self.side, n) for n in x.shape[2:]], mode="area")
        told = []
        for layer in self.layers:
            x = layer(x).relu_()
            told += [x.flatten(2).mean(dim=2), x.flatten(2).amax(dim=2)]
            x = self.pool(x) if min(x.shape[2:]) > 1 else x
        return torch.cat(told, dim=1)


def untrained_encoder(spatial_dims: int, channels: int) -> Encoder:
    """Return the encoder that nobody trained."""
    return Encoder("untrained", Drawn(spatial_dims, channels).eval())


def given_encoder(model: str | Path) -> Encoder:
    """Return the encoder of a bundle's model.

    Args:
        model: a bundle's name or folder; or ``model.pt`` with ``model.json`` beside it, or their
            folder, of which the record names the bundle.

    Raises:
        InputError: no such model.
    """
    path = Path(model)
    record = path / "model.json" if path.is_dir() else path.with_suffix(".json")
    if record.is_file():
        from common.config import read_record

        predictor = load(read_record(record)["bundle"], record.with_suffix(".pt"), "cpu")
    else:
        predictor = load(model, device="cpu")
    network, config = predictor.network, predictor.model.config
    size = predictor.model["image_size"] if "image_size" in config else None

    def represent(x: Tensor) -> Tensor:
        if size and x.dim() == 4 and x.shape[2:] != (size, size):
            x = interpolate(x, [size, size], mode="bilinear", antialias=True)
        h: Tensor = network.encode(x)
        return h

    return Encoder(predictor.model.bundle, represent, _kernel(network))


def _kernel(network: nn.Module) -> tuple[int, int] | None:
    """Channels and spatial axes of the images that the first convolution reads."""
    for weight in network.parameters():
        if weight.dim() > 2:
            return weight.shape[1], weight.dim() - 2
    return None


def check_fits(encoder: Encoder, spatial_dims: int, channels: int) -> None:
    """Check that an encoder reads such images.

    Raises:
        InputError: it reads others.
    """
    require(
        encoder.reads in (None, (channels, spatial_dims)),
        f"{encoder.name}: its encoder must read the images, of {plural(channels, 'channel')} in "
        f"{spatial_dims}D, got one for {_words(encoder.reads)}. Name another.",
    )


def _words(reads: tuple[int, int] | None) -> str:
    return "" if reads is None else f"{plural(reads[0], 'channel')} in {reads[1]}D"


@torch.no_grad()
def features_of(batches: Iterable[Tensor], encoder: Encoder) -> Features:
    """Return the features of images of each kind, ``(N, F)``.

    Args:
        batches: images ``(B, C, *spatial)``, of any size.
        encoder: of the third kind.
    """
    parts: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in KINDS}
    for x in batches:
        for kind in KINDS:
            parts[kind].append(one_kind(x, kind, encoder))
    return {kind: np.concatenate(rows) for kind, rows in parts.items()}


@torch.no_grad()
def one_kind(x: Tensor, kind: str, encoder: Encoder) -> NDArray[np.float32]:
    """Return the features of one kind of images ``(B, C, *spatial)``, ``(B, F)``."""
    if kind == "encoder":
        return np.asarray(encoder.represent(x.float()).float())
    if kind == "pixels":
        return pixels([{"image": x}])
    return intensities([{"image": every_nth(x)}]).astype(np.float32)


def every_nth(x: Tensor) -> Tensor:
    """Return every n-th pixel of ``x (B, C, *spatial)``, about 64 a side (32 in 3D)."""
    steps = [max(1, round(side / SIDE[x.dim() - 2])) for side in x.shape[2:]]
    for axis, step in enumerate(steps):
        x = x[(slice(None),) * (axis + 2) + (slice(step // 2, None, step),)]
    return x
