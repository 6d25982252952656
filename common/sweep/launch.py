"""One run in a process of its own, wherever the task is: what ends it is an outcome, no error.

The process is ``python -m common.sweep`` (`common.sweep.__main__`). It ends when the task's worker
does, and when the sweep does (`common.own_process`).
"""

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from filelock import FileLock, Timeout

from common.files import replacing
from common.own_process import Wanted, run_process

__all__ = ["LOG", "OUTCOME", "RUN", "Outcome", "Task", "launch"]

OUTCOME, LOG = "outcome.json", "log.txt"
BEGUN = ".begun"
RUN = ("-m", str(__package__))  # what Python is given to do a run
LOST = 2  # workers a run may lose before its first, or its next, epoch is saved
HELD = 60.0  # seconds to wait for an earlier process of the run to end
DONE, FAILED, STOPPED = "done", "failed", "stopped"


@dataclass(frozen=True)
class Task:
    """A run to do.

    Args:
        name: of its folder.
        output: folder of the sweep.
        wanted: whether the sweep goes on.
        about: what the outcome repeats: swept dials, strategy, seed.
        what: what the process is told: bundle, overlays, dials, places.
        cwd: where relative paths in it begin.
        threads: of its process; None for as many as it takes.
        words: what Python is given.
    """

    name: str
    output: Path
    wanted: Wanted
    about: Mapping[str, Any]
    what: Mapping[str, Any]
    cwd: Path = Path()
    threads: int | None = None
    words: tuple[str, ...] = RUN

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.output / self.name


@dataclass(frozen=True)
class Outcome:
    """How a run ended; ``outcome.json`` in its folder.

    Args:
        name: of its folder.
        ended: "done", "failed" or "stopped" (with the sweep; nothing is written then).
        reason: why it failed, in a line.
        seconds: that its process ran.
        point: the swept dials.
        strategy: without them.
        seed: of the training.
    """

    name: str
    ended: str
    point: dict[str, Any]
    strategy: str
    seed: int
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)


def launch(task: Task, gpus: "Queue[str] | None" = None) -> Outcome:
    """Do a run and leave its outcome; never raises for what the run does.

    Args:
        task: the run.
        gpus: of this machine, one of which the process alone sees; None to leave that to others.
    """
    started = time.monotonic()
    task.folder.mkdir(parents=True, exist_ok=True)
    gpu = gpus.get() if gpus is not None else None
    try:
        lost = _begin(task.folder)
        if lost > LOST:
            ended, reason = FAILED, f"its worker died {lost} times (too little memory?)"
        elif not _free(task.folder):
            ended, reason = FAILED, "another process writes to its folder"
        else:
            ended, reason = _process(task, gpu)
    finally:
        if gpus is not None and gpu is not None:
            gpus.put(gpu)
    seconds = round(time.monotonic() - started, 1)
    outcome = Outcome(task.name, ended, **task.about, reason=reason, seconds=seconds)
    if ended != STOPPED:
        with replacing(task.folder / OUTCOME) as partial:
            partial.write_text(json.dumps(asdict(outcome), indent=1) + "\n")
    (task.folder / BEGUN).unlink(missing_ok=True)
    return outcome


def _begin(folder: Path) -> int:
    """Note that the run was begun; return how often before, since an epoch was saved."""
    note, saved = folder / BEGUN, folder / "checkpoint.pt"
    if note.is_file() and saved.is_file() and saved.stat().st_mtime > note.stat().st_mtime:
        note.unlink()
    before = note.stat().st_size if note.is_file() else 0
    with note.open("a") as file:
        file.write(".")
    return before


def _free(folder: Path) -> bool:
    """Whether no process writes to the folder, perhaps after a while: one whose worker died."""
    try:
        with FileLock(folder / ".lock", timeout=HELD):
            return True
    except (Timeout, OSError):
        return False


def _process(task: Task, gpu: str | None) -> tuple[str, str]:
    """Run the process to its end; how it ended, and why."""
    environment = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    if task.threads is not None and "OMP_NUM_THREADS" not in os.environ:
        environment["OMP_NUM_THREADS"] = str(task.threads)
    log = task.folder / LOG
    begin = log.stat().st_size if log.is_file() else 0
    message = json.dumps(task.what, default=str).encode()
    with log.open("ab") as file:
        code = run_process(task.words, message, task.wanted, task.cwd, environment, file)
    if code is None:
        return STOPPED, ""
    return (DONE, "") if code == 0 else (FAILED, _reason(code, log, begin))


def _reason(code: int, log: Path, begin: int) -> str:
    """Why a process failed: the signal that ended it, or the last line it wrote."""
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        hint = " (too little memory?)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else f"exit code {code}"
