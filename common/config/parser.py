"""The configuration a component is built from: MONAI hands it over to nobody.

A component of a MONAI configuration gets its own arguments only. What looks at a run as a whole
(which dials it has, which of them contradict an earlier run) needs all of it, overlays and
overrides applied, however the workflow was started: ``python -m monai.bundle run``,
``ConfigWorkflow`` in a script, MONAI Label. All of these build components from inside a
`ConfigParser`, so it is found on the stack of calls.
"""

import sys
from types import FrameType

from monai.bundle import ConfigParser

__all__ = ["current_parser"]


def current_parser() -> ConfigParser | None:
    """Return the innermost `ConfigParser` that is resolving the caller; None outside of any."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, ConfigParser):
            return owner
        frame = frame.f_back
    return None
