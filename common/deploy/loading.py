"""A trained model by the name of its bundle."""

from pathlib import Path

import torch
from monai.bundle import ConfigParser

from common.checks import InputError, require
from common.deploy.predictor import Predictor
from common.deploy.trained_model import OURS

__all__ = ["folder_of", "load", "reader"]


def load(
    bundle: str | Path, weights: str | Path | None = None, device: str | torch.device | None = None
) -> Predictor:
    """Load a trained model: ``common.load("chest_xray_learned_transforms").predict("film.dcm")``.

    Args:
        bundle: name of a bundle of this collection, or the folder of one.
        weights: ``model.pt``, or the folder that holds it; ``models/model.pt`` of the bundle
            unless given, and where there is none the released one (`common.deploy.released`).
            ``model.json`` lies beside it.
        device: the GPU, where there is one, unless given.

    Raises:
        InputError: no such bundle, no model, or one of another bundle.
    """
    predictor = reader(bundle, weights, device)
    predictor._prepare()
    return predictor


def reader(
    bundle: str | Path, weights: str | Path | None = None, device: str | torch.device | None = None
) -> Predictor:
    """Return what `load` does, whose weights are read when first used, and need not be there.

    Its ``dataset`` reads files as the model, or without one the bundle, wants them.

    Raises:
        InputError: no such bundle, or the record of another one beside the weights.
    """
    folder = folder_of(bundle)
    config = ConfigParser.load_config_file(folder / "configs" / "inference.json")
    config["bundle_root"] = str(folder)
    if weights is not None:
        path = Path(weights)
        config["model"]["path"] = str(path / "model.pt" if path.is_dir() else path)
    if device is not None:
        config["device"] = str(device)
    config["evaluator"].pop("viewers", None)
    try:
        predictor = ConfigParser(config).get_parsed_content("evaluator")
    except RuntimeError as error:  # MONAI wraps what a component raises
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        raise cause or error from None
    assert isinstance(predictor, Predictor)
    return predictor


def folder_of(bundle: str | Path) -> Path:
    """Return the folder of a bundle of this collection by its name, or the one that is named.

    Raises:
        InputError: neither.
    """
    folder = Path(bundle)
    if (folder / "configs").is_dir():
        return folder
    known = sorted(path.name for path in OURS.glob("*/"))
    require(
        str(bundle) in known,
        f"bundle: must be the folder of a bundle, or one of {', '.join(known) or 'none'}, got "
        f"{str(bundle)!r}.",
    )
    return OURS / str(bundle)
