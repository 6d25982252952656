"""``python -m common.sweep``: the process of one run, started by `common.sweep.launch`."""

import json
import sys
from pathlib import Path
from typing import Any

from common.config.endings import end_in_one_line
from common.deploy.commands.train import train_and_evaluate
from common.own_process import told


def main() -> int:
    """Train and evaluate one run; return the exit code."""
    what = json.loads(told())
    end_in_one_line({})
    dials: dict[str, Any] = {**what["dials"], "resume": True}
    train_and_evaluate(Path(what["bundle"]), what["overlays"], dials, what["places"], report=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
