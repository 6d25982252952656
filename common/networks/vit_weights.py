"""Public weights of vision transformers, every one of them or none.

Three kinds of files are read:

- DINO's backbone (``dino_deitsmall16_pretrain.pth``, ``dino_vitbase16_pretrain.pth``): the tensors.
- DINO's full checkpoint (``..._full_checkpoint.pth``, or of main_dino.py): the teacher's backbone
  of ``{"student": ..., "teacher": {"backbone.": ..., "head.": ...}, ...}``.
- MAE and RETFound (``RETFound_cfp_weights.pth``): ``{"model": ...}`` with the encoder, and the
  decoder before fine-tuning or fc_norm and head after it.

The names inside are those of `VisionTransformer`, so conversion takes the prefixes off. Position
embeddings of another grid are resized bicubically, as MAE's fine-tuning code does it.
"""

import argparse
import logging
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.checks import InputError, require
from common.files import zip_is_whole
from common.networks.finite import require_finite
from common.networks.vision_transformer import VisionTransformer

__all__ = ["load_vit_weights", "load_whole", "read_weight_file"]

PREFIXES = ("module.", "backbone.")
CURE = "Set embed_dim, depth, heads, patch_size and pool as in the file."
NOT_BACKBONE = ("head.", "decoder_", "mask_token")
SCALAR: Any = np.float64(0).__reduce__()[0]
TRUSTED: list[Any] = [
    argparse.Namespace,  # the settings of a run, in DINO's and RETFound's files
    np.dtype,  # DINO's learning rate is a number of numpy, in older files by its older path
    np.dtypes.Float64DType,
    (SCALAR, "numpy._core.multiarray.scalar"),
    (SCALAR, "numpy.core.multiarray.scalar"),
]
logger = logging.getLogger(__name__)


def load_vit_weights(encoder: VisionTransformer, path: str | Path = "") -> VisionTransformer:
    """Load public weights into `encoder`, in place.

    Every tensor of the encoder is read from the file, and every tensor of the file is used or is
    one that is known not to belong to the encoder: ``head.*``, and MAE's ``decoder_*`` and
    ``mask_token``. An encoder that averages patches (``pool="mean"``) takes ``fc_norm.*`` as its
    ``norm.*``; MAE's file before fine-tuning has none, and the encoder keeps its own then, with
    MAE's ``norm.*`` set aside, as RETFound's code does.

    Args:
        encoder: of the size of the file.
        path: the file; "" loads nothing.

    Returns:
        `encoder`, so that a configuration can name the two as one network.

    Raises:
        InputError: for a file that cannot be read, or that does not fit; it names the first names
            that are missing, unexpected, or of another shape.
    """
    if not str(path):
        return encoder
    tensors = _backbone(read_weight_file(Path(path)), encoder.pool)
    wanted = encoder.state_dict()
    if encoder.pool == "mean" and "norm.weight" not in tensors:
        tensors |= {name: wanted[name] for name in ("norm.weight", "norm.bias")}
    if "pos_embed" in tensors and tensors["pos_embed"].dim() == 3:
        tensors["pos_embed"] = _resized(tensors["pos_embed"], encoder.side)
    load_whole(encoder, tensors, path, CURE)
    return encoder


def read_weight_file(path: Path) -> Mapping[str, Any]:
    """Return the mapping of names to tensors in a file."""
    require(path.is_file(), f"{path}: pretrained must be a file, got none. Check the path.")
    require(zip_is_whole(path), f"{path}: must be whole, got damage. Download it again.")
    try:
        with torch.serialization.safe_globals(TRUSTED):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: the file must hold tensors, got other objects, which are not read because "
            "they could run code. Where you trust it, save its state_dict alone and load that."
        ) from error
    except Exception as error:
        raise InputError(
            f"{path}: not a readable weight file ({type(error).__name__}). Download it again."
        ) from error
    for key in ("teacher", "model", "state_dict"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    require(
        isinstance(state, Mapping),
        f"{path}: the file must hold names and tensors, got {type(state).__name__}. Save the "
        "state_dict of the network.",
    )
    weights: Mapping[str, Any] = state
    return weights


def _backbone(state: Mapping[str, Any], pool: str) -> dict[str, Any]:
    """Return the tensors of an encoder by its names: prefixes taken off, the rest set aside."""
    tensors = {}
    for name, value in state.items():
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        if not name.startswith(NOT_BACKBONE):
            tensors[name] = value
    if pool == "mean":
        tensors = {name: v for name, v in tensors.items() if not name.startswith("norm.")}
        tensors = {name.replace("fc_norm.", "norm."): v for name, v in tensors.items()}
    return tensors


def _resized(positions: Tensor, side: int) -> Tensor:
    """Return position embeddings ``(1, 1 + n, F)`` of a square grid for one of `side`."""
    first = math.isqrt(positions.shape[1] - 1)
    if first == side or first**2 != positions.shape[1] - 1:
        return positions
    grid = positions[:, 1:].float().reshape(1, first, first, -1).permute(0, 3, 1, 2)
    grid = nn.functional.interpolate(grid, size=(side, side), mode="bicubic")
    return torch.cat([positions[:, :1].float(), grid.flatten(2).transpose(1, 2)], dim=1)


def load_whole(encoder: nn.Module, tensors: Mapping[str, Any], path: str | Path, cure: str) -> None:
    """Load `tensors` by their names, all of them.

    Raises:
        InputError: names that are missing, not known, or of another shape, or no finite numbers.
    """
    wanted = encoder.state_dict()
    _check_names(tensors, wanted, path, cure)
    require_finite(tensors, str(path), "Download it again.")
    encoder.load_state_dict(tensors, strict=True)
    logger.info("%s: %d of %d tensors loaded", path, len(tensors), len(wanted))


def _check_names(
    tensors: Mapping[str, Any], wanted: Mapping[str, Tensor], path: str | Path, cure: str
) -> None:
    """Refuse names that are missing, not known, or of another shape."""
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    other = [
        f"{name} {tuple(getattr(tensors[name], 'shape', ()))} for {tuple(wanted[name].shape)}"
        for name in wanted
        if name in tensors and getattr(tensors[name], "shape", None) != wanted[name].shape
    ]
    kinds = {"lacks": missing, "adds": unexpected, "differs in shape": other}
    differences = [
        f"{kind} {len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in kinds.items()
        if names
    ]
    require(
        not differences,
        f"{path}: the file must hold the {len(wanted)} tensors of the encoder, got one that "
        f"{', '.join(differences)}. {cure}",
    )
