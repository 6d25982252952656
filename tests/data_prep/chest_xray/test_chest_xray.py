"""Chest films of every kind become grey PNG that identify nobody."""

import argparse
import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data import load_datalist, read_image, read_manifest
from data_prep.__main__ import main
from data_prep.chest_xray import plan
from tests.keys import key_of, reasons
from tests.synthetic import ramp, write_dicom, write_picture

PLANTED = ("Planted^Jane", "HOSP-4711", "19530417", "Dr^Planted", "ACC-815", "Planted Clinic")


def prepare(source: Path, target: Path, *options: str) -> int:
    folders = ["--source", str(source), "--target", str(target)]
    key = ["--key", str(key_of(target))]
    return main(["chest_xray", *folders, *key, "--workers", "1", *options])


def all_entries(folder: Path) -> list[dict]:
    return [e for part in ("training", "validation", "test") for e in load_datalist(folder, part)]


def identified(path: Path, seed: int, **fields: object) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 4095, (40, 30)).astype(np.uint16)
    defaults = {
        "PatientName": PLANTED[0],
        "PatientID": f"{PLANTED[1]}-{seed // 2}",
        "PatientBirthDate": PLANTED[2],
        "ReferringPhysicianName": PLANTED[3],
        "AccessionNumber": PLANTED[4],
        "InstitutionName": PLANTED[5],
        "PatientAge": "071Y",
        "PatientSex": "F",
        "ViewPosition": "PA",
    }
    return write_dicom(path, pixels, **(defaults | fields))


def test_no_planted_identity_is_in_any_output_name_or_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed in range(6):
        identified(tmp_path / "in" / f"film{seed}.dcm", seed)
    identified(tmp_path / "in" / "broken.dcm", 6, BitsAllocated=32)
    identified(tmp_path / "in" / "burnt.dcm", 7, BurnedInAnnotation="YES")
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    lines = capfd.readouterr()
    output = [lines.out.encode(), lines.err.encode()]
    for path in (tmp_path / "out").rglob("*"):
        output += [path.relative_to(tmp_path).as_posix().encode()]
        output += [path.read_bytes()] if path.is_file() else []
    assert len(output) > 8
    for planted in PLANTED:
        assert not any(planted.encode() in text for text in output)
    for path in (tmp_path / "out").rglob("*.png"):
        with Image.open(path) as picture:
            assert picture.info == {}


def test_only_the_allow_list_reaches_the_manifest(tmp_path: Path) -> None:
    for seed in range(4):
        identified(tmp_path / "in" / f"film{seed}.dcm", seed)
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    for entry in all_entries(tmp_path / "out"):
        assert set(entry) - {"fold"} == {
            *("image", "label", "patient", "age", "sex", "view", "modality")
        }
        assert entry["age"] == 71
        assert entry["patient"] in {"p0001", "p0002"}, "two films of each of two patients"


def test_burnt_in_annotation_and_several_frames_are_skipped(tmp_path: Path) -> None:
    identified(tmp_path / "in" / "a.dcm", 0)
    identified(tmp_path / "in" / "b.dcm", 2, BurnedInAnnotation="YES")
    identified(tmp_path / "in" / "c.dcm", 4, NumberOfFrames=2)
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    skipped = reasons(tmp_path / "out")
    assert "burnt" in skipped["b.dcm"]
    assert "one frame" in skipped["c.dcm"]


@pytest.mark.parametrize("bits", ["8", "16"])
def test_original_size_holds_the_readers_pixels(tmp_path: Path, bits: str) -> None:
    path = write_dicom(tmp_path / "in" / "a.dcm", ramp(), PhotometricInterpretation="MONOCHROME1")
    assert prepare(tmp_path / "in", tmp_path / "out", "--size", "0", "--bits", bits) == 0
    (entry,) = all_entries(tmp_path / "out")
    step = 1 / (2 ** int(bits) - 1)
    np.testing.assert_allclose(read_image(entry["image"]), read_image(path), atol=step)


def test_folder_names_are_the_classes_without_csv(tmp_path: Path) -> None:
    for index, name in enumerate(("NORMAL", "PNEUMONIA", "NORMAL")):
        write_picture(tmp_path / "in" / name / f"{index}.png", ramp(high=65535 - 999 * index))
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    assert read_manifest(tmp_path / "out")["classes"]["label"] == ["NORMAL", "PNEUMONIA"]
    assert sorted(entry["label"] for entry in all_entries(tmp_path / "out")) == [0, 0, 1]


