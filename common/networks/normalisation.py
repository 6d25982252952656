"""Group normalisation in place of batch normalisation, in any encoder."""

import math

from torch import nn
from torch.nn.modules.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d

from common.checks import require

__all__ = ["normalised"]

_CHANNELS = 16  # of a group (Wu and He, Group Normalization, ECCV 2018, table 3)


def normalised(encoder: nn.Module, norm: str) -> nn.Module:
    """Return `encoder` with its batch normalisations as they are, or made into group ones.

    Group normalisation looks at each image alone (Wu and He, https://arxiv.org/abs/1803.08494): so
    small batches, parts of a batch and ranks compute the same. Groups have 16 channels, or the
    nearest that divides. A normalisation of columns without weights, such as a table's, stays.

    Args:
        encoder: changed in place, before any of its weights were loaded.
        norm: "batch" leaves it; "group" changes it.
    """
    require(norm in ("batch", "group"), f'norm: must be "batch" or "group", got {norm!r}.')
    if norm == "group":
        for name, layer in list(encoder.named_modules()):
            if isinstance(layer, BatchNorm1d | BatchNorm2d | BatchNorm3d) and layer.affine:
                parent, _, last = name.rpartition(".")
                channels = layer.num_features
                groups = math.gcd(channels, max(1, channels // _CHANNELS))
                made = nn.GroupNorm(groups, channels, eps=layer.eps)
                setattr(encoder.get_submodule(parent), last, made)
    return encoder
