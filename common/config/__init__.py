"""What a bundle's configuration calls first, and what it knows of itself.

- `guard`: typos are errors, and errors are one line;
- `unknown_keys`: the keys of later layers that the first does not have;
- `current_parser`: the MONAI parser that is building the caller;
- `run_record`: what a configuration says of its run, as ``run.json`` holds it;
- `begin_run`: begin anew in a folder of its own, or resume as the run was started;
- `as_trained`, `as_deployed`: read what a run, or a model, was trained with, and refuse the rest;
- `read_record`: ``run.json`` or ``model.json``, checked.
"""

from common.config.guard import guard, unknown_keys
from common.config.parser import current_parser
from common.config.record import (
    RECORD,
    as_deployed,
    as_trained,
    begin_run,
    read_record,
    run_record,
)

__all__ = [
    "RECORD",
    "as_deployed",
    "as_trained",
    "begin_run",
    "current_parser",
    "guard",
    "read_record",
    "run_record",
    "unknown_keys",
]
