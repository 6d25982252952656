"""The representation of every image as a table, which another training reads as its prior."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from common.checks import InputError, require
from common.data import save_prior
from common.evaluation.embedding import embed
from common.methods import Method
from common.networks import ImageClassifier

__all__ = ["write_prior"]

_LOG = logging.getLogger(__name__)


def write_prior(
    network: ImageClassifier | Method,
    batches: Iterable[Mapping[str, Any]],
    path: str | Path,
    device: str | torch.device,
    weights: str | Path = "",
) -> None:
    """Embed all images and write the table (see `common.data.read_prior`).

    Args:
        network: a classifier, of which the encoder's output is written, or a method around one.
        batches: of untransformed images with "image_key": each image of a part once, in any order.
        path: the table, ``.npz``.
        device: where to compute.
        weights: ``model.pt`` of a training, loaded strictly into the classifier; "" leaves it as
            it is.

    Raises:
        InputError: no or other weights, batches without keys, or an image that comes twice.
    """
    classifier = network.classifier if isinstance(network, Method) else network
    if str(weights):
        _load(classifier, Path(weights))
    found = embed(classifier.to(device), batches, device)
    require(
        "image_key" in found.columns,
        "write_prior: the batches must hold 'image_key', got "
        f"{', '.join(sorted(found.columns)) or 'none'}. Add it to columns of the StackDataset, or "
        "use common.data.with_prior.",
    )
    keys = [str(key) for key in found.columns["image_key"]]
    require(
        len(set(keys)) == len(keys),
        f"write_prior: every image must come once, got {len(keys)} of which {len(set(keys))} "
        "differ. Leave out the sampler.",
    )
    save_prior(path, keys, found.h)
    _LOG.info("%s: %d images, %d numbers each", path, *found.h.shape)


def _load(classifier: ImageClassifier, path: Path) -> None:
    require(
        path.is_file(),
        f"{path}: must be the model.pt of a training, got no such file. Train first.",
    )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        classifier.load_state_dict(state)
    except Exception as error:
        raise InputError(
            f"{path}: the model does not fit this network. Give the settings it was trained with."
        ) from error
