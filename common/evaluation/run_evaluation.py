"""What every evaluation of a training run does: find its snapshots, load, write, deploy."""

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from monai.networks.layers.factories import Pool
from numpy.typing import NDArray
from torch import Tensor

from common.checks import InputError, require
from common.evaluation.embedding import Embedded, embed
from common.evaluation.model_file import save_model
from common.evaluation.provenance import versions
from common.files import replacing
from common.methods import Method
from common.networks import ImageClassifier

__all__ = ["HEADS", "Batches", "RunArguments", "RunEvaluation", "pixels", "raw_name"]

Batches = Iterable[Mapping[str, Any]]
HEADS = ("refitted", "trained")


class RunArguments(TypedDict):
    """The run an evaluation is of; keyword arguments of every evaluation.

    Attributes:
        network: the method, as built by the training configuration.
        run_dir: folder of the run, with snapshots ``network_epoch=<n>.pt``.
        model_path: where the deployable network goes (``models/model.pt``).
        device: where to compute.
        bundle: name of the bundle.
        strategy: name of the strategy, as in the overlays.
        seed: of the run.
        settings: the dials to record.
    """

    network: Method
    run_dir: str | Path
    model_path: str | Path
    device: str | torch.device
    bundle: str
    strategy: str
    seed: int
    settings: Mapping[str, Any]


class RunEvaluation(ABC):
    """An evaluation that ``evaluate.json`` runs on the snapshots a training left in its folder.

    Args:
        run: see `RunArguments`.
    """

    def __init__(self, **run: Unpack[RunArguments]) -> None:
        self.network = run["network"].to(run["device"])
        self.classifier = self.network.classifier
        self.run_dir = Path(run["run_dir"])
        self.model_path = Path(run["model_path"])
        self.device = run["device"]
        self.about = {name: run[name] for name in ("bundle", "strategy", "seed")}
        self.settings = dict(run["settings"])

    @abstractmethod
    def run(self) -> dict[str, Any]:
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
            InputError: it belongs to another configuration, or is damaged.
        """
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(self.fitting(state))
        except (RuntimeError, UnpicklingError, EOFError, OSError) as error:
            raise InputError(
                f"{path}: the snapshot does not fit this configuration. Evaluate with the "
                "configuration that trained it, or train again."
            ) from error

    def fitting(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what to load of a snapshot: all of it, unless an evaluation knows better."""
        return state

    def embed(self, batches: Batches) -> Embedded:
        """Return the features of all `batches` by the network as it is loaded."""
        return embed(self.classifier, batches, self.device)

    def untrained(self, batches: Batches) -> ImageClassifier:
        """Return a copy of the network as it is before `load`: the encoder without its training.

        Args:
            batches: seen once in training mode, so that normalisation has their statistics.
        """
        classifier = deepcopy(self.classifier).train()
        with torch.no_grad():
            for batch in batches:
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

    def deploy(self, head: tuple[Tensor, Tensor] | None = None) -> None:
        """Write ``model.pt``: the classifier as it is loaded, with another head where one is given.

        Args:
            head: weight ``(outputs, F)`` and bias ``(outputs,)``.

        Raises:
            InputError: the network has another number of outputs.
        """
        if head is not None:
            linear = self.classifier.head
            weight, bias = head
            require(
                linear.weight.shape == weight.shape,
                f"{type(self).__name__}: the network must have {len(weight)} output(s), got "
                f"{len(linear.weight)}. Set num_classes of network_def.",
            )
            with torch.no_grad():
                linear.weight.copy_(weight)
                linear.bias.copy_(bias)
        about = {**self.about, "settings": self.settings}
        save_model(self.model_path, self.classifier, about)

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
        return json.loads(history.read_text())["epoch"][-1] if history.is_file() else math.inf


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
