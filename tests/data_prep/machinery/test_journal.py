"""Records of a run: a line each, in few files, whole or not at all."""

import os
from pathlib import Path
from typing import Any

import pytest

from data_prep.machinery import places
from data_prep.machinery.faults import MachineFault
from data_prep.machinery.journal import Journal, Records, keep, read_journals


def record(key: str, **more: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {"entries": [], "origins": [], "sha256": {}, "left_out": []}
    return {"key": key, "token": "t", **whole, **more}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / ".progress").mkdir()
    return tmp_path


def test_the_torn_line_of_a_killed_process_does_not_count(target: Path) -> None:
    with Journal(target) as journal:
        journal.add(record("a"))
        journal.add(record("b"))
    journal.path.write_bytes(journal.path.read_bytes()[:-5])
    assert [one["key"] for _, _, one in read_journals(target)] == ["a"]
    records = Records(target)
    assert (records["a"], records["b"]) == (record("a"), {})
    records.close()


def test_a_record_is_whole_on_a_full_disk_or_not_there(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with Journal(target) as journal:
        journal.add(record("a"))
        monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:9]))
        with pytest.raises(MachineFault):
            journal.add(record("b"))
        monkeypatch.undo()
        journal.add(record("c"))
    assert [one["key"] for _, _, one in read_journals(target)] == ["a", "c"]


def test_what_counts_is_put_into_one_journal(target: Path) -> None:
    for token in ("1", "2"):
        with Journal(target) as journal:
            journal.add(record("a", token=token))
    assert keep(target, iter([[record("a", token="2"), record("a", token="1")]])) == {"a"}
    assert [path.name for path in (target / ".progress").iterdir()] == ["done.jsonl"]
    records = Records(target)
    assert records["a"]["token"] == "2"
    records.close()


def test_no_folder_of_many_images_holds_more_than_a_thousand() -> None:
    stems = [places.stem_of(f"p{n}", 0, n, 10_500) for n in range(10_500)]
    folders = [stem.rpartition("/")[0] for stem in stems]
    assert len(set(stems)) == 10_500
    assert max(map(folders.count, set(folders))) == places.FULL
