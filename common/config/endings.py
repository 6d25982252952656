"""How a command ends: errors, Ctrl-C and SIGTERM in one line that says how to go on.

Only for a process that ``python -m monai.bundle``, ``python -m common`` or torchrun started: a
script that imports the library keeps its own hooks and handlers. A process that was asked to end
(SIGTERM) exits with 143, 128 and the number of the signal, which batch systems take for "try
again"; every other error is exit code 1.
"""

import atexit
import errno
import io
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from monai.bundle import ConfigParser

from common.checks import InputError
from common.config.package import PACKAGE
from common.text import plain

__all__ = ["Terminated", "Termination", "does_not_fit", "end_in_one_line", "termination"]

EXIT_TERMINATED = 128 + signal.SIGTERM
_LOST_RANK = re.compile("Connection (closed|reset) by peer|remote process exited|Broken pipe")
_SILENT_RANK = re.compile("[Tt]imed out (waiting|after)|caused pair closure|clients joined")
_NO_FIT = re.compile(
    "expected input.* channels, but got|mat1 and mat2 shapes|Kernel size can't be greater"
    "|Output size is too small|Expected more than 1 (spatial element|value per channel)"
)
_ALONE = re.compile(r"Expected more than 1 value per channel.*Size\(\[1,")
_REPEATED = ("run is terminating due to exception", "resuming from iteration 0,")


class Terminated(BaseException):
    """The process was asked to end (SIGTERM): by a scheduler, by torchrun, by ``kill``."""


def does_not_fit(error: BaseException) -> bool:
    """Whether a network was given images of other channels or another size than it takes."""
    return isinstance(error, RuntimeError | ValueError) and bool(_NO_FIT.search(str(error)))


def end_in_one_line(config: Mapping[str, Any]) -> None:
    """Let this process end in one line, where it is a command of MONAI's.

    Args:
        config: the merged configuration, asked on an interruption for what can be resumed.
    """
    if not _is_command():
        return
    sys.excepthook = _Hook(config)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, Termination())
    for handler in (*logging.root.handlers, logging.lastResort):
        if handler is not None:
            handler.addFilter(_is_news)


def _is_command() -> bool:
    """Whether this process is ``python -m monai.bundle``, ``python -m common`` or a run of a sweep.

    A server or script that runs MONAI's command inside itself was started by other words.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    words = sys.orig_argv
    started = words[words.index("-m") + 1 :][:1] if "-m" in words else []
    ours = started in (["monai.bundle"], [PACKAGE], [f"{PACKAGE}.sweep"])
    return ours and spec is not None and spec.name == f"{started[0]}.__main__"


class Termination:
    """What SIGTERM does: raise `Terminated`, or, while it is `held`, be noted as `asked`.

    A second one is raised at once.
    """

    def __init__(self) -> None:
        self.held = self.asked = False
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        if os.getpid() != self._pid:  # a forked worker
            os._exit(128 + number)
        if self.held and not self.asked:
            self.asked = True
            return
        raise Terminated


def termination() -> Termination:
    """Return what SIGTERM does to this process; one that is never called where it is not ours."""
    handler = signal.getsignal(signal.SIGTERM)
    return handler if isinstance(handler, Termination) else Termination()


def _leave() -> None:
    """End with the exit code of a process that was asked to; an uncaught error's would be 1."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_TERMINATED)


