"""What every evaluation of a training run does: find its snapshots, load, write, deploy."""

import json
import logging
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from monai.networks.layers.factories import Pool
from numpy.typing import NDArray
from torch import Tensor

from common.checks import require
from common.config import RECORD, read_record, run_record
from common.deploy import digest, load_weights, read_weights, save_model
from common.deploy.embedding import Embedded, embed
from common.deploy.provenance import versions
from common.files import locked, read_json, replacing
from common.methods import Method
from common.networks import ImageClassifier

__all__ = ["HEADS", "Batches", "RunArguments", "RunEvaluation", "pixels", "raw_name"]

_LOG = logging.getLogger(__name__)

Batches = Iterable[Mapping[str, Any]]
HEADS = ("refitted", "trained")


class RunArguments(TypedDict):
    """The run an evaluation is of; keyword arguments of every evaluation.

    Attributes:
        network: the method, as built by the training configuration.
        run_dir: folder of the run: its record ``run.json`` and snapshots ``network_epoch=<n>.pt``.
        model_path: where the deployable network goes (``models/model.pt``).
        device: where to compute.
        data: `common.data.fingerprint` of what is evaluated on, or of each set of it.
    """

    network: Method
    run_dir: str | Path
    model_path: str | Path
    device: str | torch.device
    data: str | Sequence[str]


