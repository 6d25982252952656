"""What every evaluation of a training run does: find its snapshots, load, write, deploy."""

import json
import logging
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, NotRequired, TypedDict, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.checks import require
from common.config import RECORD, current_parser, read_record, run_record
from common.data import class_names, read_manifest
from common.deploy import CallRule, digest, load_weights, output_names, read_weights, save_model
from common.deploy.embedding import Embedded, embed
from common.deploy.provenance import versions
from common.evaluation.familiar import familiar_images
from common.files import locked, read_json, replacing
from common.methods import Method
from common.metrics.plain_features import pixels
from common.report.kind import Kind
from common.report.load import EVALUATION
from common.report.schema import from_json, to_json
from common.tracking import numbers, resume_tracker

__all__ = ["HEADS", "Batches", "Evaluated", "RunArguments", "RunEvaluation", "pixels", "raw_name"]

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
        manifest: `common.data.read_manifest` of it, for the data set's name, subgroups and places.
    """

    network: Method
    run_dir: str | Path
    model_path: str | Path
    device: str | torch.device
    data: str | Sequence[str]
    manifest: NotRequired[Mapping[str, Any]]


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        figures: what the kind's schema holds, as JSON objects.
        arrays: the arrays of each archive, by its name in the run folder.
        summary: the figures in one line, for the log.
        head: weight ``(outputs, F)`` and bias ``(outputs,)`` to deploy; None for the trained one.
        classes: names of the outputs; those of the training data unless given.
        call_rule: how the values of the head become a class; None where they do not.
    """

    figures: Mapping[str, Any]
    arrays: Mapping[str, Mapping[str, NDArray[Any]]]
    summary: str
    head: tuple[Tensor, Tensor] | None = None
    classes: Sequence[str] | None = None
    call_rule: CallRule | None = None


