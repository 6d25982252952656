"""``--reference``: a table of scans of one's own scanner, read, predicted on and kept."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import common
from common.__main__ import main
from common.checks import InputError
from common.deploy.prediction import Seen
from common.deploy.reference import Calibrated, read_reference
from common.deploy.score_calibration import TemperatureCalibration
from tests.models import BRAINS, SLICES, deployed
from tests.synthetic import ramp, write_nifti, write_picture


def test_a_table_of_ages_and_one_of_classes_are_read(tmp_path: Path) -> None:
    rows = "".join(f"scan{i}.nii.gz;{20 + i},5\n" for i in range(10))
    (tmp_path / "a.csv").write_text("File; Age\n" + rows, encoding="utf-16")
    actual = read_reference(tmp_path / "a.csv")
    assert (actual[3].path, actual[3].known) == (tmp_path / "scan3.nii.gz", 23.5)
    rows = "".join(f"{i}.png,{'ill' if i % 2 else 0}\n" for i in range(10))
    (tmp_path / "b.csv").write_text("file,label\n" + rows)
    known = [reference.known for reference in read_reference(tmp_path / "b.csv", ["well", "ill"])]
    assert known == [0, 1] * 5


BAD = {
    "no file": (None, "must be a readable CSV or XLSX table"),
    "no column": ("file,years\n", "must have the columns file, age, got no age"),
    "few": ("file,age\n" + "".join(f"{i}.png,30\n" for i in range(9)), "at least 10"),
    "age": ("file,age\na.png,old\n", "line 2: age must be years"),
    "no name": ("file,age\n,30\n", "line 2: file must be filled"),
    "twice": ("file,age\na.png,30\na.png,30\n", "listed once"),
    "out": ("file,age\n../a.png,30\n", "below the folder"),
}


@pytest.mark.bad_input("reference")
@pytest.mark.parametrize("case", BAD)
def test_what_is_no_table_of_reference_scans_is_refused(tmp_path: Path, case: str) -> None:
    text, reason = BAD[case]
    if text is not None:
        (tmp_path / "r.csv").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_reference(tmp_path / "r.csv")


def brains(folder: Path, count: int) -> list[float]:
    """A table of prepared brains whose predictions rise with a brightness; the predictions."""
    generator = np.random.default_rng(0)
    for number in range(count):
        voxels = generator.uniform(0, 1 + number, (6, 6, 6)).astype(np.float32)
        write_nifti(folder / f"{number:02d}.nii.gz", voxels)
    actual = common.load(BRAINS, folder / "m").predict(folder)
    return [one.values["predicted_age"] for one in actual]


def table(path: Path, column: str, known: list[float]) -> Path:
    suffix = "nii.gz" if column == "age" else "png"
    rows = "".join(f"{number:02d}.{suffix},{value}\n" for number, value in enumerate(known))
    path.write_text(f"file,{column}\n{rows}")
    return path


def test_ages_that_are_off_are_set_right_and_said(tmp_path: Path) -> None:
    deployed(tmp_path / "m", BRAINS)
    raw = brains(tmp_path, 12)
    predictor = common.load(BRAINS, tmp_path / "m")
    lowest = min(raw)
    path = table(tmp_path / "r.csv", "age", [value - lowest for value in raw])
    notes = predictor.reference(path)["calibration"]
    assert notes["offset"] == pytest.approx(lowest, abs=1e-4)
    (actual,) = predictor.predict(tmp_path / "03.nii.gz")
    assert actual.columns["predicted_age_calibrated"] == pytest.approx(raw[3] - lowest, abs=1e-3)
    assert actual.columns["age_gap_calibrated"] == ""
    assert "12 reference scans" in str(actual.columns["calibration"])


def test_the_command_says_and_keeps_what_it_calibrated_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(tmp_path / "m", BRAINS)
    raw = brains(tmp_path, 12)
    path = table(tmp_path / "r.csv", "age", [value - min(raw) for value in raw])
    words = [BRAINS, str(tmp_path / "03.nii.gz"), "--weights", str(tmp_path / "m")]
    words += ["--output", str(tmp_path / "out"), "--reference", str(path)]
    assert main(["predict", *words]) == 0
    notes = json.loads((tmp_path / "out" / "predictions.json").read_text())["notes"]
    assert notes["calibration"]["scans"] == 12
    assert notes["calibration"]["summary"] in capsys.readouterr().out


def test_a_probability_is_calibrated_in_the_table_and_noted(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(12):
        picture = np.zeros((16, 16))
        picture[3:-3, 3:-3] = generator.uniform(100, 140 + 10 * number, (10, 10))
        write_picture(tmp_path / f"{number:02d}.png", picture.astype(np.uint8))
    predictor = common.load(SLICES, deployed(tmp_path / "m"))
    h = torch.from_numpy(predictor.embed(tmp_path).h)
    head = predictor.network.head  # an untrained one tells nothing: let it rise from 0 to 1
    head.weight.data[0] = (h[-1] - h[0]) / (h[-1] - h[0]).square().sum()
    head.bias.data[0] = -head.weight.data[0] @ h[0]
    notes = predictor.reference(table(tmp_path / "r.csv", "label", [0] * 6 + [1] * 6))
    assert (notes["calibration"]["scans"], notes["calibration"]["unread"]) == (12, 0)
    predictor.dataset = predictor.dataset.of(tmp_path / "00.png")
    predictor.output_dir = tmp_path / "out"
    predictor.run()
    with (tmp_path / "out" / "predictions.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert 0 < float(row["probability_lesion_calibrated"]) < 1
    assert "6 of them positive" in row["calibration"]


def test_probabilities_of_several_classes_keep_their_sum() -> None:
    values = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    observed = Seen(
        [{}, {}], None, values, values, ["probability_a", "probability_b", "probability_c"]
    )  # type: ignore[arg-type]
    columns = Calibrated(TemperatureCalibration(20, 2.0, (1.5, 2.5))).columns(observed)
    total = np.sum([columns[f"probability_{name}_calibrated"] for name in "abc"], axis=0)
    assert total == pytest.approx([1, 1])
    assert 0.4 < float(columns["probability_a_calibrated"][0]) < 0.7


@pytest.mark.bad_input("reference")
def test_reference_scans_that_cannot_be_read_are_counted_out(tmp_path: Path) -> None:
    for number in range(10):
        write_picture(tmp_path / f"{number:02d}.png", ramp(16, 16, 90).astype(np.uint8))
    (tmp_path / "04.png").write_bytes(b"broken")
    predictor = common.load(SLICES, deployed(tmp_path / "m"))
    with pytest.raises(InputError, match="at least 10 reference scans that can be read, got 9"):
        predictor.reference(table(tmp_path / "r.csv", "label", [0, 1] * 5))
