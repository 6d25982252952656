"""One predictor: from files to predictions, in memory and in a folder."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.data import PrepareImaged
from common.deploy import Prediction, PredictionFolder, Predictor, TrainedModel, load
from common.deploy.journal import go_on, read_steps
from common.deploy.sinks import StudyFiles
from tests.common.data.test_damage import PICTURES, damaged
from tests.models import BRAINS, SLICES, deployed
from tests.synthetic import ramp, write_nifti, write_picture


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five pictures, of which the third is broken, and a volume with two slices worth reading."""
    for number in range(5):
        write_picture(tmp_path / "in" / f"{number}.png", ramp(20 + number, 24, 90 + 9 * number))
    (tmp_path / "in" / "2.png").write_bytes(b"broken")
    voxels = np.zeros((16, 16, 4), np.int16)
    voxels[2:-2, 2:-2, 1:3] = ramp(12, 12)[:, :, None]
    write_nifti(tmp_path / "in" / "v.nii", voxels)
    return tmp_path / "in"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_prediction_is_the_sigmoid_of_the_head_of_the_prepared_image(
    predictor: Predictor, images: Path
) -> None:
    (actual,) = predictor.predict(images / "0.png")
    x = PrepareImaged(size=16)({"image": str(images / "0.png")})["image"][None]
    with torch.no_grad():
        expected = predictor.network(x).sigmoid().item()
        h = predictor.network.encode(x)[0]
    assert actual.row() == {"file": "0.png", "slice": -1, "probability_lesion": expected}
    torch.testing.assert_close(torch.tensor(actual.h), h, rtol=0, atol=1e-6)


def test_images_stay_in_order_whatever_reads_them(predictor: Predictor, images: Path) -> None:
    alone = predictor.predict(images)
    assert [(one.file, one.slice) for one in alone] == [
        *((f"{number}.png", -1) for number in range(5)),
        ("v.nii", 1),
        ("v.nii", 2),
    ]
    assert [one.file for one in alone if one.reason] == ["2.png"]
    predictor.num_workers, predictor.batch_size = 2, 3
    together = predictor.predict(images)
    assert [one.file for one in together] == [one.file for one in alone]
    for one, other in zip(alone, together):
        assert one.values == pytest.approx(other.values, abs=1e-6)


def test_arrays_and_files_of_several_folders_are_predicted_together(
    predictor: Predictor, images: Path
) -> None:
    write_picture(images.parent / "more" / "0.png", ramp(20, 24, 90))
    actual = predictor.predict([images / "0.png", images.parent / "more"])
    assert [one.file for one in actual] == ["in/0.png", "more/0.png"]
    assert actual[0].values == actual[1].values


@pytest.mark.bad_input("files")
def test_what_is_no_image_is_listed_among_the_others(predictor: Predictor, images: Path) -> None:
    (images / "empty").mkdir()
    wrong: list[Any] = ["", None, 7, b"x", "a\0b", "/no/where", images / "empty", "x" * 5000]
    actual = predictor.predict([*wrong, images / "2.png", images / "0.png"])
    assert [bool(one.reason) for one in actual] == [True] * (len(wrong) + 1) + [False]
    assert all("\n" not in one.reason for one in actual)
    for nothing in ([], None, 7):
        with pytest.raises(InputError, match="predict: paths must"):
            predictor.predict(nothing)


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("workers", [0, 2])
def test_every_bad_file_is_listed_and_none_ends_the_run(
    predictor: Predictor, images: Path, workers: int
) -> None:
    for name, make in PICTURES.items():
        (images / name).write_bytes(make(images / name))
    for number, path in enumerate(damaged(images)):
        if number % 6:
            path.unlink()
    write_nifti(images / "black.nii", np.zeros((4, 4, 4), np.int16))
    write_picture(images / "flat.png", np.full((9, 9), 7, np.uint8))
    os.mkfifo(images / "pipe.png")
    (images / "link.png").symlink_to(images / "nowhere")
    (images / "f.gif").write_bytes(b"GIF")
    predictor.num_workers = workers
    actual = predictor.predict(images)
    message = {one.file: one.reason for one in actual if one.reason}
    bad = {*PICTURES, "black.nii", "flat.png", "pipe.png", "link.png", "f.gif", "2.png"}
    assert bad <= set(message)
    assert all(reason and "\n" not in reason for reason in message.values())
    assert {"0.png", "4.png", "v.nii"} <= {one.file for one in actual if one.values}


