"""What the source calls its patients and files stays out of the target and off the screen."""

import csv
import json
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from common.data import read_manifest
from data_prep.__main__ import main
from data_prep.machinery.names import hide
from data_prep.machinery.plan import Origin
from data_prep.phantom.fundus import draw_eye
from tests.keys import key_of, rows
from tests.synthetic import ramp, write_brats, write_dicom, write_picture

NAME = "Doe_Jane_1953"


def prepare(source: Path, target: Path, *options: str) -> int:
    folders = ["--source", str(source), "--target", str(target), "--workers", "1"]
    return main(["chest_xray", *folders, *options])


def everything(folder: Path, *lines: str) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    return b"\n".join([*(os.fsencode(text) for text in (*names, *lines)), *map(_bytes, files)])


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """One folder a patient; films that are whole, damaged, burnt, of another kind, and a link."""
    folder = tmp_path / "in" / NAME
    for number in range(3):
        picture = ramp(high=65535 - 999 * number)
        write_picture(tmp_path / "in" / f"{NAME}_{number}" / "film.png", picture)
    write_picture(folder / f"{NAME}.png", ramp())
    (folder / f"{NAME}_broken.png").write_bytes(b"\x89PNG no")
    (folder / f"{NAME}.gif").write_bytes(b"GIF89a")
    (folder / f"{NAME}_out.png").symlink_to("/etc/hostname")
    write_dicom(folder / f"{NAME}.dcm", ramp(), BurnedInAnnotation="YES", PatientName=NAME)
    (folder / f"{NAME}_bad.dcm").write_bytes(b"\0" * 128 + b"DICM" + NAME.encode())
    return tmp_path / "in"


@pytest.mark.bad_input("privacy")
def test_no_name_of_the_source_reaches_target_screen_or_error(
    source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert prepare(source, tmp_path / "out") == 0
    lines = capfd.readouterr()
    assert NAME.encode() not in everything(tmp_path / "out", lines.out, lines.err)
    assert "skipped: 5 files" in lines.out
    assert "--key" in lines.out


def planted_scans(folder: Path) -> list[str]:
    for number in range(3):
        write_brats(folder, f"{NAME}_{number}")
    (folder / f"{NAME}_0" / f"{NAME}_0_seg.nii.gz").write_bytes(b"no")
    (folder / f"{NAME}_0" / f"{NAME}_pet.nii.gz").touch()
    return ["brats"]


def planted_eyes(folder: Path) -> list[str]:
    folder.mkdir()
    for number in range(4):
        for eye in "LR":
            picture = draw_eye(np.random.default_rng(number), eye, 64, 0, 50, 0)
            write_picture(folder / f"{NAME}{number}_{eye}.png", picture)
    with zipfile.ZipFile(folder / f"{NAME}.zip", "w") as archive:
        archive.writestr(f"{NAME}9_L.png", b"no")
    (folder / f"{NAME}_2.zip").write_bytes(b"PK no")
    return ["fundus", "--size", "32"]


def planted_photos(folder: Path) -> list[str]:
    for kind in ("ant", "bee"):
        for number in range(4):
            picture = np.tile(
                ramp(9, 9, 99 + 20 * number + (kind == "bee")).astype(np.uint8)[..., None], 3
            )
            write_picture(folder / "train" / kind / f"{NAME}{number}.png", picture)
    (folder / "train" / "ant" / f"{NAME}.png").write_bytes(b"\x89PNG no")
    return ["folders", "--kind", "photo", "--size", "8"]


def planted_brains(folder: Path) -> list[str]:
    folder.mkdir()
    lines = ["participant_id\tage\tsex\tsite\tsplit"]
    for number in range(6):
        split = "train" if number < 4 else "internal_test"
        lines.append(f"{NAME}{number}\t99\tF\tA\t{split}")
        table = np.ones(284, np.float32) if number else np.full(284, np.nan, np.float32)
        np.save(folder / f"sub-Jane{number}_preproc-cat12vbm_desc-gm_ROI.npy", table)
    (folder / "participants.tsv").write_text("\n".join(lines).replace(NAME, "Jane") + "\n")
    return ["openbhb", "--modality", "vbm_roi"]


@pytest.mark.bad_input("privacy")
@pytest.mark.parametrize("plant", [planted_scans, planted_eyes, planted_photos, planted_brains])
def test_no_source_lets_a_name_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], plant: Callable[[Path], list[str]]
) -> None:
    target, key = tmp_path / "out", key_of(tmp_path / "out")
    folders = ["--source", str(tmp_path / "in"), "--target", str(target), "--key", str(key)]
    assert main([*plant(tmp_path / "in"), *folders, "--workers", "1"]) == 0
    lines = capfd.readouterr()
    actual = everything(target, lines.out, lines.err)
    assert b"Jane" not in actual
    assert b"Jane" in key.read_bytes()
    assert read_manifest(target)["skipped"]
    assert b'"age": 99' not in actual


