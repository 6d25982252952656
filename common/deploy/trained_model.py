"""What a bundle's model was trained as, for everybody who uses it: sizes, classes, weights.

``models/model.json`` says which configuration the weights beside it were trained with. The network,
the size of its images and the names of its outputs are built from that, so that nobody repeats
them, and a tool that reads a bundle's inference.json gets what was trained. Before anything was
trained they are those of train.json.
"""

from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch import nn

import common
from common.checks import InputError, require
from common.config import as_deployed
from common.config.parser import config_folder
from common.data.mask_record import mask_of
from common.deploy.call_rule import CallRule
from common.deploy.expected import Expected
from common.deploy.model_file import load_model, output_names
from common.deploy.model_record import read_model_record
from common.deploy.released import RELEASED, own_or_released
from common.files import read_json
from common.networks import ImageClassifier

__all__ = ["OURS", "TrainedModel", "bundle_folder", "trained_network"]

CURE = "Give the folder of the bundle, whole."
OURS = Path(common.__file__).parents[1] / "bundles"


def bundle_folder(bundle: str, root: str | Path = ".") -> Path:
    """Find the folder of a bundle: `root`, the one whose configuration is being read, or ours.

    Args:
        bundle: its name.
        root: where it should be.

    Raises:
        InputError: it is in none of these places.
    """
    configs = config_folder()
    packed = Path(common.__file__).parents[2]  # the bundle that this copy of the code belongs to
    places = [Path(root), *([configs.parent] if configs else []), OURS / bundle, packed]
    for place in places:
        path = place / "configs" / "train.json"
        if path.is_file() and read_json(path, CURE).get("bundle") == bundle:
            return place
    raise InputError(
        f"{root}: must be the folder of bundle {bundle!r}, with configs/train.json, got another. "
        f"{CURE}"
    )


class TrainedModel:
    """A model of a bundle as it was trained; nothing is read before it is asked for.

    ``model["image_size"]`` is a dial's value.

    Args:
        bundle: name of the bundle.
        bundle_root: its folder.
        path: ``models/model.pt``, with ``model.json`` beside it.
    """

    def __init__(self, bundle: str, bundle_root: str | Path, path: str | Path) -> None:
        self.bundle = bundle
        self._root, self._path = Path(bundle_root), Path(path)

    @cached_property
    def folder(self) -> Path:
        """Folder of the bundle."""
        return bundle_folder(self.bundle, self._root)

    @cached_property
    def path(self) -> Path:
        """``model.pt``, one's own or else the released one; see `common.deploy.released`.

        It is that of the bundle, where the folder that was named is not there.
        """
        beside = self.folder / "models" / "model.pt"
        elsewhere = self.folder != self._root and not self._path.parent.is_dir()
        found = own_or_released(beside if elsewhere else self._path)
        return found if found.is_file() else self._path

    @property
    def released(self) -> bool:
        """Whether it came with the bundle."""
        return self.path.parent.name == RELEASED

    @property
    def record_path(self) -> Path:
        """``model.json``."""
        return self.path.with_suffix(".json")

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """What ``model.json`` holds; nothing before there is a model.

        Raises:
            InputError: weights without it, or one that is damaged or of another bundle.
        """
        if not self.record_path.is_file() and not self.path.is_file():
            return {}
        return read_model_record(self.path, self.bundle)

    @property
    def head_fitted(self) -> bool:
        """Whether the head was ever fitted; what an unfitted one predicts means nothing."""
        return self.record.get("head_fitted") is True

    @property
    def features(self) -> Mapping[str, Any]:
        """What its data say of their columns, if they are a table (`common.data.feature_table`)."""
        return dict(self.record.get("features") or {})

    @property
    def reads_volumes(self) -> bool:
        """Whether a slice of a volume can be one of its images, if they are 2D."""
        expected = Expected.from_record(self.record.get("expects"), str(self.record_path))
        return expected is None or not expected.flat

    @cached_property
    def call_rule(self) -> CallRule | None:
        """How its values become a class; None where its evaluation left none, or for numbers."""
        return CallRule.from_record(self.record.get("call"), str(self.record_path))

    @cached_property
    def mask(self) -> Any:
        """The mask of its training images ``(X, Y, Z)``, bool; "" where they had none."""
        record = self.record.get("mask")
        return mask_of(record, str(self.record_path)) if record else ""

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration of the training."""
        own = ConfigParser.load_config_file(self.folder / "configs" / "train.json")
        return as_deployed(self.record, own, self.record_path) if self.record else dict(own)

    def __getitem__(self, dial: str) -> Any:
        """Return the value of a dial of the training."""
        require(
            dial in self.config,
            f"{self.bundle}: train.json must have the dial {dial!r} that inference.json reads.",
        )
        return ConfigParser(deepcopy(self.config)).get_parsed_content(dial)

    def network(self) -> ImageClassifier:
        """Build the network, without its weights."""
        config = deepcopy(self.config)
        config["pretrained"] = ""  # what the training began with need not be here
        network = ConfigParser(config).get_parsed_content("network_def")
        assert isinstance(network, ImageClassifier)
        return network

    @cached_property
    def output(self) -> Mapping[str, Any]:
        """What ``metadata.json`` says of the output."""
        metadata = read_json(self.folder / "configs" / "metadata.json", CURE)
        return dict(metadata["network_data_format"]["outputs"]["pred"])

    @property
    def regression(self) -> bool:
        """Whether the outputs are numbers with a unit, such as years; else logits of classes."""
        return bool(self.output["type"] == "regression")

    def classes(self, outputs: int) -> list[str]:
        """Name the outputs of the network: as the training data did, or else the bundle.

        Raises:
            InputError: the record names another number of classes.
        """
        recorded = self.record.get("classes")
        names = output_names(recorded or list(self.output["channel_def"].values()), outputs)
        require(
            bool(names) or not recorded,
            f"{self.record_path}: classes must name each of the {outputs} outputs of the network, "
            f"got {len(recorded or ())} names. Evaluate the run again.",
        )
        return names or [f"class {number}" for number in range(outputs)]

    def load(self, network: nn.Module) -> None:
        """Load the weights strictly.

        Raises:
            InputError: none, others than ``model.json`` speaks of, or damaged ones.
        """
        load_model(self.path, network, self.bundle)


def trained_network(model: TrainedModel) -> ImageClassifier:
    """Build the network of a model, as a component of inference.json."""
    return model.network()