class _Hook:
    """The hook for uncaught errors; see `end_in_one_line`."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._started = int(time.time())  # file systems may keep whole seconds only
        self._pid = os.getpid()

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        main = threading.current_thread() is threading.main_thread()
        if not main and os.getpid() != self._pid:
            return  # what hands a forked worker's tensors over misses the process that was killed
        if main and signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another one ends the process at once
        line = next(filter(None, map(self._line, _causes(error))), None)
        if line is None:
            sys.__excepthook__(kind, error, trace)
            return
        asked = any(isinstance(cause, Terminated) for cause in _causes(error))
        if os.environ.get("RANK", "0") == "0" or line.startswith("error"):
            # torch's hook of a rank keeps what is printed until this returns; `_leave` does not
            kept = asked and isinstance(sys.stderr, io.StringIO)
            print(line, file=sys.__stderr__ if kept else sys.stderr, flush=True)
        if report := os.environ.get("TORCHELASTIC_ERROR_FILE"):  # torchrun prints it in a table
            content = {"message": line, "timestamp": int(time.time())}
            Path(report).write_text(json.dumps(content))
        if asked:
            _leave()

    def _line(self, error: BaseException) -> str:
        if isinstance(error, InputError):
            return f"error: {error}"
        if isinstance(error, KeyError) and "query key: " in str(error):  # MONAI's, of --a#b#c 1
            key = str(error.args[0]).rpartition(": ")[2]
            return f"error: the command line: {key!r} is not a key of this configuration."
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "error: the disk is full. Free some space and resume."
        if isinstance(error, OSError) and error.filename is not None and error.strerror:
            return (
                f"error: {plain(str(error.filename))}: must be a path to read and write, got an "
                f"error ({error.strerror}). Check it, and give the same command again."
            )
        if isinstance(error, torch.OutOfMemoryError):
            return "error: the GPU's memory is full. Lower batch_size, or free the GPU, and resume."
        if isinstance(error, MemoryError) or "not enough memory" in str(error):
            return (
                "error: the memory is full. Lower batch_size, image_size or the width of the "
                "network, and resume."
            )
        if isinstance(error, RuntimeError) and _LOST_RANK.search(str(error)):
            return f"error: another process of this training ended. {self._what_is_left()}"
        if isinstance(error, RuntimeError) and _SILENT_RANK.search(str(error)):
            return (
                "error: another process of this training did not answer within timeout_minutes. "
                f"See what its machine says of it. {self._what_is_left()}"
            )
        if _ALONE.search(str(error)):
            return (
                "error: batch_size: must be at least 2, for batch normalisation compares the "
                "images of a batch, got 1. Give --batch_size 2 or more."
            )
        if does_not_fit(error):
            return (
                f"error: image: must have the channels and the size that the network is made for, "
                f"got others ({str(error).splitlines()[0]}). Give the data this bundle is made "
                "for, or change image_size, in_channels, batch_size or what the network is made of."
            )
        if isinstance(error, KeyboardInterrupt | Terminated):
            if os.environ.get("RANK", "0") != "0":  # the first one may still be saving
                return "interrupted: the first process of this training says what is saved."
            left = self._what_is_left()
            return f"interrupted: {left[0].lower()}{left[1:]}"
        return ""

    def _what_is_left(self) -> str:
        if "trainer.run()" not in str(self._config.get("run")):
            return "Nothing is lost. The same command begins again."
        try:
            parser = ConfigParser(dict(self._config))
            folder, resumed = map(parser.get_parsed_content, ("run_dir", "resume"))
            path = Path(folder) / "checkpoint.pt"
            if resumed or path.stat().st_mtime >= self._started - 1:  # a disk's clock may lag
                state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
                return f"{_saved(**state['engine'])} in {folder}. --resume True goes on from there."
        except Exception:  # whatever is wrong with the folder, the process ends here
            pass
        return "No epoch was saved. The same command begins again."


def _saved(epoch: int, iteration: int = 0, epoch_length: int = 1) -> str:
    """What a checkpoint holds, in words."""
    steps = iteration - epoch * epoch_length
    parts = [f"epochs 1 to {epoch}"] if epoch > 1 else ["epoch 1"] * epoch
    if steps > 0:
        parts.append(f"{steps} step{'s' if steps > 1 else ''} of epoch {epoch + 1}")
    said = " and ".join(parts)
    alone = len(parts) == 1 and max(epoch, steps) == 1
    return f"{said[0].upper()}{said[1:]} {'is' if alone else 'are'} saved"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record is to be shown: not what the last line says, nor a resumption of nothing."""
    text = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    ours = any(isinstance(cause, InputError) for cause in _causes(error))
    return not ours and not any(phrase in text for phrase in _REPEATED)