@pytest.mark.bad_input("privacy")
def test_the_key_leads_from_every_prepared_and_every_skipped_file_back(
    source: Path, tmp_path: Path
) -> None:
    assert prepare(source, tmp_path / "out") == 0
    assert prepare(source, tmp_path / "out", "--key", str(key_of(tmp_path / "out"))) == 0
    manifest, key = read_manifest(tmp_path / "out"), rows(tmp_path / "out")
    images = {path for path in manifest["sha256"] if path.startswith("images/")}
    assert {row["prepared"] for row in key if row["prepared"]} == images
    skipped = {line["file"] for line in manifest["skipped"]}
    assert {row["file"] for row in key if not row["prepared"]} == skipped
    assert all(os.path.lexists(source / row["source"]) for row in key)
    assert stat.S_IMODE(key_of(tmp_path / "out").stat().st_mode) == 0o600


@pytest.mark.bad_input("privacy")
@pytest.mark.parametrize(
    "place", ["out/key.csv", "in/key.csv", "none/key.csv", "other.csv", "pipe"]
)
def test_a_key_that_would_travel_or_replace_another_file_is_refused(
    source: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.csv").write_text("thesis")
    os.mkfifo(tmp_path / "pipe")
    assert prepare(source, tmp_path / "out", "--key", str(tmp_path / place)) == 2
    assert "--key must" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "other.csv").read_text() == "thesis"


@pytest.mark.bad_input("files")
def test_names_that_are_not_utf_8_or_start_formulas_are_read_and_escaped(tmp_path: Path) -> None:
    names = [b"=1+1.png", b"a\xff.png", b"b\n\x1b[2J.png", "c\u202egnp.png".encode(), b"-2.png"]
    (tmp_path / "in").mkdir()
    for number, name in enumerate(names):
        path = Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name))
        write_picture(tmp_path / "film.png", ramp(high=65535 - 999 * number))
        path.write_bytes((tmp_path / "film.png").read_bytes())
    target = tmp_path / "out"
    broken = os.fsencode(tmp_path / "in") + b"/Doe\xff\nJane.png"
    Path(os.fsdecode(broken)).write_bytes(b"\x89PNG no")
    assert prepare(tmp_path / "in", target, "--key", str(key_of(target))) == 0
    sources = [row["source"] for row in rows(target)]
    assert len(sources) == 6
    assert all(name.isprintable() and name[0] not in "=+-@" for name in sources)
    (skipped,) = json.loads((target / "manifest.json").read_text())["skipped"]
    assert "Jane" not in skipped["reason"]


@pytest.mark.bad_input("preparation")
@pytest.mark.parametrize("place", ["in", "in/out", ".", "link/out"])
def test_a_target_within_the_source_or_around_it_is_refused_from_the_start(
    source: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(source)
    before = sorted(tmp_path.rglob("*"))
    assert prepare(source, tmp_path / place) == 2
    assert "must lie outside --source" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("above", ["", "images/"])
def test_predictions_lead_back_to_the_files(source: Path, tmp_path: Path, above: str) -> None:
    target, key = tmp_path / "out", key_of(tmp_path / "out")
    assert prepare(source, target, "--key", str(key)) == 0
    wanted = {row["prepared"].removeprefix("images/"): row for row in rows(target)}
    wanted.pop("")
    table, traced = tmp_path / "predictions.csv", tmp_path / "traced.csv"
    lines = [f"{above}{name},,0.5" for name in wanted]
    table.write_text("\n".join(["file,slice,probability_x", *lines]) + "\n")
    options = ["--key", str(key), "--predictions", str(table), "--output", str(traced)]
    assert main(["trace", *options]) == 0
    with traced.open(newline="") as file:
        actual = list(csv.DictReader(file))
    assert [row["source"] for row in actual] == [row["source"] for row in wanted.values()]
    table.write_text("file\nother.png\n")
    assert main(["trace", *options]) == 2


@pytest.mark.bad_input("privacy")
def test_a_fault_of_ours_is_one_line_that_quotes_nothing(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise KeyError(NAME)

    monkeypatch.setattr("data_prep.chest_xray.source.find_labels", fail)
    assert prepare(source, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert NAME not in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.bad_input("files")
def test_the_command_outlives_what_it_cannot_read(source: Path, tmp_path: Path) -> None:
    np.save(source / "absurd.npy", np.zeros(3))
    command = [sys.executable, "-m", "data_prep", "chest_xray", "--workers", "1"]
    folders = ["--source", str(source), "--target", str(tmp_path / "out")]
    made = subprocess.run([*command, *folders], capture_output=True, text=True, check=True)
    assert made.stderr == ""
    assert len(read_manifest(tmp_path / "out")["skipped"]) == 6


@pytest.mark.parametrize(
    ("name", "reason", "told"),
    [
        ("file.png", "file.png: must be a whole file, got file.pngx.", "file 7: must be a whole "),
        ("a/1", "1: must have 1 frame, got 2.", "file 7: must have 1 frame, got 2."),
        ("a/x.png", "/in/a/x.png: must exist, got none.", "file 7: must exist, got none."),
        ("d.zip: p/x9_L.png", "x9_L.png: must be whole in d.zip.", "file 7: must be whole in "),
        ("a.png", "burnt in", "file 7: burnt in"),
    ],
)
def test_a_reason_has_the_number_for_the_name_and_keeps_its_words(
    name: str, reason: str, told: str
) -> None:
    line = hide(Origin(name, (Path("/in") / name.split(": ")[0],)), 7, reason)
    assert line["reason"].startswith(told)
    assert "x9" not in line["reason"]
