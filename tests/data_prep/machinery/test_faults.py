"""A file at fault ends that file; the machine ends the run, which goes on where it stopped."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.checks import InputError
from common.data import read_manifest, reading
from data_prep.machinery.files import Output
from data_prep.machinery.journal import Journal, read_journals
from data_prep.machinery.plan import Item, Origin, Plan
from data_prep.machinery.runner import run
from data_prep.machinery.split import Entry, split_by_share


class Panic(BaseException):
    """As the panics of Rust come through PyO3."""


FAULTS: dict[str, BaseException] = {
    "panic": Panic("Doe^Jane"),
    "type": TypeError("Doe^Jane"),
    "memory": MemoryError(),
    "recursion": RecursionError(),
    "locked": PermissionError(errno.EACCES, "Permission denied", "Doe^Jane"),
    "no memory to map": OSError(errno.ENOMEM, "Cannot allocate memory"),
    "bad sector": OSError(errno.EIO, "Input/output error"),
}


def read(payload: Any) -> int:
    """Whatever a decoder does to a payload."""
    if isinstance(payload, BaseException):
        raise payload
    if payload == "abort":
        os.abort()
    if payload == "exit":
        os._exit(3)
    return int(payload)


def convert(payload: Any, output: Output) -> list[Entry]:
    number = read(payload)
    path = output.write(f"images/{number}.bin", b"%d" % number)
    return [{"image": path, "label": number % 2, "patient": f"p{number}"}]


def convert_rows(payload: list[Any], output: Output) -> list[Entry]:
    used: list[str] = []

    def rows() -> Iterator[np.ndarray]:
        for place, row in enumerate(payload):
            try:
                yield np.full(2, output.attempt(f"row {place}", read, row))
                used.append(f"row {place}")
            except InputError as error:
                output.skip(f"row {place}", str(error))

    output.write_stack("images/a.npy", rows(), (2,), "float32")
    return [
        {"image": "images/a.npy", "index": i, "label": 0, "patient": name, "origin": name}
        for i, name in enumerate(used)
    ]


def plan_of(payloads: list[Any], folder: Path | None = None) -> Plan:
    items = [
        Item(f"k{n}", payload, (Origin(f"case{n}", (folder / f"{n}",) if folder else ()),))
        for n, payload in enumerate(payloads)
    ]

    def split(entries: list[Entry]) -> dict[str, list[Entry]]:
        return split_by_share(entries, seed=0)

    return Plan("test", "none", {}, items, convert, split)


def stack_of(rows: list[Any]) -> Plan:
    origins = tuple(Origin(f"row {place}") for place in range(len(rows)))
    return replace(plan_of([]), items=[Item("k", rows, origins)], convert=convert_rows)


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_whatever_a_reader_raises_ends_that_file_alone(
    tmp_path: Path, fault: BaseException
) -> None:
    manifest = run(plan_of([1, fault, 2]), tmp_path / "file", workers=1)
    assert len(manifest["sha256"]) == 2
    manifest_of_rows = run(stack_of([1, fault, 2]), tmp_path / "row", workers=1)
    assert np.load(tmp_path / "row" / "images" / "a.npy")[:, 0].tolist() == [1, 2]
    for skipped in (manifest["skipped"], manifest_of_rows["skipped"]):
        assert len(skipped) == 1
        assert "Jane" not in json.dumps(skipped)


@pytest.mark.slow
@pytest.mark.bad_input("files")
@pytest.mark.parametrize("end", ["abort", "exit"])
def test_a_decoder_that_ends_the_process_costs_its_file_alone(tmp_path: Path, end: str) -> None:
    payloads = [1, end, 2, 3, MemoryError(), end]
    manifest = run(plan_of(payloads), tmp_path, workers=2, isolate=True)
    assert len(manifest["sha256"]) == 3
    reasons = [line["reason"].split(": ")[1] for line in manifest["skipped"]]
    assert [reason[:11] for reason in reasons] == ["its decoder", "reading it ", "its decoder"]


@pytest.mark.slow
@pytest.mark.bad_input("files")
def test_a_decoder_that_ends_the_process_costs_its_row_of_a_stack_alone(tmp_path: Path) -> None:
    manifest = run(stack_of([1, "abort", 2, "abort", 3]), tmp_path, workers=1, isolate=True)
    assert np.load(tmp_path / "images" / "a.npy")[:, 0].tolist() == [1, 2, 3]
    assert len(manifest["skipped"]) == 2


@pytest.mark.bad_input("preparation")
@pytest.mark.parametrize(
    "code", [errno.EROFS, errno.EIO, errno.EACCES, errno.EMFILE, errno.EFBIG, errno.EDQUOT]
)
def test_a_target_that_cannot_be_written_stops_the_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real = Path.write_bytes

    def write_bytes(self: Path, data: bytes) -> int:
        if self.name.endswith("2.bin.partial"):
            raise OSError(code, os.strerror(code))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(InputError, match="where it stopped") as error:
        run(plan_of([1, 2, 3]), tmp_path, workers=1)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "manifest.json").exists()
    monkeypatch.undo()
    assert run(plan_of([1, 2, 3]), tmp_path, workers=1)["skipped"] == []


@pytest.mark.bad_input("preparation")
@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_a_machine_without_memory_or_files_loses_no_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr(reading, "ROOM", 2**60)
    with pytest.raises(InputError, match="fewer --workers"):
        run(plan_of([1, fault, 3]), tmp_path, workers=1)
    assert not (tmp_path / "manifest.json").exists()
    monkeypatch.undo()
    assert run(plan_of([1, 2, 3]), tmp_path, workers=1)["skipped"] == []


@pytest.mark.bad_input("preparation")
def test_a_second_run_into_one_target_is_refused_and_a_dead_one_holds_nothing(
    tmp_path: Path,
) -> None:
    code = "import sys, time; from pathlib import Path\n"
    code += "from data_prep.machinery.runner import _locked\n"
    code += "with _locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    (tmp_path / ".progress").mkdir()
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="one run at a time"):
            run(plan_of([1, 2]), tmp_path, workers=1)
        other.send_signal(signal.SIGKILL)
    assert run(plan_of([1, 2]), tmp_path, workers=1)["skipped"] == []


@pytest.mark.bad_input("preparation")
@pytest.mark.parametrize("change", ["bytes", "gone"])
@pytest.mark.parametrize("finished", [True, False])
def test_outputs_that_do_not_match_their_digest_are_made_again(
    tmp_path: Path, change: str, finished: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    payloads = [1, 2, 3] if finished else [1, 2, KeyboardInterrupt()]
    if finished:
        run(plan_of(payloads), tmp_path, workers=1)
    else:
        with pytest.raises(KeyboardInterrupt):
            run(plan_of(payloads), tmp_path, workers=1)
    path = tmp_path / "images" / "2.bin"
    path.write_bytes(b"torn") if change == "bytes" else path.unlink()
    kept = (tmp_path / "images" / "1.bin").stat().st_mtime_ns
    manifest = run(plan_of([1, 2, 3]), tmp_path, workers=1)
    assert path.read_bytes() == b"2"
    assert (tmp_path / "images" / "1.bin").stat().st_mtime_ns == kept
    assert read_manifest(tmp_path) == manifest
    assert ("1 of 3 files do not match" in capsys.readouterr().err) == finished


def test_a_file_left_out_is_tried_again_when_it_changes(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(3):
        (source / f"{number}").write_bytes(b"x")
    first = run(plan_of([1, ValueError(), 3], source), target, workers=1)
    assert len(first["skipped"]) == 1
    assert run(plan_of([1, 2, 3], source), target, workers=1) == first, "nothing has changed"
    (source / "1").write_bytes(b"mended")
    assert run(plan_of([1, 2, 3], source), target, workers=1)["skipped"] == []


def test_a_used_file_written_after_its_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        (tmp_path / "in" / f"{number}").write_bytes(b"x")
    run(plan_of([1, 2], tmp_path / "in"), tmp_path / "out", workers=1)
    time.sleep(0.02)  # the grain of a file's time
    (tmp_path / "in" / "1").write_bytes(b"y")
    with pytest.raises(InputError, match="other inputs"):
        run(plan_of([1, 2], tmp_path / "in"), tmp_path / "out", workers=1)


@pytest.mark.bad_input("preparation")
def test_a_source_that_goes_away_stops_the_run_and_loses_no_film(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(3):
        (source / f"{number}").write_bytes(b"x")
    plan = plan_of([1, FileNotFoundError(errno.ENOENT, "No such file"), 3], source)
    (source / "1").rename(tmp_path / "away")
    with pytest.raises(InputError, match="stay where they are"):
        run(plan, tmp_path / "out", workers=1)
    (tmp_path / "away").rename(source / "1")
    assert run(plan_of([1, 2, 3], source), tmp_path / "out", workers=1)["skipped"] == []


@pytest.mark.bad_input("preparation")
@pytest.mark.parametrize("name", ["manifest.json", ".progress/run.json"])
@pytest.mark.parametrize("content", ["{", "[]", '{"arguments": 3}', "\udcff"])
def test_a_broken_record_of_an_earlier_run_is_one_line(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / ".progress").mkdir()
    (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="must be what an earlier run wrote"):
        run(plan_of([1, 2]), tmp_path, workers=1)


def test_a_rerun_leaves_nothing_of_items_that_are_no_more_and_removes_nothing_outside(
    tmp_path: Path,
) -> None:
    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(plan_of([1, 2, KeyboardInterrupt()]), target, workers=1)
    (target / "images" / ".3.bin.partial").write_bytes(b"torn")
    (tmp_path / "mine").touch()
    (_, _, record), *_ = read_journals(target)
    with Journal(target) as journal:
        journal.add({**record, "key": "gone", "sha256": {**record["sha256"], "../mine": "x"}})
        journal.add({**record, "key": "gone too", "sha256": {"images/9.bin": "x"}})
    (target / "images" / "9.bin").touch()
    earlier = {"sha256": {"images/8.bin": "x"}, "token": ""}  # a file an item, of older versions
    (target / ".progress" / "k8.json").write_text(json.dumps(earlier))
    (target / "images" / "8.bin").touch()
    manifest = run(plan_of([1, 2, 3]), target, workers=1)
    files = {path.name for path in (target / "images").iterdir()}
    assert files == {Path(name).name for name in manifest["sha256"]}
    assert (tmp_path / "mine").exists()
