"""What a bundle's configuration calls first, and what it knows of itself.

- `guard`: wrong dials are errors, and errors are one line;
- `check`: the same of a configuration that is at hand;
- `effective`: of settings meant for several configurations, those that one of them reads;
- `Limit`: what a dial may be, as the configuration's ``limits`` say it;
- `unknown_keys`, `unknown_arguments`, `read_keys`: what is misspelt, and what nothing reads;
- `current_parser`: the MONAI parser that is building the caller;
- `run_record`: what a configuration says of its run, as ``run.json`` holds it;
- `begin_run`: begin anew in a folder of its own, or resume as the run was started;
- `as_trained`: read what a run was trained with, and refuse the rest;
- `as_deployed`: the configuration with which a deployed model was trained;
- `read_record`: ``run.json`` or ``model.json``, checked;
- `termination`, `Terminated`: what SIGTERM does to this process, at once or when it is convenient.
"""

from common.config.deployed import as_deployed
from common.config.effects import effective
from common.config.endings import Terminated, termination
from common.config.guard import check, guard
from common.config.keys import read_keys, unknown_arguments, unknown_keys
from common.config.limits import Limit
from common.config.parser import current_parser
from common.config.record import (
    RECORD,
    as_trained,
    begin_run,
    read_record,
    run_record,
)

__all__ = [
    "RECORD",
    "Limit",
    "Terminated",
    "as_deployed",
    "as_trained",
    "begin_run",
    "check",
    "current_parser",
    "effective",
    "guard",
    "read_keys",
    "read_record",
    "run_record",
    "termination",
    "unknown_arguments",
    "unknown_keys",
]
