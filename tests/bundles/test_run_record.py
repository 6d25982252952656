"""A run writes down what it was started with; evaluation, resume and inference read it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from common.checks import InputError
from common.config.record import MECHANICS, STRUCTURE, run_record
from tests.bundles.conftest import images_of
from tests.commands import BUNDLES, ROOT
from tests.models import written_record

BUNDLE = ROOT / "bundles" / "brain_mri_learned_transforms"
SMALL = {
    **{"image_size": 32, "channels": [4, 8]},
    **{"epochs": 1, "batch_size": 8, "label_fraction": 0.5},
}


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_every_dial_but_the_mechanics_is_recorded(bundle: Path) -> None:
    parser = ConfigParser(ConfigParser.load_config_file(bundle / "configs" / "train.json"))
    parser["record"] = {"_target_": "common.config.run_record"}
    record = parser.get_parsed_content("record")
    plain = {key for key in parser["sources"] if not is_built(parser[key])}
    assert plain - MECHANICS <= set(record["dials"])
    assert set(record["config"]) == set(parser.get()) - MECHANICS - STRUCTURE
    assert not (MECHANICS | {"sources"}) & {*record["dials"], *record["config"]}
    json.dumps(record)


def is_built(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and "_target_" in value)


def test_outside_a_configuration_nothing_is_recorded() -> None:
    assert run_record() == {"config": {}, "dials": {}, "changed": []}


@pytest.fixture(scope="module")
def make(
    phantom: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Return a function that runs configurations of a bundle in one folder, with overrides."""
    folder = tmp_path_factory.mktemp("run")
    places = {
        "dataset_dir": str(phantom(BUNDLE)),
        "output_dir": str(folder / "eval"),
        "ckpt_dir": str(folder / "models"),
        "device": "$torch.device('cpu')",
    }

    def run(names: str, **overrides: Any) -> Path:
        files = [str(BUNDLE / "configs" / f"{name}.json") for name in names.split("+")]
        parts = ConfigWorkflow(files, logging_file=False, **places | overrides)
        parts.initialize()
        parts.run()
        return folder

    return run


@pytest.fixture(scope="module")
def trained(make: Callable[..., Any]) -> Path:
    return Path(make("train", **SMALL))


def refused(run: Callable[[], Any]) -> str:
    with pytest.raises(RuntimeError) as caught:
        run()
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.bad_input("weights")
@pytest.mark.parametrize(
    "encoder",
    [
        "$__import__('os').system('true')",
        "$print('x')",
        {"_target_": "os.system", "command": "true"},
        {"_target_": "common.networks.ConvEncoder", "channels": "$list(range(3))"},
    ],
    ids=["import", "call", "another module", "inside"],
)
def test_a_model_from_elsewhere_runs_no_code(encoder: Any, tmp_path: Path) -> None:
    named = {"bundle": BUNDLE.name, "strategy": "any", "seed": 0}
    record = {**named, "dials": {}, "changed": ["encoder"], "head_fitted": True}
    written_record(tmp_path, {**record, "config": {"encoder": encoder}})
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLE / "configs" / "inference.json"))
    parser.update({"bundle_root": str(BUNDLE), "ckpt_dir": str(tmp_path)})
    message = refused(lambda: parser.get_parsed_content("network_def"))
    assert "model.json: encoder must be built of this project's and MONAI's own parts" in message


pytestmark = pytest.mark.slow


def test_training_leaves_the_deployed_model_alone(trained: Path) -> None:
    assert not (trained / "models").exists()
    names = {path.name for path in (trained / "eval").glob("*/*")}
    assert {"run.json", "model.pt", "model.json", "network_epoch=1.pt", "checkpoint.pt"} <= names


@pytest.mark.bad_input("run")
def test_evaluation_refuses_what_the_run_was_not_trained_with(
    make: Callable[..., Any], trained: Path
) -> None:
    message = refused(lambda: make("train+evaluate", label_fraction=0.9))
    assert message.endswith(
        "run.json: label_fraction must be as trained, 0.5, got 0.9. Leave it out, or train with it."
    )
    assert "epochs must be as trained, 1, got 7" in refused(
        lambda: make("train+evaluate", epochs=7)
    )
    message = refused(lambda: make("train+evaluate", loss={"_target_": "common.losses.InfoNCE"}))
    assert "loss#_target_ must be as trained, 'common.losses.DecoupledInfoNCE'" in message
    assert not (trained / "models").exists()


