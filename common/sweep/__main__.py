"""``python -m common.sweep``: the process of one run, started by `common.sweep.launch`.

What to do is a line of JSON on standard input, whose end is the end of whoever started it.
"""

import json
import os
import sys
from pathlib import Path
from threading import Thread
from typing import Any

from common.config.endings import end_in_one_line
from common.deploy.commands.train import train_and_evaluate


def main() -> int:
    """Train and evaluate one run; return the exit code."""
    what = json.loads(_line())
    Thread(target=_end_with_starter, daemon=True).start()
    end_in_one_line({})
    dials: dict[str, Any] = {**what["dials"], "resume": True}
    train_and_evaluate(Path(what["bundle"]), what["overlays"], dials, what["places"], report=False)
    return 0


def _line() -> bytes:
    """Read up to a newline, and nothing after it."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            os._exit(1)
        line += byte
    return line


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
