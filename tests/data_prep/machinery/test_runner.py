"""A run resumes, refuses what is not its own, and gives the same bytes every time."""

import errno
import hashlib
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
from common.data import read_manifest
from data_prep.__main__ import main
from data_prep.machinery.files import Output
from data_prep.machinery.plan import Item, Origin, Plan
from data_prep.machinery.runner import run
from data_prep.machinery.split import Entry, split_by_share


def convert(payload: int, output: Output) -> list[Entry]:
    if payload < 0:
        raise InputError(f"case{payload}: must be positive, got {payload}.")
    if payload == 13:
        raise KeyError("Doe^Jane")
    patient = f"p{payload}"
    path = output.write(f"images/{patient}.bin", str(payload % 100).encode())
    return [{"image": path, "label": payload % 2, "patient": patient}]


def split(entries: list[Entry]) -> dict[str, list[Entry]]:
    return split_by_share(entries, seed=0)


def plan_of(*payloads: int, **arguments: Any) -> Plan:
    items = [Item(f"k{payload}", payload, (Origin(f"case{payload}"),)) for payload in payloads]
    return Plan("test", "none", arguments, items, convert, split)


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_finished_run_leaves_only_images_and_manifest(tmp_path: Path) -> None:
    manifest = run(plan_of(*range(8)), tmp_path, workers=1)
    assert read_manifest(tmp_path) == manifest
    files = tree(tmp_path)
    assert manifest["sha256"] == {k: v for k, v in files.items() if k != "manifest.json"}
    assert len(files) == 9


