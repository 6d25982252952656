"""Which class is called, and where that is written."""

import csv
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

import common
from common.__main__ import main
from common.checks import InputError
from common.deploy import CallRule, Threshold
from tests.models import SLICES, deployed
from tests.synthetic import ramp, write_dicom

STUDY = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
CHOSEN = Threshold(0.25, 40, 20, 12)


def test_the_most_probable_class_is_called_where_nothing_was_chosen() -> None:
    rule = CallRule("none")
    assert rule.calls(["a", "b", "c"], np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])) == ["b", "a"]
    assert CallRule("well").calls(["ill"], np.array([[0.5], [0.51]])) == ["well", "ill"]


def test_findings_are_called_each_by_its_threshold_and_one_without_never() -> None:
    rule = CallRule("none", [CHOSEN, None, Threshold(0.9, 40, 20, 3)])
    values = np.array([[0.3, 1.0, 0.95], [0.2, 1.0, 0.95], [0.2, 1.0, 0.8]])
    assert rule.calls(["edema", "odd", "effusion"], values) == [
        "edema; effusion", "effusion", "none",
    ]  # fmt: skip


@pytest.mark.parametrize(("threshold", "call"), [(0.0, "lesion"), (1.0, "clear")])
def test_the_call_and_its_threshold_stand_in_every_output(
    threshold: float, call: str, tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    rule = CallRule("clear", [Threshold(threshold, 40, 20, 12)])
    model = str(deployed(tmp_path / "models", call=rule.record()))
    write_dicom(tmp_path / "film.dcm", ramp(30, 30), **STUDY)
    words = [SLICES, str(tmp_path / "film.dcm"), "--weights", model, "--output", str(tmp_path)]
    assert main(["predict", *words, "--json", "--sr"]) == 0
    with (tmp_path / "predictions.csv").open(newline="") as file:
        assert [row["call"] for row in csv.DictReader(file)] == [call]
    beside = json.loads((tmp_path / "film.dcm.prediction.json").read_text())
    assert beside["predictions"][0]["columns"]["call"] == call
    assert beside["model"]["call"]["thresholds"][0]["probability"] == threshold
    (path,) = (tmp_path / "sr").iterdir()
    report = pydicom.dcmread(path).to_json()
    assert f'"{call}"' in report
    assert f"above {threshold:g}, chosen on 40 validation images of 20 patients" in report


@pytest.mark.bad_input("models")
def test_a_spoilt_rule_is_one_line_and_an_older_model_calls_nothing(tmp_path: Path) -> None:
    assert common.load(SLICES, deployed(tmp_path / "old")).model.call_rule is None
    one = {"images": 9, "patients": 9, "positive": 4}
    for number, call in enumerate((
        {"thresholds": 3},
        {"otherwise": "no", "thresholds": [{"probability": 1.7, **one}]},
        {"otherwise": "no", "thresholds": [{"probability": float("nan"), **one}]},
        [],
    )):  # fmt: skip
        with pytest.raises(InputError, match=r"model\.json: call must be what an evaluation wrote"):
            common.load(SLICES, deployed(tmp_path / str(number), call=call))
    two = {"otherwise": "no", "thresholds": [{"probability": 0.5, **one}] * 2}
    with pytest.raises(InputError, match=r"call must have a threshold for each of the 1 outputs"):
        common.load(SLICES, deployed(tmp_path / "two", call=two))
