"""Prepared files that were changed after their preparation."""

import hashlib
from pathlib import Path

import pytest

from common.data.unchanged import MOST, changed_files


@pytest.fixture
def digests(tmp_path: Path) -> dict[str, str]:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.iterdir()}


@pytest.mark.bad_input("data")
def test_a_file_that_was_changed_or_taken_away_is_named(
    digests: dict[str, str], tmp_path: Path
) -> None:
    assert changed_files(tmp_path, digests) == []
    (tmp_path / "1.png").write_bytes(b"x")
    (tmp_path / "2.png").unlink()
    assert changed_files(tmp_path, digests) == ["1.png", "2.png"]


def test_of_many_files_some_are_looked_at_from_the_first_to_the_last(tmp_path: Path) -> None:
    many = {f"{number:04d}.png": "0" for number in range(1000)}
    looked = changed_files(tmp_path, many)
    assert (len(looked), looked[0], looked[-1]) == (MOST, "0000.png", "0999.png")
