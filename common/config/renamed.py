"""Names that were given up, and the names that took their place.

A dial, overlay or class that is still called by its old name is refused with the new one, and so
is the record of a run or model that was written with an old one: it is not translated, for its
blocks name arguments and classes of that time too.
"""

from collections.abc import Mapping
from typing import Any

from common.checks import require

__all__ = ["DIALS", "OVERLAYS", "TARGETS", "check_record"]

DIALS = {  # in this order, for the second took over the first one's old name
    "variant": "run_suffix",
    "formula": "variant",
    "policy_update": "update",
    "fairkl_spread": "fairkl_kld",
    "fairkl_weight": "regularizer_weight",
    "projection_hidden": "hidden_features",
    "lowest_learning_rate": "final_learning_rate",
    "augmentation_probability": "probability",
    "probabilities": "probability",
    "global_1_probabilities": "global_1_probability",
    "global_2_probabilities": "global_2_probability",
    "local_probabilities": "local_probability",
    "momentum_byol": "byol_momentum",
    "momentum_moco": "moco_momentum",
}
OVERLAYS = {
    "dataset_original": "data_original",
    "input_vbm": "data_vbm",
    "input_quasiraw": "data_quasiraw",
    "input_roi": "data_roi",
}
TARGETS: dict[str, str] = {}


def check_record(config: Mapping[str, Any], path: object) -> None:
    """Refuse the configuration of a run or model that was written with old names.

    Args:
        config: top-level keys, as ``run.json`` and ``model.json`` hold them.
        path: the file, for the message.

    Raises:
        InputError: a dial of it has another name now.
    """
    for old, new in DIALS.items():
        require(
            old not in config or new in config,
            f"{path}: must be written with today's names, got the dial {old!r}, which is {new!r} "
            "now. Train again, or use the version of this project that wrote it.",
        )
