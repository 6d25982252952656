"""The configuration of a deployed model: its bundle's own, with what its training changed in it.

A model may come from elsewhere, so nothing of its record is taken that would run other code than
this project's and MONAI's own parts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.checks import InputError, require
from common.config.guard import check_limits
from common.config.keys import followed
from common.config.package import PACKAGE

__all__ = ["as_deployed"]


def as_deployed(record: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the training's configuration with the values of the deployed model.

    Args:
        record: what ``model.json`` holds.
        own: the bundle's train.json.
        path: of ``model.json``, for errors.

    Returns:
        `own` with every dial of the record, and with the blocks of the network that were changed.

    Raises:
        InputError: the record holds dials no training can have had, or would run other code.
    """
    network = followed({**own, **record["config"]}, "network_def")
    changed = {key: record["config"][key] for key in record["changed"] if key in network}
    recorded = {**changed, **record["dials"]}
    for name, value in recorded.items():
        require(
            runs_nothing(value),
            f"{path}: {name} must be built of this project's and MONAI's own parts, got other code "
            "to run. Use a model you trust.",
        )
    known = {name: value for name, value in recorded.items() if name in own}
    try:
        check_limits({**own, **known}, {})
    except InputError as error:
        raise InputError(f"{path}: {error} Train again, or copy the folder again.") from None
    return {**own, **recorded}


def runs_nothing(value: Any) -> bool:
    """Whether a configuration builds parts of this project or MONAI's only, and calls nothing."""
    if isinstance(value, dict):
        target = str(value.get("_target_", "Compose"))
        ours = target.startswith(f"{PACKAGE}.") or "." not in target
        return ours and all(map(runs_nothing, value.values()))
    if isinstance(value, list):
        return all(map(runs_nothing, value))
    called = isinstance(value, str) and value.startswith("$") and ("(" in value or "__" in value)
    return not called
