"""The evaluation of one training run: linear evaluation at several epochs, baselines, audit.

``evaluate.json`` runs this. It reads the snapshots a training left in its run folder and writes, in
the same folder, ``evaluation.json``, ``scores.npz`` and ``gallery.npz`` (the report's input), and
the deployable ``model.pt``: the last encoder with the linear head fitted on all hold-out sets.
"""

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from monai.networks.layers.factories import Pool
from numpy.typing import NDArray

from common.checks import InputError, require
from common.evaluation.audit import audit_transforms
from common.evaluation.embedding import Embedded, embed
from common.evaluation.interval import patient_interval
from common.evaluation.linear_probe import Probe, fit_head, linear_probe
from common.evaluation.model_file import save_model
from common.evaluation.provenance import versions
from common.files import replacing
from common.methods import Method
from common.networks import ImageClassifier
from common.transforms import Composition

__all__ = ["LinearEvaluation"]

_LOG = logging.getLogger(__name__)
_LEVEL = 0.95
_METHOD = "bootstrap of the mean AUC over the three folds, patients drawn with replacement"


class LinearEvaluation:
    """Ruppli et al. 2022, section 2.4, on every snapshot of a run; see the module's docstring.

    Args:
        network: the method, as built by the training configuration.
        batches: the test part: "image", "label", "fold", "patient", optionally "mask" and "name".
        run_dir: folder of the run, with snapshots ``network_epoch=<n>.pt``.
        model_path: where the deployable network goes (``models/model.pt``).
        device: where to compute.
        bundle: name of the bundle.
        strategy: name of the strategy, as in the overlays.
        seed: of the run.
        settings: the dials to record.
    """

    def __init__(
        self,
        network: Method,
        batches: Iterable[Mapping[str, Any]],
        run_dir: str | Path,
        model_path: str | Path,
        device: str | torch.device,
        bundle: str,
        strategy: str,
        seed: int,
        settings: Mapping[str, Any],
    ) -> None:
        if not isinstance(network.transform, Composition):
            raise InputError(
                f"LinearEvaluation: network must transform its images with a Composition, got a "
                f"{type(network).__name__} without one. Evaluate its features with linear_probe."
            )
        self.network = network.to(device)
        self.transform = network.transform
        self.batches = batches
        self.run_dir = Path(run_dir)
        self.model_path = Path(model_path)
        self.device = device
        self.about = {"bundle": bundle, "strategy": strategy, "seed": seed}
        self.settings = dict(settings)

    def run(self) -> dict[str, Any]:
        """Evaluate all snapshots, write the results, and return what ``evaluation.json`` holds."""
        snapshots = self._snapshots()
        classifier = self.network.classifier
        baselines = self._baselines(classifier)
        epochs = []
        for epoch, path in snapshots:
            self._load(path)
            seen = embed(classifier, self.batches, self.device)
            probe = linear_probe(seen.h, seen.label, seen.fold)
            epochs.append(
                {"epoch": epoch, "auc_mean": probe.mean, "auc_std": probe.std}
                | {"auc_folds": probe.auc}
            )
        summary, gallery = audit_transforms(
            self.network.policy,
            self.transform,
            self.batches,
            self.device,
        )
        result = self._result(seen, probe, epochs, baselines, summary)
        self._arrays("gallery.npz", gallery)
        columns = {"label": seen.label, "fold": seen.fold, "patient": seen.patient}
        self._arrays("scores.npz", {**columns, "score": probe.scores})
        text = json.dumps(result, indent=1, allow_nan=False)
        with replacing(self.run_dir / "evaluation.json") as partial:
            partial.write_text(text + "\n")
        self._deploy(classifier, seen)
        low, high = result["interval"]["low"], result["interval"]["high"]
        _LOG.info(
            f"{self.about['strategy']}, seed {self.about['seed']}: AUC {probe.mean:.3f} "
            f"(95 % interval over patients {low:.3f} to {high:.3f}), written to {self.run_dir}"
        )
        return result

    def _arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        with replacing(self.run_dir / name) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def _snapshots(self) -> list[tuple[int, Path]]:
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

    def _last_epoch(self) -> float:
        """Epoch the training ended at; later snapshots are left over from a longer one."""
        history = self.run_dir / "history.json"
        return json.loads(history.read_text())["epoch"][-1] if history.is_file() else math.inf

    def _load(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state)
        except (RuntimeError, UnpicklingError, EOFError, OSError) as error:
            raise InputError(
                f"{path}: the snapshot does not fit this configuration. Evaluate with the "
                "configuration that trained it, or train again."
            ) from error

    def _baselines(self, classifier: ImageClassifier) -> dict[str, dict[str, float]]:
        """Pixels, and an untrained encoder whose normalisation has seen the images once."""
        untrained = deepcopy(classifier).train()
        pixels = []
        with torch.no_grad():
            for batch in self.batches:
                x = batch["image"].to(self.device)
                untrained.encode(x)
                pixels.append(_small(x))
        seen = embed(untrained, self.batches, self.device)
        baselines = {"pixels": np.concatenate(pixels), "untrained": seen.h}
        probes = {
            name: linear_probe(features, seen.label, seen.fold)
            for name, features in baselines.items()
        }
        return {name: {"auc_mean": p.mean, "auc_std": p.std} for name, p in probes.items()}

    def _result(
        self,
        seen: Embedded,
        probe: Probe,
        epochs: list[dict[str, Any]],
        baselines: dict[str, Any],
        summary: dict[str, Any],
    ) -> dict[str, Any]:
        low, high = patient_interval(seen.label, probe.scores, seen.fold, seen.patient)
        return {
            **self.about,
            "settings": self.settings,
            "versions": versions(),
            "counts": {
                "test_images": len(seen.label),
                "test_patients": len(np.unique(seen.patient)),
                "test_positive": int(seen.label.sum()),
            },
            "epochs": epochs,
            "auc_mean": probe.mean,
            "auc_std": probe.std,
            "interval": {"level": _LEVEL, "low": low, "high": high, "method": _METHOD},
            "baselines": baselines,
            "transform": summary,
        }

    def _deploy(self, classifier: ImageClassifier, seen: Embedded) -> None:
        weight, bias = fit_head(seen.h, seen.label)
        with torch.no_grad():
            classifier.head.weight.copy_(weight)
            classifier.head.bias.copy_(bias)
        save_model(self.model_path, classifier, {**self.about, "settings": self.settings})


def _small(x: torch.Tensor) -> NDArray[np.float32]:
    """Images averaged down to at most 32 pixels (2D) or 12 voxels (3D) a side, flat."""
    side = 32 if x.ndim == 4 else 12
    pool = Pool["ADAPTIVEAVG", x.ndim - 2]([min(side, n) for n in x.shape[2:]])
    return np.asarray(pool(x.float()).flatten(1).cpu())