@pytest.mark.bad_input("pixels")
def test_an_image_that_the_network_cannot_take_is_listed(
    predictor: Predictor, images: Path
) -> None:
    listed = [{"image": ["0.png", "0.png"], "name": "two channels"}, {"image": "1.png"}]
    (images / "list.json").write_text(json.dumps({"test": listed}))
    two, one = predictor.predict(images / "list.json")
    assert one.values
    assert two.reason == (
        "two channels: must have the channels and the size that the network is made for, got "
        "(2, 16, 16). Prepare it as the training images were."
    )


def test_the_folder_holds_what_predict_returns(
    predictor: Predictor, images: Path, tmp_path: Path
) -> None:
    counts = PredictionFolder(tmp_path / "out", embeddings="npz").write(
        predictor, predictor.dataset.of(images)
    )
    actual = [one for one in predictor.predict(images) if not one.reason]
    written = rows(tmp_path / "out" / "predictions.csv")
    assert [row["file"] for row in written] == [one.file for one in actual]
    assert [row["slice"] for row in written] == [""] * 4 + ["1", "2"]
    for row, one in zip(written, actual):
        assert float(row["probability_lesion"]) == pytest.approx(
            one.values["probability_lesion"], abs=1e-6
        )
    with np.load(tmp_path / "out" / "embeddings.npz") as embeddings:
        np.testing.assert_allclose(embeddings["h"], np.stack([one.h for one in actual]), atol=1e-6)
        assert embeddings["name"].tolist() == [one.file for one in actual]
    assert [row["file"] for row in rows(tmp_path / "out" / "skipped.csv")] == ["2.png"]
    assert counts == {"images": 6, "warned": 0, "skipped": 1, "unwritten": 0}


class Crash(Exception):
    """What nobody expects."""


def crashing(predictor: Predictor, after: int, count: int = 0) -> None:
    """Make the predictor fail after some batches."""

    def columns(_: Any) -> dict[str, list[float]]:
        nonlocal count
        count += 1
        if count > after:
            raise Crash
        return {}

    predictor.columns = [columns]


@pytest.mark.parametrize("table", ["csv", "parquet"])
def test_a_crash_keeps_what_was_done_and_the_same_command_goes_on(
    predictor: Predictor, images: Path, tmp_path: Path, table: str
) -> None:
    predictor.batch_size = 2
    files = predictor.dataset.of(images)
    PredictionFolder(tmp_path / "whole", "csv", "npz").write(predictor, files)
    crashing(predictor, after=2)
    with pytest.raises(Crash):
        PredictionFolder(tmp_path / "out", table, "npz").write(predictor, files)
    (kept,) = (tmp_path / "out").glob("*predictions.csv")
    assert [row["file"] for row in rows(kept)] == ["0.png", "1.png", "3.png"]
    with kept.open("a") as file:
        file.write("4.png,,0.4")  # half a row
    predictor.columns = []
    files.checks = [lambda entry: read.append(entry["name"]) or {}]
    read: list[str] = []
    PredictionFolder(tmp_path / "out", table, "npz").write(predictor, files)
    assert read == ["4.png", "v.nii"]
    for name in ("predictions.csv", "embeddings.npz", "skipped.csv"):
        if table == "csv" or "predictions" not in name:
            whole, again = ((tmp_path / each / name).read_bytes() for each in ("whole", "out"))
            assert name.endswith("npz") or whole == again
    assert not (tmp_path / "out" / ".progress").exists()


@pytest.mark.bad_input("run")
def test_an_interrupted_run_of_another_model_is_not_written_over(
    predictor: Predictor, images: Path, tmp_path: Path
) -> None:
    predictor.batch_size = 2
    crashing(predictor, after=1)
    with pytest.raises(Crash):
        PredictionFolder(tmp_path / "out").write(predictor, predictor.dataset.of(images))
    predictor.columns = []
    sinks = [StudyFiles(predictor.model)]
    for options in ({"embeddings": "npz"}, {"sinks": sinks}):
        with pytest.raises(InputError, match="must be continued with the same model, files"):
            PredictionFolder(tmp_path / "out", **options).write(
                predictor, predictor.dataset.of(images)
            )
    assert len(rows(tmp_path / "out" / "predictions.csv")) == 2


