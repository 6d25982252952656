"""Where a run is followed while it lasts, TensorBoard or MLflow: losses, metrics, views, figures.

::

    <output_dir>/<run>/tensorboard/   event files, for ``tensorboard --logdir <output_dir>``
    <output_dir>/<run>/mlflow.json    the run's number in MLflow, for its resumption and evaluation
    <output_dir>/mlruns.db, mlruns/   MLflow's own, unless MLFLOW_TRACKING_URI names a server

Numbers of a training go there through MONAI's own handlers. `start_tracker` opens one for a
training, `resume_tracker` the same again for its evaluation. Nothing of either is imported where a
run is not followed.
"""

import json
import logging
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.checks import InputError, require
from common.files import read_json, replacing

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["TRACKERS", "Tracker", "numbers", "resume_tracker", "start_tracker"]

OFF = "off"
TRACKERS = (OFF, "tensorboard", "mlflow")
FLUSH = 30  # seconds between two writes of TensorBoard's to the disk
BOARD, NUMBER = "tensorboard", "mlflow.json"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
NO_ANSWER = (
    "tracker: MLflow must answer, got an error ({}). Check MLFLOW_TRACKING_URI, or leave --tracker "
    "out."
)


class Tracker(ABC):
    """One run's place in a tracking tool."""

    @abstractmethod
    def follow(self, trainer: "Engine", validator: "Engine | None") -> None:
        """Log the terms of every iteration of `trainer`, and the metrics of `validator`."""

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name."""

    @abstractmethod
    def show(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Log a picture ``(H, W, 3)``."""

    @abstractmethod
    def close(self, failed: bool = False) -> None:
        """End: all was logged, or the training ended in an error."""


def start_tracker(
    kind: str,
    run_dir: Path,
    experiment: str,
    dials: Mapping[str, Any] | None = None,
    resumed_at: int = 0,
) -> Tracker:
    """Open the tracker of a training.

    Args:
        kind: "tensorboard" or "mlflow".
        run_dir: folder of the run.
        experiment: what MLflow groups runs by: the bundle.
        dials: parameters of the run, which MLflow keeps.
        resumed_at: iterations that were done before; 0 begins a new run.

    Raises:
        InputError: MLflow is not installed, or does not answer.
    """
    if kind == "tensorboard":
        return _TensorBoard(run_dir, resumed_at)
    path = run_dir / NUMBER
    if not resumed_at:
        path.unlink(missing_ok=True)
    return _MLflow(run_dir, experiment, dials or {})


def resume_tracker(run_dir: Path, experiment: str) -> Tracker | None:
    """Open the tracker that followed the training in `run_dir`; None where none did."""
    if (run_dir / NUMBER).is_file():
        return _MLflow(run_dir, experiment, {})
    if (run_dir / BOARD).is_dir():
        return _TensorBoard(run_dir)
    return None


