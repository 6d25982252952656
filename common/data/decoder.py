"""Decoding of compressed DICOM in a process of its own, which a damaged file may end or hold up.

The libraries that decode JPEG, JPEG-LS and JPEG 2000 abort, or never return, on some damaged
streams. One child per process does it, started when the first such file is read, and again after
it died. ``python -m common.data.decoder`` is that child: it reads paths, one a line, and answers
each with a length and that many bytes: ``.npy`` after ``+``, or the name of an error.
"""

import atexit
import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError

__all__ = ["decode_apart"]

SECONDS = 120.0  # the longest that decoding one image may take
MEMORY = 8 * 2**30  # bytes of address space; 178 megapixels take one or two
ROOT = Path(__file__).parents[__name__.count(".")]  # the folder that holds the package


class _Decoder:
    """The child of this process, and its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.child: subprocess.Popen[bytes] | None = None
        self.owner = 0

    def ask(self, path: Path) -> bytes:
        """Return the child's answer; b"" where it died or took too long."""
        with self.lock:
            child = self._running()
            timer = threading.Timer(SECONDS, child.kill)
            timer.start()
            try:
                child.stdin.write(os.fsencode(path.absolute()) + b"\n")  # type: ignore[union-attr]
                child.stdin.flush()  # type: ignore[union-attr]
                size = int.from_bytes(child.stdout.read(8), "big")  # type: ignore[union-attr]
                answer = child.stdout.read(size)  # type: ignore[union-attr]
            except OSError:
                answer = b""
            finally:
                timer.cancel()
            if not answer or len(answer) < size:
                self.close()
                return b""
            return answer

    def close(self) -> None:
        """End the child, if it is one of this process and not of the one it was forked from."""
        child, self.child = self.child, None
        if child is None or self.owner != os.getpid():
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _running(self) -> subprocess.Popen[bytes]:
        if self.child is not None and self.owner == os.getpid() and self.child.poll() is None:
            return self.child
        self.close()
        places = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self.child = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
            start_new_session=True,  # Ctrl-C is for the parent to handle
        )
        self.owner = os.getpid()
        return self.child


_decoder = _Decoder()
atexit.register(_decoder.close)
if hasattr(os, "register_at_fork"):  # a forked process has a lock and a child of its own
    os.register_at_fork(after_in_child=_decoder.__init__)  # type: ignore[misc]


def decode_apart(path: Path) -> npt.NDArray[Any]:
    """Stored values of a compressed DICOM file, (H, W) or (H, W, 3), decoded in the child.

    Raises:
        InputError: no reader can, the decoder ended its process, or it took too long.
    """
    answer = _decoder.ask(path)
    if answer[:1] == b"+":
        return np.asarray(np.load(io.BytesIO(answer[1:]), allow_pickle=False))
    reason = answer.decode() if answer else "its decoder crashed or did not end"
    raise InputError(
        f"{path.name}: must be a whole DICOM file in a known compression, got a truncated or "
        f"undecodable one ({reason}). Copy it again or re-export it uncompressed."
    )


def main() -> None:
    """Answer paths on standard input until it ends."""
    from common.data.dicom import open_dicom
    from common.data.dicom_stored import decode_here

    answers = os.fdopen(os.dup(1), "wb")
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)  # the C libraries print there
    _limit_memory()
    for line in sys.stdin.buffer:
        if hasattr(signal, "alarm"):  # ends a child that hangs when its parent is gone
            signal.alarm(round(SECONDS) + 1)
        path = Path(os.fsdecode(line[:-1]))
        try:
            buffer = io.BytesIO(b"+")
            buffer.seek(1)
            np.save(buffer, decode_here(path, open_dicom(path)), allow_pickle=False)
            answer = buffer.getvalue()
        except BaseException as error:  # also a panic; the parent tells the user
            answer = type(error).__name__.encode()
        answers.write(len(answer).to_bytes(8, "big") + answer)
        answers.flush()
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _limit_memory() -> None:
    """A stream may claim more pixels than its header, whose number was checked."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, highest = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, highest))


if __name__ == "__main__":
    main()