def test_second_run_touches_nothing(tmp_path: Path) -> None:
    run(plan_of(1, 2, 3), tmp_path, workers=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run(plan_of(1, 2, 3), tmp_path, workers=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_failures_are_listed_with_reasons_and_no_quoted_text(tmp_path: Path) -> None:
    manifest = run(plan_of(1, -5, 2, 13), tmp_path, workers=1)
    first, second = manifest["skipped"]
    assert first["reason"] == f"{first['file']}: must be positive, got -5."
    assert second["reason"] == f"{second['file']}: unreadable (KeyError)"
    assert "case" not in json.dumps(manifest)


def test_patients_who_share_an_exact_image_become_one_on_request(tmp_path: Path) -> None:
    for merge, count in ((True, 3), (False, 5)):
        plan = replace(plan_of(1, 2, 101, 201, 3), merge_copies=merge)
        manifest = run(plan, tmp_path / str(merge), workers=1)
        entries = [*manifest["training"], *manifest["validation"], *manifest["test"]]
        assert len(entries) == 5
        assert len({entry["patient"] for entry in entries}) == count


def test_nothing_usable_is_an_error_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got none of 2"):
        run(plan_of(-1, -2), tmp_path, workers=1)
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("finished", [True, False])
def test_other_arguments_are_refused(
    tmp_path: Path, finished: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if finished:
        run(plan_of(1, 2, size=3), tmp_path, workers=1)
    else:
        fill_disk_after(monkeypatch, 1)
        with pytest.raises(InputError, match="full disk"):
            run(plan_of(1, 2, size=3), tmp_path, workers=1)
        monkeypatch.undo()
    with pytest.raises(InputError, match="other arguments"):
        run(plan_of(1, 2, size=4), tmp_path, workers=1)
    with pytest.raises(InputError, match="other inputs"):
        run(plan_of(1, 2, 3, size=3), tmp_path, workers=1)


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("dear")
    with pytest.raises(InputError, match="other files"):
        run(plan_of(1), tmp_path, workers=1)


def test_target_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="one may write to"):
        run(plan_of(1), tmp_path / "file", workers=1)


def fill_disk_after(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """From then on a write gets half its bytes onto the disk and fails."""
    real, count = Path.write_bytes, [0]

    def write_bytes(self: Path, data: bytes) -> int:
        count[0] += self.name.endswith(".bin.partial")
        if count[0] > images:
            real(self, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


def test_full_disk_is_one_line_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    run(plan_of(*range(8)), whole, workers=1)
    target = tmp_path / "target"
    fill_disk_after(monkeypatch, 3)
    with pytest.raises(InputError, match="full disk") as error:
        run(plan_of(*range(8)), target, workers=1)
    assert "\n" not in str(error.value)
    assert not (target / "manifest.json").exists()
    assert not list(target.rglob("*.partial"))
    assert len(list(target.rglob("*.bin"))) == 3
    monkeypatch.undo()
    run(plan_of(*range(8)), target, workers=1)
    assert tree(target) == tree(whole)


def convert_to_stack(payload: int, output: Output) -> list[Entry]:
    def rows() -> Iterator[np.ndarray]:
        for row in range(2):
            if payload == 1 and row == 1 and os.environ.get("TEST_FULL_DISK"):
                raise OSError(errno.ENOSPC, "No space left on device")
            yield np.full(3, payload)

    path = f"images/{payload}.npy"
    output.write_stack(path, rows(), (3,), "float32")
    output.skip(f"case{payload}", "left out")
    return [{"image": path, "index": 1, "label": 0, "patient": f"p{payload}"}]


def test_full_disk_in_the_middle_of_a_stack_is_no_skipped_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(plan_of(0, 1, 2), convert=convert_to_stack)
    monkeypatch.setenv("TEST_FULL_DISK", "1")
    with pytest.raises(InputError, match="full disk"):
        run(plan, tmp_path, workers=1)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["0.npy"]
    monkeypatch.undo()
    manifest = run(plan, tmp_path, workers=1)
    assert sorted(manifest["sha256"]) == [f"images/{i}.npy" for i in range(3)]
    assert [line["reason"][-8:] for line in manifest["skipped"]] == ["left out"] * 3


def test_full_disk_at_the_manifest_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **options: Any) -> Iterator[str]:
        yield '{"training"'
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(json.JSONEncoder, "iterencode", full)
    with pytest.raises(InputError, match="full disk"):
        run(plan_of(1, 2), tmp_path, workers=1)
    monkeypatch.undo()
    assert not (tmp_path / "manifest.json").exists()
    assert run(plan_of(1, 2), tmp_path, workers=1)["training"]


def test_interrupt_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def interrupted(payload: int, output: Output) -> list[Entry]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(payload)
        return convert(payload, output)

    plan = plan_of(*range(5))
    with pytest.raises(KeyboardInterrupt):
        run(Plan("test", "none", {}, plan.items, interrupted, split), tmp_path, workers=1)
    again: list[int] = []

    def counted(payload: int, output: Output) -> list[Entry]:
        again.append(payload)
        return convert(payload, output)

    run(Plan("test", "none", {}, plan.items, counted, split), tmp_path, workers=1)
    assert done == [0, 1]
    assert again == [2, 3, 4]


def test_bad_input_ends_with_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["chest_xray", "--source", str(tmp_path), "--target", str(tmp_path / "out")])
    assert code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.bad_input("preparation")
@pytest.mark.parametrize(
    "options",
    [
        *(["--seed", "-1"], ["--size", "99999999"], ["--workers", "-1"], ["--workers", "99999"]),
        *(["--seed", "x"], ["--kind", "a\nb"], ["--no-such-option"], []),
        *(["--backend", "slurm"], ["--address", "tcp://host:8786"]),
    ],
)
def test_a_wrong_option_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    target = ["--target", str(tmp_path / "out")] if options else []
    try:
        code = main(["phantom", "--kind", "brain", *target, *options])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def phantom(target: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "data_prep", "phantom", "--kind", "brain", "--target", str(target)),
        *options,
    ]


@pytest.mark.slow
def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    for workers in ("1", "3"):
        command = phantom(tmp_path / workers, "--patients", "8", "--slices", "2", "--size", "32")
        subprocess.run([*command, "--workers", workers], check=True, capture_output=True)
    assert len(tree(tmp_path / "1")) == 8 * 2 + 8 + 1
    assert tree(tmp_path / "1") == tree(tmp_path / "3")


def _lines(records: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in records.glob("*.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_then_the_same_command_gives_the_same_bytes(tmp_path: Path, workers: str) -> None:
    options = ("--patients", "60", "--slices", "4", "--size", "128", "--workers", workers)
    command = phantom(tmp_path / "stopped", *options)
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored under nohup
    )
    records = tmp_path / "stopped" / ".progress"
    deadline = time.monotonic() + 60
    while _lines(records) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line for line in errors.splitlines() if line.strip()] == [
        "Interrupted: run the same command again and it goes on where it stopped."
    ]
    assert not (tmp_path / "stopped" / "manifest.json").exists()
    assert not list((tmp_path / "stopped").rglob("*.partial"))
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(phantom(tmp_path / "whole", *options), check=True, capture_output=True)
    assert tree(tmp_path / "stopped") == tree(tmp_path / "whole")


def test_manifest_names_no_folder_of_the_user(tmp_path: Path) -> None:
    run(plan_of(1, 2), tmp_path, workers=1)
    assert str(tmp_path) not in json.dumps(read_manifest(tmp_path))