@pytest.mark.bad_input("run")
def test_a_resumed_run_takes_only_more_epochs(make: Callable[..., Any], trained: Path) -> None:
    assert "batch_size must be as trained, 8, got 4" in refused(
        lambda: make("train", resume=True, batch_size=4)
    )
    assert "learning_rate must be as trained, 0.0001, got 0.5" in refused(
        lambda: make("train", resume=True, learning_rate=0.5)
    )
    assert "epochs: must be int >= 1, got 0" in refused(
        lambda: make("train", resume=True, epochs=0)
    )


@pytest.mark.bad_input("run")
def test_a_new_run_in_its_folder_is_refused(make: Callable[..., Any], trained: Path) -> None:
    message = refused(lambda: make("train", **SMALL))
    assert "a new run must have a folder of its own" in message


def test_evaluation_and_inference_read_what_was_trained(
    make: Callable[..., Any], trained: Path, phantom: Callable[[Path], Path]
) -> None:
    make("train+evaluate")
    (path,) = (trained / "eval").glob("*/evaluation.json")
    settings = json.loads(path.read_text())["settings"]
    assert {name: settings[name] for name in SMALL} == SMALL
    assert settings["policy_channels"] == [16, 32]
    about = json.loads((trained / "models" / "model.json").read_text())
    assert about["head_fitted"]
    assert about["dials"]["image_size"] == 32
    images = {"dataset_dir": str(images_of(BUNDLE, phantom(BUNDLE)))}
    make("inference", **images)
    rows = (trained / "eval" / "predictions.csv").read_text().splitlines()
    assert len(rows) > 10
    assert "'image_size' is not a key of this configuration. Leave it out: it is read" in refused(
        lambda: make("inference", image_size=64, **images)
    )


@pytest.mark.bad_input("run")
def test_a_record_that_no_run_can_have_left_is_refused(
    make: Callable[..., Any], trained: Path
) -> None:
    (path,) = (trained / "eval").glob("*/run.json")
    kept = path.read_text()
    record = json.loads(kept)
    try:
        path.write_text(json.dumps({**record, "config": {**record["config"], "batch_size": 0}}))
        assert "run.json: batch_size: must be int >= 1, got 0" in refused(
            lambda: make("train+evaluate")
        )
        path.write_text(json.dumps({**record, "classes": 7}))
        assert "another kind of classes" in refused(lambda: make("train", resume=True))
    finally:
        path.write_text(kept)


def test_the_classes_of_a_head_are_those_of_the_data_it_was_fitted_on(
    make: Callable[..., Any], trained: Path, phantom: Callable[[Path], Path], tmp_path: Path
) -> None:
    other = shutil.copytree(phantom(BUNDLE), tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["classes"] = {"label": ["well", "ill"]}
    manifest["sha256"] = {**manifest["sha256"], "more.png": "0"}
    (other / "manifest.json").write_text(json.dumps(manifest))
    make("train+evaluate", dataset_dir=str(other), ckpt_dir=str(tmp_path / "models"))
    assert json.loads((tmp_path / "models" / "model.json").read_text())["classes"] == ["ill"]


def test_more_epochs_continue_the_run_as_it_was_started(
    make: Callable[..., Any], trained: Path
) -> None:
    make("train", resume=True, epochs=2)
    (path,) = (trained / "eval").glob("*/history.json")
    assert json.loads(path.read_text())["epoch"] == [1, 2]
    record = json.loads((path.parent / "run.json").read_text())
    assert record["dials"] | {"epochs": 1} == record["dials"] | SMALL


def test_a_run_without_evaluation_gives_embeddings_only(
    make: Callable[..., Any], trained: Path, phantom: Callable[[Path], Path], tmp_path: Path
) -> None:
    (run_dir,) = (trained / "eval").glob("*_seed0")
    about = json.loads((run_dir / "model.json").read_text())
    written_record(run_dir, {**about, "head_fitted": False})
    images = {"dataset_dir": str(images_of(BUNDLE, phantom(BUNDLE)))}
    make("inference", ckpt_dir=str(run_dir), output_dir=str(tmp_path), **images)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"embeddings.npz", "predictions.json", ".lock"}
