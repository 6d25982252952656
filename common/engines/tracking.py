"""The handler that lets a training be followed in TensorBoard or MLflow."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from common.checks import require
from common.config import run_record
from common.distributed import rank
from common.engines.trainer import ContrastiveTrainer
from common.tracking import OFF, Tracker, require_tracker, start_tracker

__all__ = ["Tracking"]

IMAGES = 4  # of a batch, in a picture


class Tracking:
    """Logs every term of the loss, the validation's metrics, and now and then what views look like.

    It comes after `RunFolder`, which knows where a resumed run goes on. On several ranks only the
    first logs. Nothing that is drawn for a picture changes what is trained.

    Args:
        tracker: "off", "tensorboard" or "mlflow"; see `common.tracking`.
        run_dir: folder of the run.
        bundle: name of the bundle: MLflow's experiment.
        validator: the evaluator whose metrics are logged; None for none.
        picture_interval: epochs between two pictures of views; the first epoch has one.
    """

    def __init__(
        self,
        tracker: str,
        run_dir: str | Path,
        bundle: str,
        validator: Engine | None = None,
        picture_interval: int = 5,
    ) -> None:
        require_tracker(tracker)
        require(
            picture_interval >= 1,
            f"Tracking: picture_interval must be at least 1, got {picture_interval}.",
        )
        self.kind = tracker
        self.run_dir = Path(run_dir)
        self.bundle = bundle
        self.validator = validator
        self.picture_interval = picture_interval
        self._tracker: Tracker | None = None

    def attach(self, engine: ContrastiveTrainer) -> None:
        """Listen to `engine`, if a tracker was chosen."""
        if self.kind != OFF and rank() == 0:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._show)
            engine.add_event_handler(Events.COMPLETED, self._end)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: ContrastiveTrainer) -> None:
        if self._tracker is not None:  # a trainer that is run again goes on
            return
        dials = run_record()["dials"]
        done: Any = engine.state.iteration
        self._tracker = start_tracker(self.kind, self.run_dir, self.bundle, dials, done)
        self._tracker.follow(engine, self.validator)

    def _show(self, engine: ContrastiveTrainer) -> None:
        epoch, batch = engine.state.epoch, engine.state.batch
        due = epoch == 1 or epoch % self.picture_interval == 0
        if self._tracker is None or not due or not isinstance(batch, dict):
            return
        x = batch["image"][:IMAGES].to(engine.state.device)
        with torch.random.fork_rng([x.device] if x.is_cuda else []), torch.no_grad():
            engine.method.eval()
            views = [view for _ in range(2) for view in engine.method.views_of(x)]
        if views and x.ndim > 2:
            self._tracker.show("views", picture([x, *views]), epoch)

    def _end(self, _: ContrastiveTrainer) -> None:
        if self._tracker is not None:
            self._tracker.close()

    def _fail(self, *_: Any) -> None:
        if self._tracker is not None:
            self._tracker.close(failed=True)
            self._tracker = None


def picture(columns: list[Tensor]) -> NDArray[np.uint8]:
    """Lay images out, a row for each, its views side by side.

    Args:
        columns: ``(B, C, *spatial)`` in [0, 1]; of volumes the middle axial slice is shown; views
            of another size than the first column's are resized.

    Returns:
        ``(B H, V W, 3)``.
    """
    flat = [x[..., x.shape[-1] // 2] if x.ndim == 5 else x for x in columns]
    size = flat[0].shape[2:]
    shown = [
        (x if x.shape[2:] == size else interpolate(x, size))[:, :3].float().cpu() for x in flat
    ]
    rows = torch.stack(shown, dim=3).permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1)
    grey = (rows.clamp(0, 1) * 255).round().byte().numpy()
    return np.asarray(grey if grey.shape[2] == 3 else np.repeat(grey[..., :1], 3, axis=2))
