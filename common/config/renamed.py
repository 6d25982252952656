"""Names that were given up, and the names that took their place.

A dial, overlay or class that is still called by its old name is refused with the new one, and so
is the record of a run or model that was written with an old one: it is not translated, for its
blocks name arguments and classes of that time too.
"""

from collections.abc import Container, Mapping
from typing import Any

from common.checks import require

__all__ = ["DIALS", "OVERLAYS", "TARGETS", "check_record", "check_targets", "new_name"]

DIALS: dict[
    str, tuple[str, ...]
] = {  # old -> new; where a name had several meanings, the first that a bundle has
    "variant": ("run_suffix",),
    "formula": ("variant",),
    "readout": ("last_blocks", "deployed_head", "representation"),
    "head_readout": ("deployed_head",),
    "policy_update": ("update",),
    "fairkl_spread": ("fairkl_kld",),
    "fairkl_weight": ("regularizer_weight",),
    "projection_hidden": ("hidden_features",),
    "lowest_learning_rate": ("final_learning_rate",),
    "augmentation_probability": ("probability",),
    "probabilities": ("probability",),
    "global_1_probabilities": ("global_1_probability",),
    "global_2_probabilities": ("global_2_probability",),
    "local_probabilities": ("local_probability",),
    "momentum_byol": ("byol_momentum",),
    "momentum_moco": ("moco_momentum",),
}
OVERLAYS = {
    "dataset_original": "data_original",
    "input_vbm": "data_vbm",
    "input_quasiraw": "data_quasiraw",
    "input_roi": "data_roi",
    "export_ramp": "export_submission",
}
TARGETS = {
    "common.methods.SimCLR": "common.methods.OneViewSimCLR",
    "common.deploy.export_ramp": "common.deploy.export_submission",
    "common.evaluation.SGDProbeEvaluation": "common.evaluation.MacroAUROCEvaluation",
}
_TODAY = {name for names in DIALS.values() for name in names}


def new_name(old: str, known: Container[str]) -> str:
    """Return what `old` is called now: the one of its new names that is `known`; "" for none."""
    return next((name for name in DIALS.get(old, ()) if name in known), "")


def check_targets(config: Mapping[str, Any], where: str) -> None:
    """Refuse a class or function that has another name now.

    Args:
        config: a configuration, blocks and all.
        where: what the line begins with.

    Raises:
        InputError: there is one.
    """
    for old, new in TARGETS.items():
        require(
            f"'_target_': '{old}'" not in repr(dict(config)),
            f"{where}: _target_ must be a name of today, got {old}, which is {new} now.",
        )


def check_record(config: Mapping[str, Any], path: object) -> None:
    """Refuse the configuration of a run or model that was written with old names.

    Args:
        config: top-level keys, as ``run.json`` and ``model.json`` hold them.
        path: the file, for the message.

    Raises:
        InputError: a dial or a class of it has another name now.
    """
    for old, names in DIALS.items():
        require(
            old not in config or (old in _TODAY and new_name(old, config) != ""),
            f"{path}: must be written with today's names, got the dial {old!r}, which is "
            f"{' or '.join(map(repr, names))} now. Train again, or use the version of this project "
            "that wrote it.",
        )
    check_targets(config, str(path))
