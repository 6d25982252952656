"""A conversion that ends processes, in a module that is imported fast."""

import errno
import os
import signal
import time

from data_prep.machinery.files import Output
from data_prep.machinery.split import Entry

CRASHES, KILLS_ITS_WORKER, FILLS_THE_DISK = 3, 5, 9


def convert(payload: int, output: Output) -> list[Entry]:
    """Write a file; of one payload end this process, of another the worker that started it."""
    deadly = output.target.parent / "deadly"
    if payload == CRASHES:
        os.kill(os.getpid(), signal.SIGKILL)  # as a decoder in C may
    if payload == KILLS_ITS_WORKER and deadly.exists():
        deadly.unlink()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if payload == FILLS_THE_DISK:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    image = output.write(f"images/{payload}.bin", str(payload).encode())
    return [{"image": image, "label": payload % 2, "patient": f"p{payload}"}]


def split(entries: list[Entry]) -> dict[str, list[Entry]]:
    """All of them are for training."""
    return {"training": entries, "validation": [], "test": []}