def test_patient_numbers_in_file_names_group_and_vanish(tmp_path: Path) -> None:
    for index, name in enumerate(("person7_virus_1", "person7_virus_2", "person8_bacteria_1")):
        write_picture(tmp_path / "in" / f"{name}.jpeg", ramp(40, 40, 99 + index).astype(np.uint8))
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    entries = all_entries(tmp_path / "out")
    assert sorted(entry["patient"] for entry in entries).count("p0001") in (1, 2)
    assert len({entry["patient"] for entry in entries}) == 2
    assert "person" not in (tmp_path / "out" / "manifest.json").read_text()


def csv_source(folder: Path, rows: list[str]) -> Path:
    for index in range(len(rows) - 1):
        write_picture(folder / "in" / f"{index}.png", ramp(high=65535 - 999 * index))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv"


def test_splits_of_the_csv_are_kept_and_the_test_gets_folds(tmp_path: Path) -> None:
    rows = ["image,label,split", *(f"{i}.png,{i % 2},test" for i in range(6))]
    rows += ["6.png,1,train", "7.png,0,val"]
    labels = csv_source(tmp_path, rows)
    assert prepare(tmp_path / "in", tmp_path / "out", "--labels", str(labels)) == 0
    test = load_datalist(tmp_path / "out", "test")
    assert sorted(entry["fold"] for entry in test) == [0, 0, 1, 1, 2, 2]
    assert [len(load_datalist(tmp_path / "out", p)) for p in ("training", "validation")] == [1, 1]


def test_validation_is_drawn_from_training_where_the_csv_has_none(tmp_path: Path) -> None:
    rows = ["image,label,split", *(f"{i}.png,{i % 2},train" for i in range(10)), "10.png,1,test"]
    labels = csv_source(tmp_path, rows)
    assert prepare(tmp_path / "in", tmp_path / "out", "--labels", str(labels)) == 0
    assert len(load_datalist(tmp_path / "out", "validation")) == 1
    assert len(load_datalist(tmp_path / "out", "training")) == 9


def test_a_given_split_is_kept_and_guessed_patients_that_cross_it_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("person1_a", "person1_b", "person2_a", "person3_a"):
        write_picture(tmp_path / "in" / f"{name}.png", ramp(high=60000 + len(name) + ord(name[-3])))
    labels = tmp_path / "labels.csv"
    rows = ["person1_a.png,0,train", "person1_b.png,1,test"]
    rows += ["person2_a.png,0,train", "person3_a.png,1,test"]
    labels.write_text("\n".join(["image,label,split", *rows]))
    assert prepare(tmp_path / "in", tmp_path / "out", "--labels", str(labels)) == 0
    counts = read_manifest(tmp_path / "out")["counts"]
    assert {part: counts[part]["images"] for part in ("training", "test")} == {
        "training": 2,
        "test": 2,
    }
    assert "1 patients, guessed from file names, have images in two" in capsys.readouterr().out


