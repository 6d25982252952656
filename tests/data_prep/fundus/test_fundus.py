"""Fundus photographs of every layout: labels, patients, parts, quality."""

import csv
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from common.data import class_names, load_datalist, read_manifest
from data_prep.__main__ import main
from data_prep.fundus.files import Pictures
from data_prep.fundus.quality import quality
from data_prep.phantom.fundus import draw_eye
from tests.keys import key_of, reasons
from tests.synthetic import write_dicom, write_picture

PARTS = ("training", "validation", "test")


def prepare(source: Path, target: Path, *options: str) -> int:
    folders = ["--source", str(source), "--target", str(target)]
    key = ["--key", str(key_of(target))]
    return main(["fundus", *folders, *key, "--workers", "1", "--size", "64", *options])


def entries(folder: Path) -> list[dict]:
    return [{**e, "part": part} for part in PARTS for e in load_datalist(folder, part)]


def eye(path: Path, seed: int, side: str = "R", spots: int = 0) -> Path:
    return write_picture(path, draw_eye(np.random.default_rng(seed), side, 64, 0, 50, spots))


def table(path: Path, rows: Sequence[Sequence[object]], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def messidor2(source: Path) -> None:
    names = [f"2005_{i}_PP.png" for i in range(6)]
    for seed, name in enumerate(names):
        eye(source / "IMAGES" / name, seed)
    grades = ["0", "2", "1", "4", "", "0"]
    rows = [[f"{name[:-4]}.JPG", grade] for name, grade in zip(names, grades)]
    table(source / "messidor_data.csv", [["image_id", "adjudicated_dr_grade"], *rows])
    pairs = [["left", "right"], *zip(names[::2], names[1::2])]
    table(source / "messidor-2.csv", pairs, delimiter=";")


def idrid(source: Path) -> None:
    for number, part in enumerate(("a. Training Set", "b. Testing Set")):
        for index in range(1, 4):
            folder = source / "B. Disease Grading" / "1. Original Images" / part
            eye(folder / f"IDRiD_00{index}.jpg", 10 * number + index)
            eye(source / "C. Localization" / part / f"IDRiD_00{index}.jpg", 90 + index)
        letter, word = (("a", "Training"), ("b", "Testing"))[number]
        rows = [[f"IDRiD_00{index}", index, 0, "", ""] for index in range(1, 4)]
        table(
            source / f"{letter}. IDRiD_Disease Grading_{word} Labels.csv",
            [["Image name", "Retinopathy grade", "Risk of macular edema ", "", ""], *rows],
        )


def aptos2019(source: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        rows = []
        for index in range(count):
            eye(source / f"{part}_images" / f"{part}{index}.png", 10 * count + index)
            rows.append([f"{part}{index}", index] if part == "train" else [f"{part}{index}"])
        header = ["id_code", "diagnosis"] if part == "train" else ["id_code"]
        table(source / f"{part}.csv", [header, *rows])


def papila(source: Path) -> None:
    for side in ("OD", "OS"):
        rows: list[list[object]] = [
            ["", "Age", "Gender", "Diagnosis", "Refractive"],
            ["ID", "", ""],
        ]
        for number in (2, 4, 5):
            eye(
                source / "FundusImages" / f"RET{number:03d}{side}.jpg", number + (side == "OD") * 10
            )
            rows.append([f"#{number:03d}", 60 + number, number % 2, number % 3, 0.5])
        table(source / "ClinicalData" / f"patient_data_{side.lower()}.csv", rows)


def odir(source: Path) -> None:
    rows = [["ID", "Patient Age", "Patient Sex", "labels", "filename"]]
    for number in range(3):
        for side in ("left", "right"):
            eye(source / "images" / f"{number}_{side}.jpg", 2 * number + (side == "left"))
            rows.append(
                [str(number), "95", "Female", f"['{'NGD'[number]}']", f"{number}_{side}.jpg"]
            )
    table(source / "full_df.csv", rows)


def srahim(source: Path) -> None:
    rows = [["file", "patient", "dr_grade", "maculopathy"]]
    with zipfile.ZipFile(source / "images.zip", "w") as archive:
        for number in range(3):
            for side, mark in (("L", "_"), ("R", "-")):
                name = f"Patient00{number}{mark}{side}.jpg"
                path = eye(source / "tmp" / name, 2 * number + (side == "L"), side)
                archive.write(path, name)
                path.unlink()
                rows.append([name, "", str(2 * number + 1), "-1"])
    table(source / "labels.csv", rows)


def class_folders(source: Path) -> None:
    for number, name in enumerate(("1_normal", "2_cataract", "10_other")):
        for index in range(3):
            eye(source / "dataset" / name / f"{name[2:4]}_{index}.png", 10 * number + index)


@pytest.mark.parametrize(
    ("make", "layout", "wanted"),
    [
        (messidor2, "messidor2", {"images": 5, "patients": 3, "labels": [0, 0, 1, 2, 4]}),
        (idrid, "idrid", {"images": 6, "patients": 6, "labels": [1, 1, 2, 2, 3, 3]}),
        (aptos2019, "aptos2019", {"images": 4, "patients": 4, "labels": [0, 1, 2, 3]}),
        (papila, "papila", {"images": 6, "patients": 3, "labels": [1, 1, 2, 2, 2, 2]}),
        (odir, "odir", {"images": 6, "patients": 3, "labels": [0, 0, 1, 1, 2, 2]}),
        (srahim, "srahim", {"images": 6, "patients": 3, "labels": [1, 1, 3, 3, 5, 5]}),
        (
            class_folders,
            "retina",
            {"images": 9, "patients": 9, "labels": [0, 0, 0, 1, 1, 1, 2, 2, 2]},
        ),
        (
            class_folders,
            "jsiec",
            {"images": 9, "patients": 9, "labels": [0, 0, 0, 1, 1, 1, 2, 2, 2]},
        ),
    ],
    ids=["messidor2", "idrid", "aptos2019", "papila", "odir", "srahim", "retina", "jsiec"],
)
def test_a_published_layout_is_read(tmp_path: Path, make, layout: str, wanted: dict) -> None:
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    assert prepare(tmp_path / "in", tmp_path / "out", "--layout", layout) == 0
    actual = entries(tmp_path / "out")
    assert len(actual) == wanted["images"]
    assert len({e["patient"] for e in actual}) == wanted["patients"]
    assert {e["dataset"] for e in actual} == {layout}
    labels = sorted(e["label"] for e in actual)
    if layout == "papila":  # 2, 4 and 5 modulo 3
        labels = sorted(labels)
        assert labels == [1, 1, 2, 2, 2, 2]
    else:
        assert labels == wanted["labels"]
    assert len(class_names(read_manifest(tmp_path / "out"))) > max(labels)


def test_the_tables_tell_eye_age_and_sex(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    papila(tmp_path / "in")
    assert prepare(tmp_path / "in", tmp_path / "out", "--layout", "papila") == 0
    actual = entries(tmp_path / "out")
    assert sorted(e["eye"] for e in actual) == ["L", "L", "L", "R", "R", "R"]
    assert {(e["age"], e["sex"]) for e in actual} == {(62, "M"), (64, "M"), (65, "F")}


def test_what_the_table_cannot_give_is_listed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    messidor2(tmp_path / "in")
    (tmp_path / "in" / "IMAGES" / "2005_0_PP.png").unlink()
    assert prepare(tmp_path / "in", tmp_path / "out", "--layout", "messidor2") == 0
    skipped = reasons(tmp_path / "out")
    assert "no such picture" in skipped["2005_0_PP.JPG"]
    assert "cannot be graded" in skipped["2005_4_PP.JPG"]


def test_the_published_test_part_is_kept_and_validation_drawn(tmp_path: Path) -> None:
    idrid(tmp_path / "in")
    assert prepare(tmp_path / "in", tmp_path / "out", "--layout", "idrid") == 0
    parts = read_manifest(tmp_path / "out")["counts"]
    assert [parts[part]["images"] for part in PARTS] == [3, 0, 3]
    again = tmp_path / "drawn"
    assert prepare(tmp_path / "in", again, "--layout", "idrid", "--split", "drawn") == 0
    assert [read_manifest(again)["counts"][part]["images"] for part in PARTS] == [3, 1, 2]


def test_referable_retinopathy_can_be_the_label(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    srahim(tmp_path / "in")
    assert (
        prepare(tmp_path / "in", tmp_path / "out", "--layout", "srahim", "--label", "referable")
        == 0
    )
    for entry in entries(tmp_path / "out"):
        assert entry["label"] == entry["referable"] == int(entry["grade"] >= 2)
        assert entry["eye"] in ("L", "R")
        assert entry["maculopathy"] == -1


def test_folders_tell_classes_parts_and_both_eyes(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "val", "test")):
        for index, name in enumerate(("a_no", "b_dr")):
            for side in ("left", "right"):
                file = tmp_path / "in" / part / name / f"{10 * number + index}_{side}.png"
                eye(file, 10 * number + index, spots=side == "left")
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    counts = read_manifest(tmp_path / "out")["counts"]
    assert [counts[part]["images"] for part in PARTS] == [4, 4, 4]
    assert [counts[part]["patients"] for part in PARTS] == [2, 2, 2]
    assert read_manifest(tmp_path / "out")["classes"]["label"] == ["a_no", "b_dr"]


def test_a_published_split_that_parts_two_eyes_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eye(tmp_path / "in" / "train" / "a" / "7_left.png", 0)
    eye(tmp_path / "in" / "test" / "a" / "7_right.png", 1)
    eye(tmp_path / "in" / "test" / "b" / "8_right.png", 2)
    assert prepare(tmp_path / "in", tmp_path / "out") == 2
    assert "Set --split drawn." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert prepare(tmp_path / "in", tmp_path / "out", "--split", "drawn") == 0
    actual = entries(tmp_path / "out")
    assert len({(e["patient"], e["part"]) for e in actual}) == 2


def test_bad_files_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for seed in range(3):
        eye(source / f"{seed}.png", seed)
    (source / "text.jpg").write_bytes(b"no picture")
    (source / "half.png").write_bytes((source / "0.png").read_bytes()[:500])
    write_picture(source / "black.png", np.zeros((64, 64, 3), np.uint8))
    write_picture(source / "dot.png", np.ones((1, 1, 3), np.uint8))
    assert prepare(source, tmp_path / "out") == 0
    assert set(reasons(tmp_path / "out")) == {"text.jpg", "half.png", "black.png", "dot.png"}
    assert len(entries(tmp_path / "out")) == 3


def test_no_field_of_a_dicom_header_reaches_the_output(tmp_path: Path) -> None:
    pixels = draw_eye(np.random.default_rng(0), "R", 64, 0, 50, 3)
    for index in range(4):
        write_dicom(
            tmp_path / "in" / f"eye{index}.dcm",
            np.roll(pixels, index, axis=0),
            bits=8,
            PatientName="Planted^Jane",
            PatientID=f"HOSP-{index // 2}",
            PatientAge="071Y",
            ImageLaterality="RL"[index % 2],
            BurnedInAnnotation="YES" if index == 3 else "NO",
        )
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    actual = entries(tmp_path / "out")
    assert sorted((e["eye"], e["age"]) for e in actual) == [("L", 71), ("R", 71), ("R", 71)]
    assert len({e["patient"] for e in actual}) == 2
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"Planted" not in content
        assert b"HOSP" not in content
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert "burnt into the pixels" in manifest


def test_running_again_changes_nothing_and_copies_count_as_one_patient(tmp_path: Path) -> None:
    class_folders(tmp_path / "in")
    eye(tmp_path / "in" / "dataset" / "1_normal" / "copy.png", 0)
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    first = (tmp_path / "out" / "manifest.json").read_bytes()
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    assert (tmp_path / "out" / "manifest.json").read_bytes() == first
    assert prepare(tmp_path / "in", tmp_path / "other") == 0
    assert (tmp_path / "other" / "manifest.json").read_bytes() == first
    actual = entries(tmp_path / "out")
    assert len(actual) == 10
    assert len({e["patient"] for e in actual}) == 9


def test_quality_tells_sharp_from_blurred_dark_and_bright() -> None:
    sharp = draw_eye(np.random.default_rng(0), "R", 256, 0, 40, 12)
    picture = Image.fromarray(sharp)
    assert quality(sharp, True)["quality"] == "good"
    assert quality(sharp, False)["quality"] == "no field"
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(6)))
    assert quality(blurred, True)["quality"] == "blurred"
    assert "dark" in str(quality(sharp // 6, True)["quality"])
    assert (
        quality((sharp.clip(0, 85) * 3), True)["bright_share"]
        > quality(sharp, True)["bright_share"]
    )
    assert quality(sharp, True)["field_share"] == pytest.approx(np.pi / 4 * 0.95**2, abs=0.02)


def test_the_summary_counts_the_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class_folders(tmp_path / "in")
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    flags = read_manifest(tmp_path / "out")["quality"]
    assert sum(flags.values()) >= 9
    assert f"quality: {', '.join(f'{n} {word}' for word, n in flags.items())}" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layout", "papila"], "patient_data_od"),
        (["--label", "grade"], "it has no grades"),
        (["--size", "16"], "--size must be >= 32"),
        (["--layout", "messidor2"], "messidor_data"),
    ],
)
def test_a_bad_option_is_one_line(
    tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders(tmp_path / "in")
    assert prepare(tmp_path / "in", tmp_path / "out", *options) == 2
    assert words in capsys.readouterr().err


def test_real_photographs_are_prepared(shared_data: Path, tmp_path: Path) -> None:
    """The first patients of Srahim's set: everything good, both eyes together."""
    source = shared_data / "fundus_dr_srahim"
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(source / "images_256.zip") as archive:
        for name in archive.namelist()[:12]:
            archive.extract(name, tmp_path / "in")
    lines = (source / "labels.csv").read_text().splitlines()[:13]
    (tmp_path / "in" / "labels.csv").write_text("\n".join(lines))
    assert prepare(tmp_path / "in", tmp_path / "out", "--layout", "srahim") == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["quality"] == {"good": 12}
    assert manifest["skipped"] == []
    assert len({e["patient"] for e in entries(tmp_path / "out")}) == 6


@pytest.mark.bad_input("labels")
def test_a_photograph_in_two_rows_is_refused_naming_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eye(tmp_path / "in" / "a.png", 0)
    table(tmp_path / "in" / "train.csv", [["id_code", "diagnosis"], ["a", "0"], ["a", "1"]])
    assert prepare(tmp_path / "in", tmp_path / "out", "--layout", "aptos2019") == 2
    message = capsys.readouterr().err
    assert "train.csv, line 3: every image must be listed once, got the one of train.csv" in message


def test_labels_of_ones_own_photographs_come_from_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        eye(tmp_path / "in" / f"{number}_left.png", number)
    rows = [["file", "label", "site"], ["0_left", "glaucoma", "A"], ["1_left", "healthy", "B"]]
    table(tmp_path / "own.csv", [*rows, ["2_left.png", "n/a", "-1"]])
    assert prepare(tmp_path / "in", tmp_path / "out", "--labels", str(tmp_path / "own.csv")) == 0
    made = read_manifest(tmp_path / "out")
    assert made["classes"] == {"label": ["healthy", "glaucoma"], "site": ["A", "B"]}
    assert sorted(entry["label"] for entry in entries(tmp_path / "out")) == [-1, 0, 1]
    assert "1 images are not in own.csv" in capsys.readouterr().out


@pytest.mark.bad_input("preparation")
def test_what_is_not_read_inside_an_archive_is_listed(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number in range(4):
        eye(source / f"{number}.png", number)
    with zipfile.ZipFile(source / "a.zip", "w") as archive:
        for name in ("film.dcm", "inner.zip", "x/b.GIF", "notes.txt", "__MACOSX/._c.heic"):
            archive.writestr(name, b"no")
    with zipfile.ZipFile(source / "b.zip", "w") as archive:
        archive.write(source / "3.png", "5.png")
        archive.writestr("d.nii.gz", b"no")
    walked = Pictures(source).walked
    assert {line["file"] for line in walked.skipped} == {
        *("a.zip", "a.zip: film.dcm", "a.zip: inner.zip", "a.zip: x/b.GIF", "b.zip: d.nii.gz")
    }
    assert main(["fundus", "--source", str(source), "--target", str(tmp_path / "out")]) == 0
    assert len(read_manifest(tmp_path / "out")["skipped"]) == 5


@pytest.mark.bad_input("privacy")
def test_a_grade_that_is_no_number_is_refused_without_quoting_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eye(tmp_path / "in" / "train_images" / "a.png", 0)
    table(tmp_path / "in" / "train.csv", [["id_code", "diagnosis"], ["a", "Doe Jane"]])
    words = ["--source", str(tmp_path / "in"), "--target", str(tmp_path / "out")]
    assert main(["fundus", "--layout", "aptos2019", *words]) == 2
    message = capsys.readouterr().err
    assert "the grade must be a whole number from 0 to 5" in message
    assert "Doe" not in message


@pytest.mark.bad_input("preparation")
def test_pictures_of_one_name_in_two_archives_are_all_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    for name, first in (("train", 0), ("test", 4)):
        with zipfile.ZipFile(source.parent / f"{name}.zip", "w") as archive:
            for number in range(4):
                folder = ("normal", "sick")[number % 2]
                archive.write(eye(tmp_path / "e.png", first + number), f"{folder}/{number}.png")
    source.mkdir()
    for name in ("train", "test"):
        (tmp_path / f"{name}.zip").rename(source / f"{name}.zip")
    words = ["fundus", "--source", str(source), "--target", str(tmp_path / "out")]
    assert main([*words, "--workers", "1"]) == 0
    parts = read_manifest(tmp_path / "out")["counts"]
    assert sum(part["images"] for part in parts.values()) == 8
    with zipfile.ZipFile(source / "test.zip") as archive:
        archive.extractall(source / "test")
    (source / "train.zip").unlink()
    (source / "test.zip").rename(source / "a.zip")
    for path in (source / "test").iterdir():
        path.rename(source / path.name)
    words[-1] = str(tmp_path / "b")
    assert main([*words, "--workers", "1"]) == 0
    assert "4 pictures of archives lie beside them too" in capsys.readouterr().out
