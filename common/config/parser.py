"""The configuration a component is built from: MONAI hands it over to nobody.

A component of a MONAI configuration gets its own arguments only. What looks at a run as a whole
(which dials it has, which of them contradict an earlier run) needs all of it, overlays and
overrides applied, however the workflow was started: ``python -m monai.bundle run``,
``ConfigWorkflow`` in a script, MONAI Label. All of these build components from inside a
`ConfigParser`, so it is found on the stack of calls.
"""

import sys
from pathlib import Path
from types import FrameType
from typing import TypeVar

from monai.bundle import ConfigParser, ConfigWorkflow

__all__ = ["config_folder", "current_parser"]

T = TypeVar("T")


def current_parser() -> ConfigParser | None:
    """Return the innermost `ConfigParser` that is resolving the caller; None outside of any."""
    return _innermost(ConfigParser)


def config_folder() -> Path | None:
    """Return the folder of the configuration files that the workflow on the stack was made of."""
    workflow = _innermost(ConfigWorkflow)
    return None if workflow is None else Path(workflow.config_root_path)


def _innermost(kind: type[T]) -> T | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, kind):
            return owner
        frame = frame.f_back
    return None
