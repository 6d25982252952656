"""One predictor for scripts, the command line and inference.json.

::

    paths ──ImageFiles (`read_ahead` in worker processes: check, read, prepare)──▶ groups of images
    images ──encoder──▶ h ──head, postprocessing──▶ values ──columns──▶ Prediction
    Prediction ──▶ a list in memory, or a `PredictionFolder` (and its sinks) on the disk

Everything that depends on the model is read from its ``model.json`` (`TrainedModel`). What others
add has a place each: a *check* of a file before it is read (`common.data.ImageFiles`), *columns* of
a batch (`Seen`), *viewers*, which get each batch and make pictures of it, and *sinks*, which write
something for each prediction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor

from common.checks import require
from common.config.endings import does_not_fit
from common.config.limits import is_device
from common.data import ImageFiles
from common.deploy.explanation import Explanation, explanations
from common.deploy.prediction import Columns, Embeddings, Prediction, Seen
from common.deploy.prediction_folder import PredictionFolder
from common.deploy.read_ahead import read_ahead
from common.deploy.strangers import Strangers
from common.deploy.trained_model import TrainedModel
from common.networks import ImageClassifier

__all__ = ["Predictor"]

Viewer = Callable[[Sequence[Mapping[str, Any]], Tensor], None]


class Predictor:
    """A trained model that predicts on files; loads its weights when first used.

    Args:
        model: what was trained.
        network: its network, as `TrainedModel.network` builds it.
        dataset: how files are read; its source is what `run` predicts on.
        postprocessing: of one image's ``{"pred": logits}``.
        inferer: calls the encoder.
        device: where to compute.
        batch_size: images at most.
        num_workers: processes that read; None for as many as there are cores, at most four, and
            none for a few files.
        output_dir: where `run` writes.
        viewers: called with the entries and the images ``(B, C, *spatial)`` of each batch of `run`.
    """

    def __init__(
        self,
        model: TrainedModel,
        network: ImageClassifier,
        dataset: ImageFiles,
        postprocessing: Callable[[Any], Any],
        inferer: Inferer | None = None,
        device: str | torch.device = "cpu",
        batch_size: int = 16,
        num_workers: int | None = None,
        output_dir: str | Path = "eval",
        viewers: Sequence[Viewer] = (),
    ) -> None:
        self.model = model
        self.network = network
        strangers = Strangers(model)
        self.dataset = strangers.guard(dataset)
        self.postprocessing = postprocessing
        self.inferer = inferer or SimpleInferer()
        require(
            is_device(device),
            f"device: must be a device of this machine, such as cpu or cuda:0, got {device!r}.",
        )
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.output_dir = Path(output_dir)
        self.viewers = viewers
        self.columns: list[Columns] = [self._call, strangers.columns]
        self._ready = False

    @property
    def names(self) -> list[str]:
        """Names of the values: one for each output of the network."""
        kind = "predicted" if self.model.regression else "probability"
        outputs = self.network.head.out_features
        return [f"{kind}_{name}" for name in self.model.classes(outputs)]

    def predict(self, paths: Any) -> list[Prediction]:
        """Predict on files, folders, datalists or arrays.

        Args:
            paths: one or a list; see `common.data.ImageFiles`.

        Returns:
            One for each image, in order; a file without an image has a `Prediction.reason`.

        Raises:
            InputError: no model, or one whose head was never fitted; never for a file.
        """
        self.require_head()
        return list(self.stream(paths))

    def embed(self, paths: Any) -> Embeddings:
        """Return the representations of images; see `predict`."""
        predictions = list(self.stream(paths))
        embedded = [one for one in predictions if one.h is not None]
        width = self.network.head.in_features
        return Embeddings(
            np.stack([one.h for one in embedded]) if embedded else np.zeros((0, width), np.float32),  # type: ignore[misc]
            [one.file for one in embedded],
            np.array([one.slice for one in embedded], np.int64),
            [(one.file, one.reason) for one in predictions if one.reason],
        )

    def reference(self, path: str | Path) -> dict[str, Any]:
        """Calibrate on scans of one's own scanner, whose ages or classes a table says.

        Every later prediction has the calibrated value beside the model's.

        Args:
            path: CSV, see `common.deploy.reference.read_reference`.

        Returns:
            What holds for all predictions: ``{"calibration": ...}``.

        Raises:
            InputError: a fault of the table, fewer than ten scans that can be read, or scans that
                say nothing.
        """
        from common.deploy.reference import calibrate

        calibrated, record = calibrate(self, path)
        self.columns.append(calibrated.columns)
        return {"calibration": record}

    def explain(
        self, paths: Any, methods: Sequence[str] = (), among: Any = None
    ) -> list[Explanation]:
        """Say what the output for each image depends on; see `common.deploy.explanation`.

        Args:
            paths: as `predict` takes them.
            methods: "gradcam", "occlusion", "smoothgrad" or "attention"; two that suit the model
                unless given.
            among: known images, likewise, to find the nearest of; None for none.

        Returns:
            One for each file, in order; `write_explanations` makes a page of them.

        Raises:
            InputError: as `predict`, or an unknown method; never for a file.
        """
        self.require_head()
        self._prepare()
        return list(explanations(self, paths, methods, among))

    def said_of(self, entries: Sequence[dict[str, Any]], x: Tensor) -> list[Prediction]:
        """Return the predictions of images ``(B, C, *spatial)`` that were read already."""
        self._prepare()
        return list(self._batch(entries, x))

    def files(self, paths: Any) -> ImageFiles:
        """Return what `predict` is given, as files that are read when they are asked for."""
        single = isinstance(paths, str | Path | np.ndarray | Tensor | Mapping)
        require(
            single or isinstance(paths, Iterable),
            f"predict: paths must be a path, an array or a list of them, got "
            f"{type(paths).__name__}.",
        )
        files = self.dataset.of([paths] if single else list(paths))
        require(len(files) > 0, "predict: paths must name something to predict on, got none.")
        return files

    def stream(self, paths: Any) -> Iterator[Prediction]:
        """Yield what `predict` returns, one after the other, so that memory does not grow."""
        for chunk in self.chunks(self.files(paths)):
            yield from chunk

    def chunks(
        self, files: ImageFiles, todo: Sequence[int] | None = None
    ) -> Iterator[list[Prediction]]:
        """Yield the predictions of some files at once.

        Args:
            files: to read.
            todo: numbers of the files; all unless given.
        """
        self._prepare()
        for groups in read_ahead(files, self.batch_size, self.num_workers, todo):
            yield [one for entries, x in groups for one in self._group(entries, x)]

    def run(self) -> None:
        """Predict on the files of `dataset` into `output_dir`, as inference.json does."""
        head = self.model.head_fitted
        folder = PredictionFolder(
            self.output_dir, table="csv" if head else None, embeddings="npz", again=True
        )
        folder.write(self, self.dataset)

    def _prepare(self) -> None:
        """Load the weights, once."""
        if not self._ready:
            self.model.load(self.network)
            self._check_call()
            self.network.to(self.device).eval()
            self._ready = True

    def require_head(self) -> None:
        """Refuse a model that can only embed."""
        require(
            not self.model.record or self.model.head_fitted,
            f"{self.model.path}: the head of this model was never fitted, so it can embed but not "
            "predict. Use embed, or evaluate the model first.",
        )

    def _group(self, entries: list[dict[str, Any]], x: Tensor | None) -> Iterator[Prediction]:
        """Predict on images of one shape; pass on why a file has none."""
        if x is None:
            yield from (_left_out(entry, entry["reason"]) for entry in entries)
            return
        for start in range(0, len(x), self.batch_size):
            some = entries[start : start + self.batch_size]
            try:
                yield from self._batch(some, x[start : start + self.batch_size])
            except (RuntimeError, ValueError) as error:
                if not does_not_fit(error):
                    raise
                reason = (
                    "must have the channels and the size that the network is made for, got "
                    f"{tuple(x.shape[1:])}. Prepare it as the training images were."
                )
                yield from (_left_out(entry, f"{entry['name']}: {reason}") for entry in some)

    @torch.inference_mode()
    def _batch(self, entries: Sequence[dict[str, Any]], x: Tensor) -> list[Prediction]:
        h = self.inferer(x.to(self.device), self.network.encode)
        logits = self.network.head(h).float().cpu()
        # (classes, B): for a transform of one image, the images of a batch are what pixels are
        values = torch.as_tensor(self.postprocessing({"pred": logits.T})["pred"]).T.numpy()
        batch = Seen(entries, x, h.float().cpu().numpy(), values, self.names)
        for viewer in self.viewers:
            viewer(entries, x)
        added = [columns(batch) for columns in self.columns]
        return [self._prediction(batch, row, added) for row in range(len(entries))]

    def _check_call(self) -> None:
        rule, outputs = self.model.call_rule, self.network.head.out_features
        require(
            rule is None or len(rule.thresholds) in (0, outputs),
            f"{self.model.record_path}: call must have a threshold for each of the {outputs} "
            "outputs, or none, got another number. Evaluate the run again.",
        )

    def _call(self, batch: Seen) -> dict[str, list[str]]:
        """The column "call": the class of each image, where the model says how one is called."""
        rule = self.model.call_rule
        if rule is None or not self.model.head_fitted:
            return {}
        return {"call": rule.calls(self.model.classes(batch.values.shape[1]), batch.values)}

    def _prediction(
        self, batch: Seen, row: int, added: Sequence[Mapping[str, Sequence[str | float]]]
    ) -> Prediction:
        """Say of one image of a batch what the network and the columns say."""
        entry, values = batch.entries[row], batch.values[row]
        if not np.isfinite(values).all():
            rule = "must give a finite value, got NaN or infinity. Look at the image."
            return _left_out(entry, f"{entry['name']}: {rule}")
        said = dict(zip(self.names, map(float, values))) if self.model.head_fitted else {}
        known = _known(entry, said) if self.model.regression else {}
        more = {name: cells[row] for each in added for name, cells in each.items()}
        if "flags" in entry:  # of a raw head that was prepared
            warnings = (more.get("warning"), *entry["flags"])
            more["warning"] = "; ".join(str(word) for word in warnings if word)
        return Prediction(
            str(entry["name"]),
            int(entry.get("slice", -1)),
            said,
            {**known, **more},
            batch.h[row],
            paths=_paths(entry),
            index=int(entry.get("index", -1)),
        )


def _left_out(entry: Mapping[str, Any], reason: str) -> Prediction:
    """A file, or a slice of one, that nothing is said of."""
    index = int(entry.get("slice", -1))
    return Prediction(str(entry["name"]), index, reason=reason, paths=_paths(entry))


def _paths(entry: Mapping[str, Any]) -> tuple[Path, ...]:
    source = entry.get("source", ())
    return (Path(source),) if isinstance(source, str) else tuple(map(Path, source))


def _known(entry: Mapping[str, Any], said: Mapping[str, float]) -> dict[str, str | float]:
    """The true value where the datalist gives it, and how far the prediction is above it."""
    known: dict[str, str | float] = {}
    for name, value in said.items():
        name = name.removeprefix("predicted_")
        true = entry.get(name)
        number = float(true) if isinstance(true, int | float) else float("nan")
        given = np.isfinite(number)
        known |= {name: number if given else "", f"{name}_gap": value - number if given else ""}
    return known
