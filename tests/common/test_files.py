"""A file is whole or as it was."""

import errno
from pathlib import Path

import pytest

from common.checks import InputError
from common.files import replacing


def test_a_written_file_takes_its_place_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    with replacing(tmp_path / "new" / "a.txt") as partial:
        partial.write_text("whole")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"


def _fail_halfway(path: Path, error: Exception) -> None:
    with replacing(path) as partial:
        partial.write_text("ha")
        raise error


@pytest.mark.bad_input("run")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    ],
    ids=["disk full", "torch.save on a full disk", "torch.save at its end"],
)
def test_a_full_disk_is_one_line_and_keeps_the_old_file(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_text("old")
    with pytest.raises(InputError, match="could not be written") as message:
        _fail_halfway(path, error)
    assert "\n" not in str(message.value)
    assert str(path) in str(message.value)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("checkpoint.pt", "old")]


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), replacing(tmp_path / "a"):
        raise RuntimeError("shapes differ")
    assert list(tmp_path.iterdir()) == []
