"""``models/model.pt`` and the facts beside it that a state dict cannot hold (``model.json``)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from common.checks import InputError, require
from common.files import replacing

__all__ = ["LoadModel", "SaveModel", "save_model"]


def save_model(path: Path, network: nn.Module, about: Mapping[str, Any]) -> None:
    """Write the state dict of `network` to `path`, and `about` to the ``.json`` beside it.

    Args:
        path: ``models/model.pt``; each file is replaced atomically.
        network: the deployable network.
        about: "bundle", "settings" and whatever else is worth knowing of its training.
    """
    with replacing(path) as partial:
        torch.save(network.state_dict(), partial)
    with replacing(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(dict(about), indent=1) + "\n")


class SaveModel:
    """A handler that writes ``models/model.pt`` with `save_model` when training is done.

    Args:
        path: ``models/model.pt``.
        network: the deployable network.
        about: "bundle", "settings" and whatever else is worth knowing, for ``model.json``.
    """

    def __init__(self, path: str | Path, network: nn.Module, about: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.network = network
        self.about = dict(about)

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`."""
        engine.add_event_handler(Events.COMPLETED, self._save)

    def _save(self, _: Engine) -> None:
        save_model(self.path, self.network, self.about)


class LoadModel:
    """A handler that loads ``models/model.pt`` strictly before the first image.

    Args:
        path: the state dict; where a ``.json`` of the same name lies beside it, the bundle and the
            settings in it must agree.
        network: what it is loaded into, all tensors by name and shape.
        bundle: name of this bundle.
        settings: dials that must equal those of the training, such as ``image_size``.
    """

    def __init__(
        self,
        path: str | Path,
        network: nn.Module,
        bundle: str,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.network = network
        self.bundle = bundle
        self.settings = dict(settings or {})

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`."""
        engine.add_event_handler(Events.STARTED, self._load)

    def _load(self, _: Engine) -> None:
        require(
            self.path.is_file(),
            f"{self.path}: no such model. Train and evaluate first, or put the released model.pt "
            "there.",
        )
        self._check()
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state)
        except Exception as error:
            raise InputError(
                f"{self.path}: the model does not fit this network. Use the model.pt of "
                f"{self.bundle} and the settings it was trained with."
            ) from error

    def _check(self) -> None:
        beside = self.path.with_suffix(".json")
        if not beside.is_file():
            return
        about = json.loads(beside.read_text())
        require(
            about["bundle"] == self.bundle,
            f"{self.path}: the model belongs to bundle {about['bundle']!r}, this is "
            f"{self.bundle!r}. Give its own ckpt_dir.",
        )
        for name, value in self.settings.items():
            trained = about["settings"].get(name, value)
            require(
                trained == value,
                f"{self.path}: the model was trained with {name} {trained}, this run has {value}. "
                f'Add --{name} "{trained}".',
            )
