"""A network as others get it: ``model.pt`` and, beside it, what a state dict cannot hold.

``model.json`` says what was trained and how ("bundle", "strategy", "seed", "config", "dials",
"changed", as `common.config.run_record` has them), on which "data", for which "classes", of which
weights it speaks ("weights", their `digest`), and whether the head was fitted ("head_fitted"):
without that the network gives embeddings, and nothing its head says means anything. "call"
says which class a prediction is called (`common.deploy.CallRule`). "facts" is the digest of all
that (`common.deploy.model_record`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from common.checks import InputError, require
from common.deploy.model_record import read_model_record, write_model_record
from common.deploy.released import check_sums
from common.files import replacing, zip_is_whole

__all__ = [
    "LoadModel",
    "digest",
    "digest_of",
    "load_model",
    "load_weights",
    "output_names",
    "read_weights",
    "save_model",
]

CURE = "Copy it again, or train and evaluate again."


def save_model(path: Path, network: nn.Module, about: Mapping[str, Any]) -> None:
    """Write the state dict of `network` to `path`, and `about` to the ``.json`` beside it.

    Args:
        path: ``model.pt``; each file is replaced atomically.
        network: the deployable network.
        about: the record of its run, "classes" and "head_fitted".
    """
    write_model_record(path.with_suffix(".json"), {**about, "weights": digest(network)})
    with replacing(path) as partial:
        torch.save(network.state_dict(), partial)


def output_names(classes: Sequence[str], count: int) -> list[str]:
    """Name `count` outputs by the classes of their data: one output is of the second class.

    >>> output_names(["normal", "covid"], 1)
    ['covid']
    """
    if count == 1 and len(classes) == 2:
        return [classes[1]]
    return list(classes) if len(classes) == count else []


def digest(module: nn.Module) -> str:
    """Return 16 hexadecimal digits of weights: of a head they say whether it was fitted."""
    return digest_of(module.state_dict())


def digest_of(state: Mapping[str, Tensor]) -> str:
    """Return the `digest` of a state dict."""
    total = hashlib.sha256()
    for value in state.values():
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def load_weights(path: Path, network: nn.Module, state: Any = None) -> None:
    """Load a state dict strictly: all tensors by name, shape and kind, and finite.

    Args:
        path: the file.
        network: what it is loaded into.
        state: its content, where that is known already.

    Raises:
        InputError: damaged, no state dict, another network's, integer or complex where the network
            has real numbers, or not finite.
    """
    if state is None:
        state = read_weights(path)
    own = network.state_dict()
    require(
        isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values()),
        f"{path}: must hold the weights of a network, a tensor for each name, got something else. "
        f"{CURE}",
    )
    missing, foreign = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    require(
        not missing and not foreign,
        f"{path}: must hold the {len(own)} tensors of this network, got {len(missing)} missing and "
        f"{len(foreign)} others{_first(missing or foreign)}. Use the settings it was trained with.",
    )
    for name, value in own.items():
        got = state[name]
        require(
            got.shape == value.shape,
            f"{path}: {name} must have shape {tuple(value.shape)}, got {tuple(got.shape)}. Use the "
            "settings it was trained with.",
        )
        require(
            got.is_floating_point() == value.is_floating_point()
            and got.is_complex() == value.is_complex(),
            f"{path}: {name} must be of type {value.dtype}, got {got.dtype}. {CURE}",
        )
        require(
            not got.is_floating_point() or bool(got.isfinite().all()),
            f"{path}: {name} must be finite, got NaN or infinity. Use an earlier snapshot.",
        )
    network.load_state_dict(state)


def read_weights(path: Path) -> Any:
    """Read a file of tensors.

    Raises:
        InputError: no such file, damaged, or holding more than tensors.
    """
    require(path.is_file(), f"{path}: must exist, got no such file. {CURE}")
    require(zip_is_whole(path), f"{path}: must be a whole file of tensors, got damage. {CURE}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises anything
        raise InputError(
            f"{path}: must be a whole file of tensors, got an error ({type(error).__name__}). "
            f"{CURE}"
        ) from None


def load_model(path: Path, network: nn.Module, bundle: str) -> dict[str, Any]:
    """Load ``model.pt`` strictly, and return the record beside it.

    Raises:
        InputError: no model, another bundle's, others than ``model.json`` speaks of, damaged, or
            not what was released (`common.deploy.released`).
    """
    require(
        path.is_file(),
        f"{path}: must be a model, got no such file. Train, then evaluate, which writes it, or "
        "name its folder with --ckpt_dir.",
    )
    record = read_model_record(path, bundle)
    check_sums(path)
    load_weights(path, network)
    weights_digest = digest(network)
    require(
        record["weights"] == weights_digest,
        f"{path}: must hold the weights that {path.stem}.json speaks of, got others. Copy both "
        "files from the same folder, or evaluate again.",
    )
    return record


class LoadModel:
    """A handler that loads ``model.pt`` strictly before the first image.

    Args:
        path: the state dict; ``model.json`` lies beside it.
        network: what it is loaded into, all tensors by name and shape.
        bundle: name of this bundle.

    Attributes:
        about: what ``model.json`` holds, once loaded.
    """

    def __init__(self, path: str | Path, network: nn.Module, bundle: str) -> None:
        self.path = Path(path)
        self.network = network
        self.bundle = bundle
        self.about: dict[str, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`."""
        engine.add_event_handler(Events.STARTED, self._load)

    @property
    def head_fitted(self) -> bool:
        """Whether the head was ever fitted; what an unfitted one predicts means nothing."""
        return self.about.get("head_fitted") is True

    def _load(self, _: Engine) -> None:
        self.about = load_model(self.path, self.network, self.bundle)


def _first(names: list[str]) -> str:
    return f" ({names[0]} ...)" if names else ""
