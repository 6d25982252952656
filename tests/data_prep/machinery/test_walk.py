"""Every file of a source is taken, listed with a reason, or counted."""

import os
from pathlib import Path

import numpy as np
import pytest

from common.checks import InputError
from common.data import read_manifest
from data_prep.__main__ import main
from data_prep.machinery.walk import walk
from tests.synthetic import write_dicom, write_picture


def is_text(path: Path) -> bool:
    return path.suffix == ".txt"


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.gif", b"GIF89a", "of a kind or name"),
        ("a.HEIC", b"", "of a kind or name"),
        ("a.nrrd", b"NRRD0005", "of a kind or name"),
        ("a.nii.gz", b"\x1f\x8b", "of a kind or name"),
        ("a.tar.gz", b"\x1f\x8b", "archive"),
        ("picture", b"\x89PNG\r\n\x1a\n", "holds a PNG"),
        ("a.dat", b"\xff\xd8\xff\xe0", "holds a JPEG"),
        ("a.bin", b"RIFF\0\0\0\0WEBPVP8 ", "holds a WebP"),
    ],
)
def test_images_that_are_not_read_are_listed(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "b.txt").touch()
    (tmp_path / "c.csv").touch()
    actual = walk(tmp_path, is_text)
    assert [path.name for path in actual.files] == ["b.txt"]
    assert actual.others == 1
    ((line),) = actual.skipped
    assert line["file"] == name
    assert words in line["reason"]


@pytest.mark.bad_input("files")
def test_links_fifos_and_hidden_folders_are_listed(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / ".git").mkdir(parents=True)
    (source / "real").mkdir()
    (source / "real" / "a.txt").touch()
    (tmp_path / "secret.txt").touch()
    (source / "loop").symlink_to(source)
    (source / "away").symlink_to(tmp_path)
    (source / "secret.txt").symlink_to(tmp_path / "secret.txt")
    (source / "gone.txt").symlink_to(source / "nothing.txt")
    (source / "linked.txt").symlink_to("real/a.txt")
    os.mkfifo(source / "pipe.txt")
    actual = walk(source, is_text)
    assert [path.name for path in actual.files] == ["linked.txt", "a.txt"]
    assert [line["file"] for line in actual.skipped] == [
        *(".git", "away", "gone.txt", "loop", "pipe.txt", "secret.txt")
    ]


@pytest.mark.bad_input("files")
def test_what_one_may_not_read_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.txt").touch()
    scandir, access = os.scandir, os.access

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).is_dir() and access(path, mode))
    reasons = {line["file"]: line["reason"] for line in walk(tmp_path, is_text).skipped}
    assert "Permission denied" in reasons["locked"]
    assert "Permission denied" in reasons["a.txt"]
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="one may read"):
        walk(tmp_path, is_text)


@pytest.mark.bad_input("files")
def test_bmp_webp_and_dicom_without_preamble_or_suffix_are_read(tmp_path: Path) -> None:
    grey = np.arange(40 * 30).reshape(40, 30)
    write_picture(tmp_path / "in" / "a.bmp", (grey % 251).astype(np.uint8))
    write_picture(tmp_path / "in" / "b.WEBP", (grey % 241).astype(np.uint8), lossless=True)
    whole = write_dicom(tmp_path / "IM1", grey.astype(np.uint16)).read_bytes()
    (tmp_path / "in" / "IM1").write_bytes(whole)
    group_2 = 132 + 12 + int.from_bytes(whole[140:144], "little")  # preamble, mark, its length
    (tmp_path / "in" / "IM2").write_bytes(whole[group_2:][:-2] + b"\1\1")
    folders = ["--source", str(tmp_path / "in"), "--target", str(tmp_path / "out")]
    assert main(["chest_xray", *folders, "--workers", "1"]) == 0
    manifest = read_manifest(tmp_path / "out")
    assert manifest["skipped"] == []
    assert len(manifest["sha256"]) == 4
