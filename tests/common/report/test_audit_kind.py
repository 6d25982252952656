"""A report over audits of trained runs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from common.checks import InputError
from common.report import build_report
from common.report.audit.archive import ARCHIVE, as_arrays
from tests.common.audit.example import example_audit, example_set
from tests.common.report.words import Words


def write_run(folder: Path, strategy: str, kept: float) -> Path:
    audit = example_audit()
    one = example_set("run", kept, learned=True)
    label = one.label
    assert audit.pictures is not None
    assert label is not None
    told = label.transformed
    pictures = dataclasses.replace(audit.pictures, sets=audit.pictures.sets[:1])
    audit = dataclasses.replace(audit, sets=(one,), pictures=pictures)
    interval = {"level": 0.95, "method": "bootstrap", "told": [told.low, told.high]}
    about = {"bundle": "b", "strategy": strategy, "seed": 0, "settings": {"data": "d"}}
    figures = {"audit": audit.to_json(), "told": told.value, "interval": interval}
    epochs = [{"epoch": 3, "told": told.value}]
    folder.mkdir()
    whole = {**about, "kind": "audit", **figures, "epochs": epochs}
    (folder / "evaluation.json").write_text(json.dumps(whole))
    np.savez(folder / ARCHIVE, **as_arrays(pictures))  # type: ignore[arg-type]
    return folder


def test_a_report_sets_the_audits_of_trained_policies_side_by_side(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, name, kept) for name, kept in (("a", 0.7), ("b", 0.4))]
    page = build_report(runs, tmp_path / "report.html", "T")
    text = Words(page).text
    assert "a: The views lose the lesion (less than half of it is left) in 30 %" in text
    assert "a: label told from views 0.78 (95 % interval 0.73–0.83), b 0.66" in text
    assert "Which transformations the trained network M chooses" in text
    assert page.read_text().count("<image") > 40
    assert page.stat().st_size < 5e6


@pytest.mark.bad_input("audit")
def test_pictures_that_do_not_fit_end_in_one_line(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "a", 0.5)
    with np.load(run / ARCHIVE) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(run / ARCHIVE, **{**arrays, "view": arrays["view"][..., :5, :]})
    with pytest.raises(InputError, match=r"audit\.npz: must hold pictures of one size .* Run the"):
        build_report([run], tmp_path / "report.html", "T")
