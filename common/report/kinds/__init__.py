"""The kinds of evaluation, a file each: the result's schema, its measure and its sections.

Adding one is a file here, a file in `common.evaluation` that computes it, and a line in `KINDS`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.checks import require
from common.report.kind import Kind
from common.report.kinds import (
    accuracy,
    audit,
    case_control,
    challenge,
    channel,
    clusters,
    linear,
    macro_auroc,
    multi_label,
)
from common.report.schema import CURE

__all__ = ["KINDS", "kind_of"]

KINDS: dict[str, Kind] = {
    module.KIND.name: module.KIND
    for module in (
        linear,
        challenge,
        accuracy,
        audit,
        channel,
        case_control,
        multi_label,
        macro_auroc,
        clusters,
    )
}


def kind_of(values: Mapping[str, Any], path: Path) -> Kind:
    """Return the kind that ``evaluation.json`` names.

    Older files name none for the linear evaluation, and "accuracy" for one with a channel.

    Raises:
        InputError: a kind this report does not know.
    """
    name = values.get("kind", linear.KIND.name)
    if name == accuracy.KIND.name and values.get("channel") is not None:
        name = channel.KIND.name
    require(
        isinstance(name, str) and name in KINDS,
        f"{path}: kind must be one of {', '.join(KINDS)}, got {name!r}. {CURE}",
    )
    return KINDS[name]
