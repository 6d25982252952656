"""The representation of every image as a table, which another training reads as its prior."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from common.checks import require
from common.config import current_parser
from common.data import fingerprint, save_prior
from common.deploy.embedding import embed
from common.deploy.model_file import load_weights
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
        load_weights(Path(weights), classifier)
    embedded = embed(classifier.to(device), batches, device)
    require(
        "image_key" in embedded.columns,
        "write_prior: the batches must hold 'image_key', got "
        f"{', '.join(sorted(embedded.columns)) or 'none'}. Add it to columns of the StackDataset, "
        "or use common.data.with_prior.",
    )
    keys = [str(key) for key in embedded.columns["image_key"]]
    require(
        len(set(keys)) == len(keys),
        f"write_prior: every image must come once, got {len(keys)} of which {len(set(keys))} "
        "differ. Leave out the sampler.",
    )
    save_prior(path, keys, embedded.h, _data())
    _LOG.info("%s: %d images, %d numbers each", path, *embedded.h.shape)


def _data() -> str:
    """Fingerprint of the data of the configuration that writes; "" outside of one."""
    parser = current_parser()
    if parser is None or "dataset_dir" not in parser:
        return ""
    return fingerprint(str(parser.get_parsed_content("dataset_dir")))