def numbers(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    """Yield (name, value) of the finite numbers of nested objects; lists are left out.

    >>> dict(numbers({"auc": 0.9, "interval": {"low": 0.8, "of": "patients"}}, "evaluation"))
    {'evaluation/auc': 0.9, 'evaluation/interval/low': 0.8}
    """
    for key, value in content.items():
        name = f"{prefix}/{key}"
        if isinstance(value, Mapping):
            yield from numbers(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
            yield re.sub(r"[^\w\-. /:]", "_", name), float(value)


class _TensorBoard(Tracker):
    def __init__(self, run_dir: Path, resumed_at: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purge = resumed_at + 1 if resumed_at else None
        try:
            self.writer = SummaryWriter(run_dir / BOARD, purge_step=purge, flush_secs=FLUSH)
        except OSError as error:
            raise InputError(
                f"tracker: {run_dir / BOARD} must be a folder one may write to, got an error "
                f"({error.strerror}). Move it away, or leave --tracker out."
            ) from None

        # MONAI's handlers would wait for the disk after every iteration: it has its own clock
        self.writer.flush = lambda: None  # type: ignore[method-assign]

    def follow(self, trainer: "Engine", validator: "Engine | None") -> None:
        from monai.handlers import TensorBoardStatsHandler

        often = _every(trainer)
        handler = TensorBoardStatsHandler(self.writer, iteration_log=often, output_transform=_terms)
        handler.attach(trainer)
        if validator is not None:
            TensorBoardStatsHandler(
                self.writer,
                iteration_log=False,
                global_epoch_transform=lambda _: trainer.state.epoch,
            ).attach(validator)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def show(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        self.writer.add_image(name, picture, step, dataformats="HWC")

    def close(self, failed: bool = False) -> None:
        self.writer.close()


class _MLflow(Tracker):
    """A run of MLflow; its number is kept in the run's folder."""

    def __init__(self, run_dir: Path, experiment: str, dials: Mapping[str, Any]) -> None:
        import mlflow

        for name in ("mlflow", "alembic"):  # they tell of every table they make
            logging.getLogger(name).setLevel(logging.WARNING)
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or _database(run_dir.parent)
        if self.uri.startswith(DATABASES):
            _require_answer(self.uri)
        try:
            with _impatient():
                self.client: Any = mlflow.MlflowClient(self.uri)
                self.experiment, self.run = self._run(run_dir, experiment, dials)
        except (mlflow.MlflowException, OSError, ImportError) as error:
            raise InputError(NO_ANSWER.format(type(error).__name__)) from None

    def _run(self, run_dir: Path, name: str, dials: Mapping[str, Any]) -> tuple[Any, Any]:
        """The experiment, and the run whose number the folder holds, or a new one."""
        path = run_dir / NUMBER
        if path.is_file():
            number = read_json(path, "Delete it: a new run then begins in MLflow.").get("run_id")
            run = self.client.get_run(str(number))
            for dial, value in dials.items():  # MLflow keeps the first value of a parameter
                if run.data.params.get(dial, told := str(value)[:500]) != told:
                    self.client.set_tag(run.info.run_id, f"resumed.{dial}", told)
            return self.client.get_experiment(run.info.experiment_id), run
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            local = self.uri.startswith("sqlite:")
            place = (run_dir.parent.resolve() / "mlruns").as_uri() if local else None
            number = self.client.create_experiment(name, artifact_location=place)
            experiment = self.client.get_experiment(number)
        run = self.client.create_run(experiment.experiment_id, run_name=run_dir.name)
        for dial, value in dials.items():
            self.client.log_param(run.info.run_id, dial, str(value)[:500])
        with replacing(path) as partial:
            partial.write_text(json.dumps({"run_id": run.info.run_id}) + "\n")
        return experiment, run

    def follow(self, trainer: "Engine", validator: "Engine | None") -> None:
        self._handler(iteration_log=_every(trainer), output_transform=_terms).attach(trainer)
        if validator is not None:
            epoch: Any = lambda _: trainer.state.epoch  # noqa: E731
            self._handler(iteration_log=False, global_epoch_transform=epoch).attach(validator)

    def _handler(self, **arguments: Any) -> Any:
        from monai.handlers import MLFlowHandler

        handler = MLFlowHandler(tracking_uri=self.uri, **arguments)
        handler.experiment, handler.cur_run = self.experiment, self.run
        return handler

    def log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self.client.log_batch(self.run.info.run_id, metrics=metrics)

    def show(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        self.client.log_image(self.run.info.run_id, picture, key=name, step=step)

    def close(self, failed: bool = False) -> None:
        self.client.set_terminated(self.run.info.run_id, "FAILED" if failed else "FINISHED")


def _every(trainer: Any) -> bool | int:
    """How often a handler of MONAI's is to read what the trainer gives: when it has read it."""
    interval: int = getattr(trainer, "log_interval", 1)
    return interval if interval > 1 else True


def _terms(output: Any) -> dict[str, float]:
    terms: dict[str, float] = output[0]
    return terms


@contextmanager
def _impatient() -> Iterator[None]:
    """Ask a server twice: unless told otherwise MLflow tries for minutes, without a word."""
    given = RETRIES in os.environ
    os.environ.setdefault(RETRIES, "1")
    try:
        yield
    finally:
        if not given:
            del os.environ[RETRIES]


def _require_answer(uri: str) -> None:
    """Refuse a database that cannot be opened: MLflow tries for two minutes, and then raises."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    patience = {"connect_timeout": 5} if uri.startswith(("postgresql", "mysql")) else {}
    try:
        engine = create_engine(uri, connect_args=patience)
        engine.connect().close()
        engine.dispose()
    except ImportError as error:
        raise InputError(
            f"tracker: {error.name} must be installed for the database that MLFLOW_TRACKING_URI "
            f"names, got none. pip install {error.name}"
        ) from None
    except (SQLAlchemyError, OSError, ValueError, TypeError) as error:  # its text has the password
        raise InputError(NO_ANSWER.format(type(error).__name__)) from None


def _database(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: must be a folder one may write to, got an error ({error.strerror}). Name "
            "another folder."
        ) from None
    return f"sqlite:///{folder.resolve() / 'mlruns.db'}"


def require_tracker(kind: str) -> None:
    """Refuse an unknown tracker, and one that is not installed."""
    require(kind in TRACKERS, f"tracker: must be {' or '.join(TRACKERS)}, got {kind!r}.")
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:"  # MLflow's own, unless told otherwise
    needed = ["mlflow", *(["sqlalchemy", "alembic"] if uri.startswith(DATABASES) else [])]
    missing = [name for name in needed if find_spec(name) is None] if kind == "mlflow" else []
    require(
        not missing,
        f"tracker: {' and '.join(missing)} must be installed to follow a run in MLflow, got none. "
        "pip install 'monai-contrastive-bundles[tracking]', or use tensorboard.",
    )
