"""Where a vision transformer looked, as pictures: the image, tinted where the class token attends.

The attention of the class token to the patches in the last block, mean over heads (Caron et al.,
ICCV 2021, section 4.2.2, show the heads one by one). It says what the representation was made of,
not why a class was predicted.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from common.checks import require
from common.files import replacing
from common.networks import ImageClassifier, VisionTransformer
from common.networks.vit_blocks import Block
from common.text import plain

__all__ = ["AttentionMap", "SaveAttention", "attention_overlay", "write_overlay"]

TINT = (0.0, 1.0, 1.0)  # cyan: no fundus and no grey image has it
STRENGTH = 0.6
LONGEST = 200  # bytes of a file's name; most systems allow 255, with what is added to it


def attention_overlay(image: Tensor, weights: Tensor) -> npt.NDArray[np.uint8]:
    """Return the image, mixed with cyan in proportion to its attention.

    Args:
        image: ``(C, H, W)`` in [0, 1], C = 1 or 3.
        weights: ``(h, w)``, at least 0; the greatest gets the strongest tint, whatever it is.

    Returns:
        ``(H, W, 3)``.
    """
    share = (weights / weights.max().clamp(min=1e-12)).float()[None, None]
    share = nn.functional.interpolate(share, size=image.shape[1:], mode="bilinear")[0]
    tint = torch.tensor(TINT).reshape(3, 1, 1)
    mixed = image.float().clamp(0, 1).expand(3, -1, -1)
    mixed = mixed + STRENGTH * share * (tint - mixed)
    pixels: npt.NDArray[np.uint8] = (mixed * 255).round().byte().movedim(0, -1).numpy()
    return pixels


def write_overlay(folder: Path, entry: Mapping[str, Any], pixels: npt.NDArray[np.uint8]) -> None:
    """Write a picture of an inference entry below a folder, whatever the image's name is.

    Args:
        folder: made where it is missing.
        entry: with "name" and, for a slice of a volume, its number "slice" (else -1), which the
            picture's name then ends in.
        pixels: ``(H, W, 3)``.
    """
    name = PurePosixPath(plain(str(entry["name"])))
    parts = [_short(part) for part in name.parts if part not in ("/", "..")] or ["image"]
    index = int(entry.get("slice", -1))
    path = folder.joinpath(*parts[:-1], f"{parts[-1]}{f'_{index}' * (index >= 0)}.png")
    with replacing(path) as partial, partial.open("wb") as file:
        Image.fromarray(pixels).save(file, format="PNG")


def _short(part: str) -> str:
    """Return a part of a path, or its start and a digest where a file could not be named so."""
    if len(part.encode()) <= LONGEST:
        return part
    return f"{part[: LONGEST // 4]}-{hashlib.sha256(part.encode()).hexdigest()[:12]}"


class AttentionMap:
    """Keeps where the class token of a vision transformer looked; forgets when it is left.

    Args:
        network: the classifier, whose encoder is or holds one `VisionTransformer`.
    """

    def __init__(self, network: ImageClassifier) -> None:
        transformers = [m for m in network.encoder.modules() if isinstance(m, VisionTransformer)]
        require(
            len(transformers) == 1,
            f"SaveAttention: network must hold one VisionTransformer, got {len(transformers)}. "
            "Leave the viewer out for other encoders.",
        )
        self._patch_size = transformers[0].patch_size
        self._weights = torch.empty(0)
        self._hook = transformers[0].blocks[-1].register_forward_pre_hook(self._keep)

    def of(self, x: Tensor) -> Tensor:
        """Return the weights ``(B, rows, columns)`` of the patches of the images seen last."""
        rows, columns = (side // self._patch_size for side in x.shape[2:])
        return self._weights.reshape(len(self._weights), rows, columns)

    def __enter__(self) -> "AttentionMap":
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()

    def _keep(self, block: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(block, Block)
        self._weights = block.attention(inputs[0]).mean(dim=1)[:, 1:].detach().float().cpu()


class SaveAttention:
    """A viewer of a `Predictor` that writes ``attention/<image>.png`` for every image.

    A slice of a volume has its number in the name: ``attention/<volume>_<slice>.png``.

    Args:
        output_dir: folder for the folder "attention".
        network: the classifier, whose encoder is or holds a `VisionTransformer`.
    """

    def __init__(self, output_dir: str | Path, network: ImageClassifier) -> None:
        self.folder = Path(output_dir) / "attention"
        self._map = AttentionMap(network)

    def __call__(self, entries: Sequence[Mapping[str, Any]], x: Tensor) -> None:
        """Write the pictures of the images ``(B, C, H, W)`` that the network saw last."""
        for entry, image, weights in zip(entries, x, self._map.of(x), strict=True):
            write_overlay(self.folder, entry, attention_overlay(image, weights))
