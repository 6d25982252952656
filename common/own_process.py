"""A process of its own for a task, which ends with whoever started it and with who wanted it.

::

    starter ──told, a pipe that stays open──▶ process       the starter dies: the pipe ends, it too
    `Wanted` file, on a disk that all see ──▶ starter       its owner ends: the process is ended

Wherever on a cluster the task is, nothing goes on behind the back of a command that has ended, and
whatever ends the process (a crash, the system for want of memory) ends nothing else.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any
from uuid import uuid4

from common.files import replacing

__all__ = ["Wanted", "run_process", "told"]

LOOK = 0.1  # seconds between two looks at the process
ASK = 2.0  # and at whether it is still wanted
PATIENCE = 15.0  # seconds until a process that was asked to end is ended
LENGTH = 8  # bytes that say how long the message is


@dataclass(frozen=True)
class Wanted:
    """A file that says who wants processes to run, as long as somebody does.

    Args:
        path: of the file.
        owner: what it holds.
    """

    path: Path
    owner: str

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> "Iterator[Wanted]":
        """Want processes for a while; those of an earlier owner, who may have died, end."""
        wanted = cls(path, uuid4().hex)
        with replacing(path) as partial:
            partial.write_text(wanted.owner)
        try:
            yield wanted
        finally:
            path.unlink(missing_ok=True)

    def __bool__(self) -> bool:
        """Whether it still holds."""
        try:
            return self.path.read_text() == self.owner
        except FileNotFoundError:
            return False
        except OSError:  # a shared disk that does not answer at once
            return True


def run_process(
    words: Sequence[str],
    message: bytes,
    wanted: Wanted,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    output: "IO[bytes] | int" = subprocess.DEVNULL,
) -> int | None:
    """Run Python with `words` to its end.

    Args:
        words: such as ``("-m", "common.sweep")``.
        message: what it gets from `told`.
        wanted: looked at now and then.
        cwd: where relative paths begin; this process's where it is not there.
        environment: variables beside this process's own.
        output: where it writes.

    Returns:
        Its exit code, negative for a signal; None where it was ended because nobody wants it.
    """
    child = subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=cwd if cwd.is_dir() else None,
        env={**os.environ, **(environment or {})},
        start_new_session=True,  # Ctrl-C is the starter's to handle
    )
    assert child.stdin is not None
    try:
        with suppress(OSError):  # it has ended
            child.stdin.write(len(message).to_bytes(LENGTH, "big") + message)
            child.stdin.flush()
        asked = time.monotonic()
        while child.poll() is None:
            time.sleep(LOOK)
            if time.monotonic() - asked > ASK:
                asked = time.monotonic()
                if not wanted:
                    break
    finally:
        _end(child)
    return child.returncode if wanted or child.returncode == 0 else None


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Ask the process to end, then end it."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    with suppress(OSError):
        child.stdin.close()  # type: ignore[union-attr]  # it was opened as a pipe


def told() -> bytes:
    """In the process: return the message, and end from now on when the starter does."""
    length = int.from_bytes(_read(LENGTH), "big")
    message = _read(length)
    Thread(target=_end_with_starter, daemon=True).start()
    return message


def _read(count: int) -> bytes:
    """Read so many bytes, and none after them."""
    parts: list[Any] = []
    while count:
        part = os.read(0, min(count, 2**20))
        if not part:
            os._exit(1)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
