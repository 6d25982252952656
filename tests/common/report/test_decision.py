"""What the page first says: can a model be trusted, and with which threshold."""

from pathlib import Path
from typing import Any

import pytest

from common.checks import InputError
from common.evaluation import CaseControlEvaluation, MultiLabelEvaluation
from common.report import build_report
from common.report.called import Decision
from common.report.gaps import Years
from tests.common.evaluation import test_kinds as tiny
from tests.common.evaluation import test_multi_label as findings
from tests.common.evaluation import test_run as linear
from tests.common.report.real_runs import write_run
from tests.common.report.test_report import report


def linear_text(folder: Path, **arguments: Any) -> str:
    linear.snapshots(folder / "run", 1)
    linear.evaluation(folder, validation=linear.held_out(), **arguments).run()
    return report(folder, folder / "run")


def test_a_head_of_the_folds_is_told_from_those_that_judged_the_test_images(
    tmp_path: Path,
) -> None:
    text = linear_text(tmp_path)
    assert "classifier that is deployed, which was fitted on the whole test part" in text
    assert "none judged an image that it was fitted on" in text
    assert "fitted on two folds of the test part, images the encoder had not seen" in text


def test_a_head_of_the_training_images_is_not_said_to_be_of_unseen_ones(tmp_path: Path) -> None:
    text = linear_text(tmp_path, training=linear.held_out(), head_fitted_on="training")
    assert "The head that is deployed judged the validation and the test images." in text
    assert "fitted on the labelled training images, those the encoder was trained on" in text
    assert "had not seen" not in text


@pytest.mark.bad_input("run")
def test_heads_fitted_on_different_images_do_not_share_a_page(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, "random", seed, head_fitted_on=name)
        for seed, name in enumerate(("folds", "training"))
    ]
    with pytest.raises(InputError, match=r"fitted on folds\), got .* fitted on training"):
        build_report(runs, tmp_path / "r.html", "T")
    other = write_run(tmp_path / "x", "random", 2, head_fitted_on="x")
    with pytest.raises(InputError, match="head_fitted_on must be folds or training"):
        build_report([other], tmp_path / "r.html", "T")


def test_where_findings_are_several_the_cases_say_of_which_they_are(tmp_path: Path) -> None:
    parts = {"training": findings.TRAIN, "batches": findings.TEST, "validation": findings.TRAIN}
    study = tiny.Study(tmp_path, MultiLabelEvaluation, 3, findings=findings.FINDINGS, **parts)
    text = report(tmp_path, study.folder / "run")
    assert "Finds 17 of 21 images with cardiomegaly, and wrongly calls" in text
    assert "worst errors: Cardiomegaly" in text
    assert "Each patient: Cardiomegaly" in text


def test_a_diagnosis_is_of_cases_and_no_image_shows_it(tmp_path: Path) -> None:
    parts = {"training": tiny.TRAIN, "test": tiny.INTERNAL + tiny.EXTERNAL}
    study = tiny.Study(tmp_path, CaseControlEvaluation, validation=tiny.TRAIN, **parts)
    text = report(tmp_path, study.folder / "run")
    assert "Finds 17 of 28 cases, and wrongly calls 23 of the" in text
    assert "show" not in text[: text.index("Which strategy")]


def decision(finding: str = "", threshold: float = 0.5) -> Decision:
    made = object.__new__(Decision)
    made.__dict__.update(finding=finding, threshold=threshold)
    return made


def test_a_number_is_called_a_class_and_no_finding() -> None:
    assert decision("1").who == "images of class 1"
    assert decision("pleural_effusion").who == "images with pleural effusion"


def test_a_threshold_close_to_one_is_not_written_as_one() -> None:
    written = [decision(threshold=t).shown_as for t in (0.7413, 1.0, 0.99987, 0.00042)]
    assert written == ["0.74", "1.00", "0.99987", "0.00042"]


def test_a_gap_has_a_side_only_where_its_interval_has_one() -> None:
    assert Years(-3.4, -5.0, -1.0).on_a_side() == "3.4 years too young"
    assert Years(3.4, -2.5, 10.1).on_a_side() == (
        "neither surely too old nor too young (−2.5 to +10.1 years)"
    )
    assert Years(None, None, None).on_a_side() == ""
