"""The configuration a component is built from: MONAI hands it over to nobody.

A component of a MONAI configuration gets its own arguments only. What looks at a run as a whole
(which dials it has, which of them contradict an earlier run) needs all of it, overlays and
overrides applied, however the workflow was started: ``python -m monai.bundle run``,
``ConfigWorkflow`` in a script, MONAI Label. All of these build components from inside a
`ConfigParser`, so it is found on the stack of calls.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import ensure_tuple

from common.config.keys import applied

__all__ = ["config_folder", "current_files", "current_parser", "dropped"]

T = TypeVar("T")


def current_parser() -> ConfigParser | None:
    """Return the innermost `ConfigParser` that is resolving the caller; None outside of any."""
    return _innermost(ConfigParser)


def config_folder() -> Path | None:
    """Return the folder of the configuration files that the workflow on the stack was made of."""
    workflow = _innermost(ConfigWorkflow)
    return None if workflow is None else Path(workflow.config_root_path)


def current_files() -> list[Path]:
    """Return the configuration files of the workflow that is building the caller, in order.

    ``monai.bundle.run`` has the list. A ``ConfigWorkflow`` made in a script keeps their folder
    only: its train.json or inference.json is returned, and the overlays beside it that are part of
    the configuration. Empty outside of any workflow.
    """
    for frame in _frames():
        given = frame.f_locals.get("config_file")
        if frame.f_code.co_name == "create_workflow" and given is not None:
            names = given.split(",") if isinstance(given, str) else ensure_tuple(given)
            return [Path(name) for name in names]
    workflow = _innermost(ConfigWorkflow)
    if workflow is None:
        return []
    first = "train.json" if "train" in workflow.parser else "inference.json"
    return _files_of(Path(workflow.config_root_path) / first, workflow.parser.get())


def dropped() -> list[str]:
    """Return the overrides that ``monai.bundle run`` was given as None, and does not pass on."""
    for frame in _frames():
        if frame.f_code.co_name == "create_workflow":
            given = frame.f_locals.get("kwargs") or {}
            return [key for key, value in given.items() if value is None]
    return []


def _files_of(first: Path, config: dict[str, Any]) -> list[Path]:
    if not first.is_file():
        return []
    alone = ("train.json", "inference.json", "metadata.json")
    others = [path for path in sorted(first.parent.glob("*.json")) if path.name not in alone]
    return [first, *(p for p in others if applied(json.loads(p.read_text()), config))]


def _innermost(kind: type[T]) -> T | None:
    owners = (frame.f_locals.get("self") for frame in _frames())
    return next((owner for owner in owners if isinstance(owner, kind)), None)


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back
