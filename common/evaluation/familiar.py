"""What familiar images look like: measured when a network is deployed, kept in ``model.json``.

The reference is fitted on the training part. Distances are measured on the validation part, which
the network was not trained on, so they say how far a familiar but new image lies away. Of a large
part only some images are taken, evenly over it: enough for steady figures.
"""

import logging
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Subset

from common.checks import InputError
from common.config import current_parser
from common.data import read_manifest
from common.deploy.expected import NAMES, Expected
from common.deploy.familiarity import Familiarity
from common.networks import ImageClassifier

__all__ = ["MOST", "familiar_images"]

_LOG = logging.getLogger(__name__)

MOST = 2000  # most images that are measured of a part

Batches = Iterator[Mapping[str, Any]]


def familiar_images(classifier: ImageClassifier, device: str | torch.device) -> dict[str, Any]:
    """Return "familiarity" and "expects" of the data that the configuration trains on.

    Args:
        classifier: the network as it is deployed.
        device: where it is.

    Returns:
        What `Familiarity` and `Expected` record; nothing outside of a training's configuration, or
        where the training images cannot be read any more, of which a line warns.
    """
    parser = current_parser()
    if parser is None or "train#dataset" not in parser or "validate#dataloader" not in parser:
        return {}
    try:
        return _measured(classifier, device, _uncached(parser))
    except (InputError, RuntimeError) as error:  # MONAI wraps what a component raises
        reason = str(error.__cause__ or error).splitlines()[0]
        _LOG.warning(
            f"the model will not tell strangers: training images cannot be read ({reason})"
        )
        return {}


def _measured(
    classifier: ImageClassifier, device: str | torch.device, parser: ConfigParser
) -> dict[str, Any]:
    like = parser.get_parsed_content("validate#dataloader")
    manifest = read_manifest(str(parser.get_parsed_content("dataset_dir")))
    training = parser.get_parsed_content("train#dataset")
    h: list[NDArray[np.float32]] = []
    expected = Expected.gather(
        _embedded(classifier, _batches(training, like), device, h),
        manifest["training"],
        _modality(parser),
    )
    unseen: list[NDArray[np.float32]] = []
    for _ in _embedded(classifier, _batches(like.dataset, like), device, unseen):
        pass
    familiarity = Familiarity.fit(np.concatenate(h), np.concatenate(unseen) if unseen else None)
    return {
        "expects": expected.record(),
        "familiarity": familiarity.record() if familiarity else None,
    }


def _uncached(parser: ConfigParser) -> ConfigParser:
    """The same configuration, in which data sets read what they are asked for and no more."""
    other = ConfigParser(deepcopy(dict(parser.get())))
    for part in ("train", "validate"):
        if f"{part}#dataset#cache_rate" in other:
            other[f"{part}#dataset#cache_rate"] = 0.0
    return other


def _batches(dataset: Dataset[Any], like: DataLoader[Any]) -> Batches:
    """Batches of a data set, collated as those of another loader, evenly over it."""
    count = len(dataset)  # type: ignore[arg-type]  # of a map-style data set
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int)).tolist()
    if chosen:
        subset: Subset[Any] = Subset(dataset, chosen)
        yield from DataLoader(subset, batch_size=like.batch_size, collate_fn=like.collate_fn)


@torch.no_grad()
def _embedded(
    classifier: ImageClassifier,
    batches: Batches,
    device: str | torch.device,
    h: list[NDArray[np.float32]],
) -> Iterator[NDArray[Any]]:
    """Yield the images of each batch, and keep their embeddings in `h`."""
    classifier.eval()
    for batch in batches:
        h.append(classifier.encode(batch["image"].to(device)).float().cpu().numpy())
        yield batch["image"].cpu().numpy()


def _modality(parser: ConfigParser) -> list[str]:
    """The DICOM code of the bundle's images, as its metadata say it; none for another word."""
    meta = parser.get("_meta_", {}) or {}
    image = meta.get("network_data_format", {}).get("inputs", {}).get("image", {})
    return [code for code in (image.get("modality"),) if code in NAMES]