def test_what_was_cut_off_within_a_line_of_progress_is_cut_off_for_good(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("a\nb\nc")
    step = {"done": ["a", "b"], "sizes": {"r.csv": 4}, "counts": {}}
    line = json.dumps(step) + "\n"
    (tmp_path / ".progress").write_text(line + line[:20])
    go_on(tmp_path, read_steps(tmp_path))
    assert (tmp_path / "r.csv").read_text() == "a\nb\n"
    with (tmp_path / ".progress").open("a") as file:
        file.write(line)  # of the run that goes on
    assert read_steps(tmp_path) == [step, step]


def test_a_finished_run_begins_anew(predictor: Predictor, images: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    for source, kind in ((images, "zarr"), (images / "1.png", None)):
        folder = PredictionFolder(tmp_path / "out", embeddings=kind)
        folder.write(predictor, predictor.dataset.of(source))
    assert [row["file"] for row in rows(tmp_path / "out" / "predictions.csv")] == ["1.png"]
    assert {path.name for path in (tmp_path / "out").iterdir() if path.name[0] != "."} == {
        "predictions.csv", "predictions.json",
    }  # fmt: skip
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert record["complete"]
    assert record["images"] == 1


@pytest.mark.parametrize("kind", ["npz", "zarr"])
def test_embeddings_and_parquet_hold_the_same_rows(
    predictor: Predictor, images: Path, tmp_path: Path, kind: str
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    zarr = pytest.importorskip("zarr")
    PredictionFolder(tmp_path / "out", "parquet", kind).write(
        predictor, predictor.dataset.of(images)
    )
    table = parquet.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    opened = (np.load if kind == "npz" else zarr.open_group)(
        tmp_path / "out" / f"embeddings.{kind}"
    )
    assert table["file"] == [str(name) for name in opened["name"][:]]
    assert table["slice"] == [None] * 4 + [1, 2]
    assert opened["slice"][:].tolist() == [-1] * 4 + [1, 2]
    np.testing.assert_allclose(opened["h"][:], predictor.embed(images).h, atol=1e-6)


@pytest.mark.bad_input("privacy")
def test_names_in_tables_start_no_formula_and_hold_no_control(
    predictor: Predictor, images: Path, tmp_path: Path
) -> None:
    name = "=cmd|' C calc'!A0\u202e\n.png"
    (images / "0.png").rename(images / name)
    (images / "2.png").rename(images / "-1\x1b.png")
    PredictionFolder(tmp_path / "out").write(predictor, predictor.dataset.of(images))
    for table in ("predictions.csv", "skipped.csv"):
        first = next(row for row in rows(tmp_path / "out" / table) if row["file"][0] == "'")
        assert first["file"].isprintable()


@pytest.mark.bad_input("weights")
def test_a_head_that_was_never_fitted_embeds_and_does_not_predict(
    images: Path, tmp_path: Path
) -> None:
    predictor = load(SLICES, deployed(tmp_path / "models", head_fitted=False))
    with pytest.raises(InputError, match="was never fitted, so it can embed but not predict"):
        predictor.predict(images)
    assert predictor.embed(images).h.shape == (6, 4)
    assert predictor.embed(images).left_out[0][0] == "2.png"


@pytest.mark.bad_input("weights")
@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        ("no_such_bundle", "must be the folder of a bundle, or one of .*, got 'no_such_bundle'"),
        (BRAINS, f"must be of bundle '{BRAINS}', got one of '{SLICES}'"),
    ],
)
def test_another_bundle_is_refused(model: Path, bundle: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(bundle, model)


def test_weights_without_a_record_are_refused_before_a_size_is_guessed(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.pt").write_bytes((model / "model.pt").read_bytes())
    with pytest.raises(InputError, match=r"model\.json: must lie beside model\.pt"):
        TrainedModel(SLICES, ".", tmp_path / "model.pt").network()


def test_importing_common_imports_no_torch() -> None:
    code = "import common, sys; assert not {'torch', 'monai', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_prediction_without_an_image_is_a_row_too() -> None:
    assert Prediction("a.png", reason="broken").row() == {"file": "a.png", "slice": -1}
