"""What the page first says: can a model be trusted, and with which threshold."""

from pathlib import Path
from typing import Any

import pytest

from common.checks import InputError
from common.report import build_report
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
