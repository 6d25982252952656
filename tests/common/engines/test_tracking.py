"""What TensorBoard and MLflow get of a training and of its evaluation."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from common.checks import InputError
from common.engines import Tracking
from common.engines.tracking import picture
from common.tracking import resume_tracker, start_tracker
from tests.common.evaluation.test_run import evaluation, read, snapshots
from tests.tiny import conv_method, entries, run_folder, trainer

IMAGES, BATCH, EPOCHS = 10, 3, 2
mlflow_is_installed = pytest.mark.skipif(find_spec("mlflow") is None, reason="no mlflow")


def followed(folder: Path, tracker: str, epochs: int = EPOCHS, resume: bool = False) -> Any:
    """Train; return the losses of all iterations and the network."""
    torch.manual_seed(0)
    engine = trainer(conv_method("learned"), entries(IMAGES), BATCH, max_epochs=epochs)
    validator = Engine(lambda *_: None)
    losses: list[float] = []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: losses.append(e.state.output[0]["loss"])
    )
    validator.add_event_handler(
        Events.EPOCH_COMPLETED, lambda e: e.state.metrics.update(auc=engine.state.epoch / 4)
    )
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: validator.run([0]))
    objects = {"network": engine.network, "optimizers": engine.optimizers}
    run_folder(folder, objects, resume=resume).attach(engine)
    Tracking(tracker, folder, "tiny", validator).attach(engine)
    engine.run()
    return losses, engine.network


def board(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in board(folder).Scalars(name)]


def test_tensorboard_gets_every_term_the_metrics_and_the_views(tmp_path: Path) -> None:
    losses, _ = followed(tmp_path / "run", "tensorboard")
    written = scalars(tmp_path / "run", "loss")
    assert [step for step, _ in written] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([value for _, value in written], losses, rtol=1e-6)
    assert scalars(tmp_path / "run", "auc") == [(1, 0.25), (2, 0.5)]
    tags = board(tmp_path / "run").Tags()
    assert {"policy/loss", "encoder/contrastive"} <= set(tags["scalars"])
    (views,) = board(tmp_path / "run").Images("views")
    assert (views.step, views.height % 3) == (1, 0)  # a row for each of three images


def test_tensorboard_does_not_wait_for_the_disk_after_each_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    flush = EventFileWriter.flush
    monkeypatch.setattr(EventFileWriter, "flush", lambda self: [waits.append(1), flush(self)])
    followed(tmp_path / "run", "tensorboard")
    assert len(waits) < 6  # iterations
    assert len(scalars(tmp_path / "run", "loss")) == 6


def test_following_changes_no_number_and_off_writes_nothing(tmp_path: Path) -> None:
    (off, network), (on, other) = (followed(tmp_path / k, k) for k in ("off", "tensorboard"))
    assert off == on
    torch.testing.assert_close(network.state_dict(), other.state_dict(), rtol=0, atol=0)
    assert not (tmp_path / "off" / "tensorboard").exists()
    assert resume_tracker(tmp_path / "off", "tiny") is None


def test_a_resumed_run_goes_on_in_its_curves(tmp_path: Path) -> None:
    first, _ = followed(tmp_path / "run", "tensorboard", epochs=1)
    more, _ = followed(tmp_path / "run", "tensorboard", resume=True)
    written = scalars(tmp_path / "run", "loss")
    np.testing.assert_allclose([value for _, value in written], first + more, rtol=1e-6)


def test_an_evaluation_adds_its_figures_to_the_run_that_was_followed(tmp_path: Path) -> None:
    snapshots(tmp_path / "run", 1, 4)
    (tmp_path / "run" / "tensorboard").mkdir()
    evaluation(tmp_path).run()
    ((epoch, value),) = scalars(tmp_path / "run", "evaluation/auc_mean")
    assert (epoch, value) == (4, pytest.approx(read(tmp_path)["auc_mean"], rel=1e-6))


def test_a_picture_has_a_row_for_each_image_and_a_column_for_each_view() -> None:
    x, views = torch.rand(2, 1, 4, 6), torch.ones(2, 1, 8, 8)
    actual = picture([x, views])
    assert actual.shape == (2 * 4, 2 * 6, 3)
    np.testing.assert_allclose(actual[4:, :6, 0], (x[1, 0] * 255).round())
    assert (actual[:, 6:] == 255).all()
    assert picture([torch.rand(3, 1, 4, 5, 7)]).shape == (12, 5, 3)


@mlflow_is_installed
@pytest.mark.filterwarnings("default")  # mlflow and its database warn of their own futures
def test_mlflow_gets_the_same_in_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    losses, _ = followed(tmp_path / "run", "mlflow", epochs=1)
    more, _ = followed(tmp_path / "run", "mlflow", resume=True)
    tracker: Any = resume_tracker(tmp_path / "run", "tiny")
    tracker.log({"evaluation/auc_mean": 0.75}, 2)
    number = tracker.run.info.run_id
    kept = tracker.client.get_metric_history(number, "loss")
    np.testing.assert_allclose([metric.value for metric in kept], losses + more)
    metrics = tracker.client.get_run(number).data.metrics
    assert (metrics["auc"], metrics["evaluation/auc_mean"]) == (0.5, 0.75)
    assert tracker.client.list_artifacts(number, "images")
    experiment = tracker.client.get_experiment_by_name("tiny").experiment_id
    assert [run.info.run_name for run in tracker.client.search_runs([experiment])] == ["run"]


@mlflow_is_installed
@pytest.mark.filterwarnings("default")
def test_mlflow_gets_the_figures_of_an_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    snapshots(tmp_path / "run", 1, 4)
    start_tracker("mlflow", tmp_path / "run", "tiny", {"epochs": 4}).close()
    evaluation(tmp_path).run()
    tracker: Any = resume_tracker(tmp_path / "run", "tiny")
    (kept,) = tracker.client.get_metric_history(tracker.run.info.run_id, "evaluation/auc_mean")
    assert (kept.step, kept.value) == (4, read(tmp_path)["auc_mean"])
    assert tracker.run.data.params == {"epochs": "4"}
    assert tracker.run.info.status == "FINISHED"


@mlflow_is_installed
@pytest.mark.bad_input("dials")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("uri", "line"),
    [
        ("http://127.0.0.1:9", "MLflow must answer, got an error"),
        ("sqlite:////proc/none/mlruns.db", "MLflow must answer, got an error .OperationalError"),
        ("postgresql+pg8000://someone:secret@127.0.0.1:9/x", "pg8000 must be installed"),
        ("mysql+nothing://127.0.0.1/x", "MLflow must answer, got an error .NoSuchModuleError"),
    ],
    ids=["server", "sqlite", "driver", "kind"],
)
def test_a_place_that_does_not_answer_is_told_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, line: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match=f"tracker: {line}") as caught:
        start_tracker("mlflow", tmp_path / "run", "tiny")
    assert "secret" not in str(caught.value)
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@mlflow_is_installed
@pytest.mark.filterwarnings("default")
def test_mlflow_is_told_that_a_resumed_run_has_more_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for epochs, done in ((4, 0), (9, 1)):
        tracker: Any = start_tracker("mlflow", tmp_path / "run", "tiny", {"epochs": epochs}, done)
        tracker.close()
    data = tracker.client.get_run(tracker.run.info.run_id).data
    assert (data.params["epochs"], data.tags["resumed.epochs"]) == ("4", "9")


@pytest.mark.bad_input("dials")
def test_a_file_where_tensorboard_writes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("")
    with pytest.raises(InputError, match=r"tracker: .*tensorboard must be a folder"):
        start_tracker("tensorboard", tmp_path, "tiny")


@pytest.mark.bad_input("dials")
def test_an_unknown_tracker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tracker: must be off or tensorboard or mlflow, got 'x'"):
        Tracking("x", tmp_path, "tiny")


@pytest.mark.bad_input("dials")
@pytest.mark.skipif(find_spec("mlflow") is not None, reason="mlflow is installed")
def test_a_tracker_that_is_not_installed_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"tracker: mlflow.* must be installed .* or use tensorboard"
    ):
        Tracking("mlflow", tmp_path / "run", "tiny")
    assert not (tmp_path / "run").exists()