class RunEvaluation(ABC):
    """An evaluation that ``evaluate.json`` runs on the snapshots a training left in its folder.

    What the run is called and how it was trained is read from its record.

    Args:
        run: see `RunArguments`.

    Raises:
        InputError: the folder holds no run, or a damaged record.
    """

    def __init__(self, **run: Unpack[RunArguments]) -> None:
        self.network = run["network"].to(run["device"])
        self.classifier = self.network.classifier
        self.run_dir = Path(run["run_dir"])
        self.model_path = Path(run["model_path"])
        self.device = run["device"]
        require(
            (self.run_dir / RECORD).is_file(),
            f"{self.run_dir}: must hold a run, got no {RECORD}. Run train.json with the same "
            "strategy, seed and output_dir first.",
        )
        self.record = read_record(self.run_dir / RECORD)
        self.about = {name: self.record[name] for name in ("bundle", "strategy", "seed")}
        self.now = {key: value for key, value in run_record().items() if value}
        dials = {**self.record["dials"], **self.now.get("dials", {})}
        self.settings = {"data": run["data"], **dials}

    def run(self) -> dict[str, Any]:
        """Evaluate, write the results, and return what ``evaluation.json`` holds."""
        with locked(self.run_dir):
            return self.evaluate()

    @abstractmethod
    def evaluate(self) -> dict[str, Any]:
        """Evaluate, write the results, and return what ``evaluation.json`` holds."""

    def snapshots(self) -> list[tuple[int, Path]]:
        """Return (epoch, file) of the snapshots of the run, in the order of training."""
        found = {}
        for path in self.run_dir.glob("network_epoch=*.pt"):
            match = re.fullmatch(r"network_epoch=(\d+)\.pt", path.name)
            if match:
                found[int(match[1])] = path
        require(
            bool(found),
            f"{self.run_dir}: holds no snapshot network_epoch=<n>.pt. Run train.json with the same "
            "strategy, seed and output_dir first.",
        )
        last = self._last_epoch()
        return sorted((epoch, path) for epoch, path in found.items() if epoch <= last)

    def load(self, path: Path) -> None:
        """Load a snapshot into the network.

        Raises:
            InputError: it belongs to another configuration, is damaged or not finite.
        """
        load_weights(path, self.network, self.fitting(read_weights(path)))

    def fitting(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what to load of a snapshot: all of it, unless an evaluation knows better."""
        return state

    def embed(self, batches: Batches) -> Embedded:
        """Return the features of all `batches` by the network as it is loaded."""
        return embed(self.classifier, batches, self.device)

    def untrained(self, batches: Batches) -> ImageClassifier:
        """Return a copy of the network as it is before `load`: the encoder without its training.

        Args:
            batches: seen once in training mode, so that normalisation has their statistics; a batch
                of one image, which has none, is passed over.
        """
        classifier = deepcopy(self.classifier).train()
        with torch.no_grad():
            for batch in batches:
                if len(batch["image"]) > 1:
                    classifier.encode(batch["image"].to(self.device))
        return classifier

    def write(
        self, result: Mapping[str, Any], arrays: Mapping[str, Mapping[str, NDArray[Any]]]
    ) -> dict[str, Any]:
        """Write ``evaluation.json`` and archives, each whole or not at all.

        Args:
            result: figures; bundle, strategy, seed, settings and versions are put before them.
            arrays: the arrays of each archive, by its name in the run folder.

        Returns:
            What ``evaluation.json`` holds.
        """
        whole = {**self.about, "settings": self.settings, "versions": versions(), **result}
        for name, content in arrays.items():
            with replacing(self.run_dir / name) as partial, partial.open("wb") as file:
                np.savez_compressed(file, **content)  # type: ignore[arg-type]
        text = json.dumps(whole, indent=1, allow_nan=False)
        with replacing(self.run_dir / "evaluation.json") as partial:
            partial.write_text(text + "\n")
        return whole

    def deploy(
        self, head: tuple[Tensor, Tensor] | None = None, classes: Sequence[str] | None = None
    ) -> None:
        """Write ``model.pt``: the classifier as it is loaded, with another head where one is given.

        Args:
            head: weight ``(outputs, F)`` and bias ``(outputs,)``.
            classes: names of the outputs; those of the training data unless given.

        Raises:
            InputError: the network has another number of outputs.
        """
        linear = self.classifier.head
        if head is not None:
            weight, bias = head
            require(
                linear.weight.shape == weight.shape,
                f"{type(self).__name__}: the network must have {len(weight)} output(s), got "
                f"{len(linear.weight)}. Set num_classes of network_def.",
            )
            with torch.no_grad():
                linear.weight.copy_(weight)
                linear.bias.copy_(bias)
        about = {
            **self.record,
            **self.now,
            "classes": classes or _outputs(self.record.get("classes") or [], linear.out_features),
            "head_fitted": head is not None or digest(linear) != self.record.get("head"),
        }
        save_model(self.model_path, self.classifier, about)
        _LOG.info("%s: deployed", self.model_path)

    def trained(self, head: str) -> bool:
        """Return whether `head` says "trained"; refuse anything but `HEADS`."""
        require(
            head in HEADS,
            f"{type(self).__name__}: head must be {' or '.join(map(repr, HEADS))}, got {head!r}.",
        )
        return head == "trained"

    def _last_epoch(self) -> float:
        """Epoch the training ended at; later snapshots are left over from a longer one."""
        history = self.run_dir / "history.json"
        if not history.is_file():
            return math.inf
        epochs = read_json(history, "Train again.").get("epoch")
        last = epochs[-1] if isinstance(epochs, list) and epochs else None
        require(
            isinstance(last, int), f"{history}: must list its epochs, got {epochs!r}. Train again."
        )
        return float(last or 0)


def _outputs(names: list[str], count: int) -> list[str]:
    """Name the outputs of a network by the classes of its data; one output is of the second."""
    if count == 1 and len(names) == 2:
        return [names[1]]
    return names if len(names) == count else []


def raw_name(batches: Batches) -> str:
    """Return what the baseline without an encoder reads: "pixels", or "features" of tables."""
    return "features" if next(iter(batches))["image"].ndim == 2 else "pixels"


def pixels(batches: Batches, side: int | None = None) -> NDArray[np.float32]:
    """Return images averaged down, flat, ``(N, pixels)``; rows of features as they are.

    Args:
        batches: with "image" ``(B, C, *spatial)`` or ``(B, F)``.
        side: most pixels a side; 32 in 2D and 12 in 3D unless given.
    """
    return np.concatenate([_small(batch["image"], side) for batch in batches])


def _small(x: Tensor, side: int | None) -> NDArray[np.float32]:
    if x.ndim == 2:
        return np.asarray(x.float().cpu())
    side = side or (32 if x.ndim == 4 else 12)
    pool = Pool["ADAPTIVEAVG", x.ndim - 2]([min(side, n) for n in x.shape[2:]])
    return np.asarray(pool(x.float()).flatten(1).cpu())