class RunEvaluation(ABC):
    """An evaluation that ``evaluate.json`` runs on the snapshots a training left in its folder.

    What the run is called and how it was trained is read from its record. An evaluation has a
    `kind`, whose schema ``evaluation.json`` follows, and computes what that holds.

    Args:
        run: see `RunArguments`.

    Raises:
        InputError: the folder holds no run, or a damaged record.
    """

    kind: ClassVar[Kind]

    def __init__(self, **run: Unpack[RunArguments]) -> None:
        self.network = run["network"].to(run["device"])
        self.classifier = self.network.classifier
        self.run_dir = Path(run["run_dir"])
        self.output = self.run_dir
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
        self.manifest = run.get("manifest")
        self.classes = _class_names(run["data"], self.record)

    def run(self) -> dict[str, Any]:
        """Evaluate, write the results, deploy, and return what ``evaluation.json`` holds."""
        with locked(self.run_dir):
            self._tell_of_how_many_epochs(self.snapshots()[-1][0])
            evaluated = self.evaluate()
            self._check_head(evaluated)
            whole = self._write(evaluated)
            self._deploy(evaluated)
            self._track(evaluated.figures)
            who = f"{self.about['strategy']}, seed {self.about['seed']}"
            _LOG.info(f"{who}: {evaluated.summary}, written to {self.output}")
            return whole

    @abstractmethod
    def evaluate(self) -> "Evaluated":
        """Evaluate the snapshots; the last one stays loaded, to be deployed."""

    def snapshots(self) -> list[tuple[int, Path]]:
        """Return (epoch, file) of the snapshots of the run, in the order of training."""
        paths = {}
        for path in self.run_dir.glob("network_epoch=*.pt"):
            match = re.fullmatch(r"network_epoch=(\d+)\.pt", path.name)
            if match:
                paths[int(match[1])] = path
        last = self._last_epoch()
        kept = sorted((epoch, path) for epoch, path in paths.items() if epoch <= last)
        require(
            bool(kept),
            f"{self.run_dir}: holds no snapshot network_epoch=<n>.pt. Run train.json with the same "
            "strategy, seed and output_dir first.",
        )
        return kept

    def load(self, path: Path) -> None:
        """Load a snapshot into the network.

        Raises:
            InputError: it belongs to another configuration, is damaged or not finite.
        """
        load_weights(path, self.network, self.fitting(read_weights(path)))

    def course(self) -> Iterator[int]:
        """Load one snapshot after the other, and say of which epoch it is."""
        for epoch, path in self.snapshots():
            self.load(path)
            yield epoch

    def fitting(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what to load of a snapshot: all of it, unless an evaluation knows better."""
        return state

    def embed(self, batches: Batches) -> Embedded:
        """Return the features of all `batches` by the network as it is loaded."""
        return embed(self.classifier, batches, self.device)

    def untrained(self, *parts: Batches) -> list[Embedded]:
        """Return the features of `parts` by the network as it is before `load`: not trained.

        Args:
            parts: the first is seen once in training mode, so that normalisation has its
                statistics; a batch of one image, which has none, is passed over.
        """
        classifier = deepcopy(self.classifier).train()
        with torch.no_grad():
            for batch in parts[0]:
                if len(batch["image"]) > 1:
                    classifier.encode(batch["image"].to(self.device))
        return [embed(classifier, part, self.device) for part in parts]

    def _write(self, evaluated: "Evaluated") -> dict[str, Any]:
        """Write ``evaluation.json`` by the kind's schema, and archives, each whole or not at all.

        Returns:
            What ``evaluation.json`` holds: bundle, strategy, seed, settings, versions, figures.
        """
        path = self.output / EVALUATION
        about = {**self.about, "settings": self.settings, "versions": versions()}
        about |= {"date": date.today().isoformat()}
        about |= {"data_set": self.manifest["source"]} if self.manifest else {}
        figures = to_json(from_json(self.kind.result, evaluated.figures, path))
        whole = {**about, "kind": self.kind.name, **figures}
        for name, content in evaluated.arrays.items():
            with replacing(self.output / name) as partial, partial.open("wb") as file:
                np.savez_compressed(file, **content)  # type: ignore[arg-type]
        text = json.dumps(whole, indent=1, allow_nan=False)
        with replacing(path) as partial:
            partial.write_text(text + "\n")
        return whole

    def _track(self, figures: Mapping[str, Any]) -> None:
        """Log the figures where the training was followed."""
        tracker = resume_tracker(self.run_dir, self.about["bundle"])
        if tracker is not None:
            tracker.log(dict(numbers(figures, "evaluation")), self.snapshots()[-1][0])
            tracker.close()

    def _check_head(self, evaluated: "Evaluated") -> None:
        """Refuse, before anything is written, a head of another number of outputs."""
        if evaluated.head is not None:
            weight, own = evaluated.head[0], self.classifier.head.weight
            require(
                own.shape == weight.shape,
                f"{type(self).__name__}: the network must have {len(weight)} output(s), got "
                f"{len(own)}. Set num_classes of network_def.",
            )

    def _deploy(self, evaluated: "Evaluated") -> None:
        """Write ``model.pt``: the classifier as it is loaded, with the evaluation's head if any."""
        linear = self.classifier.head
        if evaluated.head is not None:
            weight, bias = evaluated.head
            with torch.no_grad():
                linear.weight.copy_(weight)
                linear.bias.copy_(bias)
        about = {
            **self.record,
            **self.now,
            "classes": evaluated.classes
            or output_names(
                self.classes if evaluated.head is not None else self.record.get("classes") or [],
                linear.out_features,
            ),
            "head_fitted": evaluated.head is not None or digest(linear) != self.record.get("head"),
            "call": evaluated.call_rule and evaluated.call_rule.record(),
            **familiar_images(self.classifier, self.device),
        }
        save_model(self.model_path, self.classifier, about)
        _LOG.info("%s: deployed", self.model_path)

    @property
    def most_probable(self) -> CallRule:
        """The rule that calls the most probable of the classes of the data."""
        return CallRule(self.classes[0] if len(self.classes) == 2 else "none")

    def means_trained(self, deployed_head: str) -> bool:
        """Return whether `deployed_head` says "trained"; refuse anything but `HEADS`."""
        require(
            deployed_head in HEADS,
            f"{type(self).__name__}: deployed_head must be {' or '.join(map(repr, HEADS))}, got "
            f"{deployed_head!r}.",
        )
        return deployed_head == "trained"

    def _tell_of_how_many_epochs(self, last: int) -> None:
        """Record, and say, of which epoch this is where the training did not end."""
        planned = self.record["config"].get("epochs")
        if isinstance(planned, int) and last < planned:
            self.settings["epochs"] = last
            _LOG.warning(
                f"{self.run_dir}: evaluated after epoch {last} of {planned}, the last that is "
                "saved. To go on, run train.json with --resume True and evaluate again."
            )

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


def _class_names(data: str | Sequence[str], record: Mapping[str, Any]) -> list[str]:
    """Name the classes of what is evaluated on: those of the training where the data are its."""
    parser = current_parser()
    if data == record.get("data") or parser is None or "dataset_dir" not in parser:
        return record.get("classes") or []
    return class_names(read_manifest(str(parser.get_parsed_content("dataset_dir"))))


def raw_name(batches: Batches) -> str:
    """Return what the baseline without an encoder reads: "pixels", or "features" of tables."""
    return "features" if next(iter(batches))["image"].ndim == 2 else "pixels"
