"""Heads of a folder become stacks that the brain bundles train on, with a page of their quality."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.checks import InputError
from common.data import StackDataset, class_names, feature_count, read_manifest
from common.data.brain_t1.template import template
from data_prep.__main__ import main
from data_prep.brain_t1.people import read_people
from data_prep.brain_t1.scans import Scan, find_scans
from data_prep.brain_t1.source import external_sites
from tests.synthetic import write_nifti, write_series

AFFINE = template(3.0).grid.affine
TABLE = "participant_id\tage\tsex\tsite\nsub-ann\t33.5\tF\tparis\nsub-bob\t96\tM\tlyon\n"


def brain(upside_down: bool = False) -> np.ndarray:
    padded = np.pad(template(3.0).t1, 6)
    return padded[:, ::-1, ::-1] if upside_down else padded


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bids")
    source = folder / "source"
    write_nifti(source / "sub-ann/anat/sub-ann_T1w.nii.gz", brain(), AFFINE)
    write_nifti(source / "sub-ann/anat/sub-ann_T2w.nii.gz", brain(), AFFINE)
    write_nifti(source / "sub-bob/anat/sub-bob_T1w.nii.gz", brain(upside_down=True), AFFINE)
    write_nifti(source / "sub-eve/anat/sub-eve_T1w.nii.gz", np.zeros((40, 40, 40), np.int16))
    (source / "participants.tsv").write_text(TABLE)
    options = ["--spacing", "3", "--stripped", "--workers", "1", "--test", "0.5"]
    command = ["brain_t1", "--source", str(source), "--target", str(folder / "out"), *options]
    assert main([*command, "--external-sites", "lyon"]) == 0
    return folder / "out"


def entries(folder: Path) -> list[dict[str, Any]]:
    manifest = read_manifest(folder)
    return [entry for part in ("training", "validation", "test") for entry in manifest[part]]


def test_an_entry_has_age_site_and_quality_and_no_name(prepared: Path) -> None:
    ages = {entry["age"]: entry for entry in entries(prepared)}
    assert set(ages) == {33.5, 90}
    assert ages[33.5]["overlap"] > 0.97
    assert class_names(read_manifest(prepared), "sex")[ages[33.5]["sex"]] == "female"
    assert ages[33.5]["flags"] == []
    assert ages[90]["split"] == "external"
    assert len(ages[90]["flags"]) >= 1
    text = (prepared / "manifest.json").read_text() + (prepared / "quality.html").read_text()
    assert not any(name in text for name in ("sub-", "ann", "bob", "eve_"))


def test_the_manifest_says_how_and_what_was_left_out(prepared: Path) -> None:
    manifest = json.loads((prepared / "manifest.json").read_text())
    chosen = manifest["preparation"]
    assert (chosen["kind"], chosen["map"], chosen["spacing_mm"]) == ("brain_t1", "tissue", 3.0)
    assert manifest["quality"] == {"within bounds": 1, "flagged": 1}
    reasons = " ".join(line["reason"] for line in manifest["skipped"])
    assert "named as another contrast" in reasons
    assert "must hold an image, got an all-black volume" in reasons


def test_tissue_maps_are_read_as_three_channels(prepared: Path) -> None:
    part = next(p for p in ("training", "test") if read_manifest(prepared)[p])
    batch = StackDataset(prepared, part, columns=("age", "site"))[0]
    assert batch["image"].shape == (3, 52, 64, 56)
    assert feature_count(prepared) == 3
    assert 0.99 < float(batch["image"].sum(dim=0).max()) < 1.01


def test_the_page_shows_the_flagged_head_first_and_needs_no_other_file(prepared: Path) -> None:
    text = (prepared / "quality.html").read_text()
    assert text.index('class="flagged"') < text.index('class="good"')
    assert text.count("data:image/jpeg;base64,") == 2
    assert 'src="http' not in text


def test_of_dicom_in_any_nesting_the_t1_series_of_each_patient_is_taken(tmp_path: Path) -> None:
    voxels = np.ones((6, 6, 20)) * np.arange(1, 21)
    for words, echo in (("MPRAGE", 3.0), ("t2 flair", 90.0)):
        fields = {"SeriesDescription": words, "EchoTime": echo, "PatientAge": "041Y"}
        write_series(tmp_path / "a" / "deep" / words, voxels, np.eye(4), PatientID="x1", **fields)
    scans, walked = find_scans(tmp_path)
    assert [(scan.patient, scan.age, len(scan.files)) for scan in scans] == [("x1", 41, 20)]
    assert [line["reason"][:24] for line in walked.skipped] == ["DICOM series of 20 slices"[:24]]


def test_external_sites_are_named_as_the_table_spells_them_and_leave_one(tmp_path: Path) -> None:
    lines = "participant_id\tage\tsite\nsub-1\t20\t01\nsub-2\t30\t02\n"
    (tmp_path / "participants.tsv").write_text(lines)
    scans = [Scan(f"sub-{k}_T1w.nii", (), str(k)) for k in (1, 2)]
    people = read_people(scans, tmp_path, None)
    assert external_sites(["02"], people) == {people.facts["2"]["site"]}
    with pytest.raises(InputError, match="must leave a site to train on"):
        external_sites(["1", "2"], people)


def test_a_table_without_site_leaves_the_site_unknown(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\nsub-1\t20\tM\n")
    people = read_people([Scan("sub-1_T1w.nii", (), "1")], tmp_path, None)
    assert people.facts["1"] == {"age": 20.0, "sex": 1, "site": -1, "label": -1}
    assert people.sites == []


@pytest.mark.bad_input("options")
@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--spacing", "1.2"], "--spacing must be 1, 1.5, 2 or 3 mm"),
        (["--test", "1"], "--test must be a share in 0..0.9"),
        (["--external-sites", "rome"], "--external-sites must be sites of the table"),
    ],
    ids=["spacing", "test", "site"],
)
def test_a_wrong_option_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str], told: str
) -> None:
    write_nifti(tmp_path / "in" / "head.nii", brain(), AFFINE)
    command = ["brain_t1", "--source", str(tmp_path / "in"), "--target", str(tmp_path / "out")]
    assert main([*command, *option]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]