@pytest.mark.bad_input("tables")
@pytest.mark.parametrize(
    ("code", "patients"),
    [(code, 6) for code in ("ANONYMOUS", "Anon^^^^", "0", "0000", "N/A", "-1", "de-identified", "")]
    + [(code, 1) for code in ("ANON0001", "7", "Nan Li", "A-1")],
)
def test_codes_for_nobody_in_dicom_are_no_patient(
    tmp_path: Path, code: str, patients: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        film = ramp(high=1000 + number)
        write_dicom(tmp_path / "in" / f"f{number}.dcm", film, PatientID=code, PatientName=code)
    words = ["--source", str(tmp_path / "in"), "--target", str(tmp_path / "out"), "--workers", "1"]
    assert main(["chest_xray", *words]) == 0
    counts = read_manifest(tmp_path / "out")["counts"].values()
    assert sum(count["patients"] for count in counts) == patients
    assert ("6 DICOM files name no patient" in capsys.readouterr().out) == (patients == 6)


@pytest.mark.bad_input("labels")
def test_a_dicom_patient_in_two_given_parts_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        write_dicom(tmp_path / "in" / f"{name}.dcm", ramp())
    labels = tmp_path / "labels.csv"
    labels.write_text("image,label,split\na.dcm,0,train\nb.dcm,1,test\n")
    assert prepare(tmp_path / "in", tmp_path / "out", "--labels", str(labels)) == 2
    assert "by the DICOM Patient ID, in both" in capsys.readouterr().err


@pytest.mark.bad_input("labels")
def test_folders_of_one_dicom_patient_each_are_no_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(4):
        folder = ("Smith", "Miller")[index % 2]
        path = tmp_path / "in" / folder / f"{index}.dcm"
        write_dicom(path, ramp(high=4095 - 99 * index), PatientID=folder)
    assert prepare(tmp_path / "in", tmp_path / "out", "--labels", "folders") == 2
    assert "got 2 that hold one patient each" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_printed_names_every_class_with_its_number_and_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(8):
        folder = "Covid" if index % 2 else "Normal"
        write_picture(tmp_path / "in" / folder / f"{index}.png", ramp(high=65535 - 99 * index))
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    message = capsys.readouterr().out
    assert "folders: class 0 is Normal, a name of the healthy one" in message
    assert "Normal (class 0), " in message
    assert "Covid (class 1)" in message
    assert prepare(tmp_path / "in", tmp_path / "not", "--negative", "Covid") == 0
    assert "Covid (class 0)" in capsys.readouterr().out


def test_faults_end_with_one_line_exit_code_2_and_no_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = csv_source(tmp_path, ["image,label", "0.png,1"])
    labels.write_text("image,label\nmissing.png,1\n")
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.png", b"")
    for source, options, words in (
        (tmp_path / "in", ("--labels", str(labels)), "line 2: image must be a file"),
        (archive, (), "got an archive. Extract it first"),
        (tmp_path / "none", (), "must be a folder"),
        (tmp_path / "in", ("--size", "5"), "--size"),
    ):
        assert prepare(source, tmp_path / "out", *options) == 2
        errors = capsys.readouterr().err.strip()
        assert words in errors
        assert len(errors.splitlines()) == 1
        assert not (tmp_path / "out").exists()


def test_folder_that_holds_only_an_archive_says_to_extract_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "images.zip", "w") as file:
        file.writestr("a.png", b"")
    assert prepare(tmp_path / "in", tmp_path / "out") == 2
    assert "Extract the archive" in capsys.readouterr().err


@pytest.mark.slow
def test_all_real_dicom_samples_are_read_or_skipped_for_their_frames(
    shared_data: Path, tmp_path: Path
) -> None:
    assert prepare(shared_data / "dicom", tmp_path / "out", "--size", "128") == 0
    manifest = read_manifest(tmp_path / "out")
    reasons = [entry["reason"] for entry in manifest["skipped"]]
    assert sum("one frame" in reason for reason in reasons) == 4
    assert len(reasons) == 4
    assert sum(counts["images"] for counts in manifest["counts"].values()) == 23


@pytest.mark.slow
def test_every_image_of_the_kermany_copy_is_read(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "cxr_kermany_224" / "images.zip") as archive:
        archive.extractall(tmp_path / "in")
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    manifest = read_manifest(tmp_path / "out")
    assert manifest["skipped"] == []
    assert sum(counts["images"] for counts in manifest["counts"].values()) == 3306
    part_of: dict[str, str] = {}
    for part in ("training", "validation", "test"):
        for entry in manifest[part]:
            digest = manifest["sha256"][entry["image"]]
            assert part_of.setdefault(digest, part) == part, "a copy on both sides of the split"
    assert len(part_of) == 3293, "the premise: 13 exact copies"
    assert manifest["classes"]["label"] == ["NORMAL", "PNEUMONIA"]


def test_the_official_split_without_patients_keeps_all_624_test_films(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "cxr_kermany_224"
    with zipfile.ZipFile(folder / "images.zip") as archive:
        archive.extractall(tmp_path / "in")
    with (folder / "labels.csv").open(newline="") as file:
        rows = [[row["file"], row["label"], row["split"]] for row in csv.DictReader(file)]
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(",".join(row) for row in [["image", "label", "split"], *rows]))
    options = argparse.Namespace(
        source=tmp_path / "in", labels=labels, negative=None, size=64, bits=8, seed=0, store=False
    )
    made = plan(options)
    parts = made.split([{**item.payload.entry, "image": item.key} for item in made.items])
    assert {part: len(parts[part]) for part in parts}["test"] == 624
    assert any("guessed from file names, have images in two" in note for note in made.notes)
