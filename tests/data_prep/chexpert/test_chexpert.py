"""CheXpert's two tables become one manifest with five findings, and nobody in it can be named."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.data import load_datalist, read_image, read_manifest
from data_prep.__main__ import main
from data_prep.chexpert import PATHOLOGIES
from tests.synthetic import write_picture

COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", *PATHOLOGIES)
FINDINGS = [name.lower().replace(" ", "_") for name in PATHOLOGIES]
PARTS = ("training", "validation", "test")


def film(part: str, patient: int, view: int = 1, **values: str) -> dict[str, str]:
    """One line of a table; columns that are not named are blank."""
    path = f"CheXpert-v1.0-small/{part}/patient{patient:05d}/study1/view{view}_frontal.jpg"
    known = {"Path": path, "Sex": "Female", "Age": "68", "Frontal/Lateral": "Frontal"}
    return {**dict.fromkeys(COLUMNS, ""), **known, "AP/PA": "AP", **values}


def archive(folder: Path, lines: list[dict[str, str]], missing: str = "nothing") -> Path:
    """A source folder of another name than the tables begin their paths with."""
    for part in ("train", "valid"):
        mine = [line for line in lines if f"/{part}/" in line["Path"]]
        folder.mkdir(exist_ok=True)
        with (folder / f"{part}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(mine)
    for number, line in enumerate(lines):
        path = folder / line["Path"].split("/", 1)[1]
        if missing not in line["Path"]:
            pixels = np.random.default_rng(number).integers(0, 255, (40, 48), np.uint8)
            write_picture(path, pixels)
    return folder


def prepare(source: Path, target: Path, *options: str) -> int:
    folders = ["--source", str(source), "--target", str(target)]
    return main(["chexpert", *folders, "--workers", "1", *options])


def entries(folder: Path, part: str) -> list[dict[str, Any]]:
    return load_datalist(folder, part)


def test_valid_csv_is_the_test_part_and_validation_patients_leave_training(tmp_path: Path) -> None:
    lines = [film("train", n, view) for n in range(1, 11) for view in (1, 2)]
    lines += [film("valid", n, Edema="1.0") for n in (64541, 64542)]
    source = archive(tmp_path / "in", lines)
    assert prepare(source, tmp_path / "out", "--validation", "0.2") == 0
    counts = [len(entries(tmp_path / "out", part)) for part in PARTS]
    assert counts == [16, 4, 2]
    patients = [{e["patient"] for e in entries(tmp_path / "out", part)} for part in PARTS]
    assert [len(group) for group in patients] == [8, 2, 2]


@pytest.mark.parametrize(
    ("values", "findings", "label"),
    [
        ({"Edema": "1.0", "Atelectasis": "-1.0", "Consolidation": "0.0"}, [-1, -1, 0, 1, -1], 1),
        ({"No Finding": "1.0"}, [0, 0, 0, 0, 0], 0),
        ({"No Finding": "1.0", "Edema": "-1.0"}, [0, 0, 0, -1, 0], -1),
        ({}, [-1, -1, -1, -1, -1], -1),
        (dict.fromkeys(PATHOLOGIES, "0"), [0, 0, 0, 0, 0], 0),
    ],
    ids=["mentioned", "healthy", "healthy but uncertain", "nothing said", "all denied"],
)
def test_uncertain_and_unmentioned_findings_do_not_count(
    tmp_path: Path, values: dict[str, str], findings: list[int], label: int
) -> None:
    source = archive(tmp_path / "in", [film("train", 1), film("valid", 2, **values)])
    assert prepare(source, tmp_path / "out") == 0
    (entry,) = entries(tmp_path / "out", "test")
    assert [entry[name] for name in FINDINGS] == findings
    assert entry["label"] == label


def test_the_manifest_keeps_sex_age_and_view_and_no_number_of_a_patient(tmp_path: Path) -> None:
    lateral = {"Frontal/Lateral": "Lateral", "AP/PA": "", "Sex": "Unknown", "Age": "94"}
    lines = [film("train", 815), film("valid", 64541, **lateral)]
    assert prepare(archive(tmp_path / "in", lines), tmp_path / "out") == 0
    (train,), (test,) = (entries(tmp_path / "out", part) for part in ("training", "test"))
    assert (train["sex"], train["age"], train["view"]) == ("F", 68, "AP")
    assert (test.get("sex"), test["age"], test["view"]) == (None, 90, "lateral")
    kept = {"image", "label", "patient", "age", "view", "fold", *FINDINGS}
    assert set(test) == kept
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert "patient00815" not in manifest
    assert "00815" not in manifest
    assert "no redistribution" in read_manifest(tmp_path / "out")["licence"]


def test_films_are_shrunk_to_the_size_asked_for(tmp_path: Path) -> None:
    source = archive(tmp_path / "in", [film("train", 1), film("valid", 2)])
    assert prepare(source, tmp_path / "out", "--size", "32") == 0
    (entry,) = entries(tmp_path / "out", "test")
    assert read_image(entry["image"]).shape == (1, 27, 32)


@pytest.mark.parametrize(
    ("lines", "missing", "words"),
    [
        ([film("train", 1, Edema="2.0"), film("valid", 2)], "nothing", "line 2: Edema must be 1.0"),
        ([film("train", 1), film("valid", 2)], "00002", "valid.csv, line 2: Path must be a file"),
        ([film("train", 1, Path="x.jpg"), film("valid", 2)], "nothing", "must be like train/pat"),
    ],
    ids=["value", "file", "path"],
)
def test_a_fault_is_one_line_that_names_the_row(
    lines: list[dict[str, str]],
    missing: str,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if lines[0]["Path"] == "x.jpg":
        source = archive(tmp_path / "in", lines[1:])
        with (source / "train.csv").open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(lines[0])
    else:
        source = archive(tmp_path / "in", lines, missing)
    assert prepare(source, tmp_path / "out") == 2
    message = capsys.readouterr().err.strip()
    assert words in message
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lost", ["train.csv", "valid.csv"])
def test_a_missing_table_is_told_with_the_cure(
    lost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = archive(tmp_path / "in", [film("train", 1), film("valid", 2)])
    (source / lost).unlink()
    assert prepare(source, tmp_path / "out") == 2
    assert "Give the folder that holds train.csv and valid.csv" in capsys.readouterr().err


def test_options_out_of_range_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = archive(tmp_path / "in", [film("train", 1), film("valid", 2)])
    for option, value in (("--size", "8"), ("--validation", "1")):
        assert prepare(source, tmp_path / "out", option, value) == 2
        assert f"chexpert: {option} must" in capsys.readouterr().err
