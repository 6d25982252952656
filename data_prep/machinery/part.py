"""Parts of a preparation on a cluster, each in a process of its own beside the worker that has it.

A part is done item by item. A decoder that ends the process leaves its item without a record: the
item is handed back, to be done alone by whoever runs the preparation, as are those for which memory
did not suffice; the part goes on behind it. A worker that dies is not its item's fault: the part
goes on elsewhere, from its records.
"""

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.checks import require
from common.own_process import Wanted, run_process, told
from data_prep.machinery.faults import MachineFault
from data_prep.machinery.journal import Journal, recorded
from data_prep.machinery.worker import Job, convert

__all__ = ["Part", "convert_part"]

Function = Callable[[Any, Any], list[dict[str, Any]]]
RUN = f"from {__name__} import main; raise SystemExit(main())"
FAULT = 64  # exit codes from here on: the errno of a `MachineFault`, above it


@dataclass(frozen=True)
class Part:
    """Some items of a preparation.

    Args:
        function: the plan's `convert`.
        jobs: the items.
        target: the folder, as every worker sees it.
        wanted: whether the preparation goes on.
        cwd: where relative paths of the source begin.
    """

    function: Function
    jobs: tuple[Job, ...]
    target: Path
    wanted: Wanted
    cwd: Path

    def left(self) -> list[Job]:
        """The items without a record."""
        there = recorded(self.target)
        return [job for job in self.jobs if (job.item.key, job.token) not in there]


def convert_part(part: Part) -> list[Job]:
    """Convert a part; return what is to be done alone.

    Raises:
        MachineFault: as `convert`.
        InputError: the worker has no copy of this project.
    """
    alone: list[Job] = []
    while waiting := [job for job in part.left() if job not in alone]:
        message = pickle.dumps((part.function, waiting, part.target))
        code = run_process(("-c", RUN), message, part.wanted, part.cwd)
        if code is None:  # nobody waits for an answer
            return []
        if code >= FAULT:
            raise MachineFault(code - FAULT, os.strerror(code - FAULT) if code > FAULT else "")
        require(
            code != 1,
            "--backend: workers must have this project installed and see the same folders, got one "
            "that cannot begin. Install it there, and run the same command again.",
        )
        still = [job for job in part.left() if job not in alone]
        alone += still if code == 0 else still[:1]
    return alone


def main() -> int:
    """In the process: convert, with nothing said, for libraries in C name files and patients."""
    function, jobs, target = pickle.loads(told())
    with Journal(target) as journal:
        for job in jobs:
            try:
                convert(function, job, target, journal, alone=False)
            except MachineFault as fault:
                return FAULT + int(fault.args[0])
    return 0
