"""A bundle as a client of a federation: MONAI's own client, with our trainer and strict names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from monai.bundle import ConfigWorkflow
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject

from common.checks import InputError, require, require_name
from common.engines import RunFolder
from common.federated.shared import CURE
from common.federated.trainer import FederatedTrainer

__all__ = ["BundleAlgo"]


class BundleAlgo(MonaiAlgo):
    """MONAI's ``MonaiAlgo`` for any bundle of this collection.

    ``initialize``, ``train``, ``get_weights``, ``evaluate``, ``finalize`` and the filters are
    MONAI's. Of the method only what is shared is exchanged (`SharedWeights`), by name and strictly;
    statistics say how many images the client has (``FlStatistics.DATA_COUNT``). Evaluation is the
    bundle's ``validate`` section. The run folder, named after the client, is that of any training:
    ``evaluate.json`` reads it, after `accept` with the weights of the federation.

    Args:
        bundle_root: folder of the bundle, below ``APP_ROOT`` where that is given.
        local_epochs: epochs of a round.
        send_weight_diff: send differences to what was received, instead of weights.
        config_train_filename: train.json, or a list of it and overlays.
        train_kwargs: dials and places, as after ``monai.bundle run``; "epochs" counts all rounds.
        keep: parts that stay here; see `SharedWeights`.
        batch_statistics: "shared" or "kept"; see `SharedWeights`.
        config_filters_filename: filters of what is sent and received, see ``MonaiAlgo``.
    """

    trainer: FederatedTrainer  # MONAI says SupervisedTrainer or None
    train_workflow: ConfigWorkflow  # likewise

    def __init__(
        self,
        bundle_root: str,
        local_epochs: int = 1,
        send_weight_diff: bool = True,
        config_train_filename: str | list[str] = "configs/train.json",
        train_kwargs: Mapping[str, Any] | None = None,
        keep: Sequence[str] = (),
        batch_statistics: str = "shared",
        config_filters_filename: str | list[str] | None = None,
    ) -> None:
        require(local_epochs >= 1, f"local_epochs: must be at least 1, got {local_epochs}.")
        dials = {"keep": list(keep), "batch_statistics": batch_statistics}
        self.arguments = {  # from which another process builds the same client
            **{"bundle_root": str(bundle_root), "local_epochs": local_epochs, **dials},
            "config_train_filename": config_train_filename,
            "train_kwargs": dict(train_kwargs or {}),
        }
        super().__init__(
            bundle_root=str(bundle_root),
            local_epochs=local_epochs,
            send_weight_diff=send_weight_diff,
            config_train_filename=config_train_filename,
            train_kwargs={**(train_kwargs or {}), **_engines(dials)},
            config_evaluate_filename=None,
            config_filters_filename=config_filters_filename,
        )

    def initialize(self, extra: dict[str, Any] | None = None) -> None:
        """Build the bundle; see ``MonaiAlgo.initialize``.

        Raises:
            InputError: what the bundle or `SharedWeights` refuses.
        """
        extra = extra or {}
        name = require_name(extra.get(ExtraItems.CLIENT_NAME, "noname"), "client name")
        root = self.bundle_root
        self.bundle_root = str(_join(extra.get(ExtraItems.APP_ROOT, ""), root))
        workflow = _Workflow(
            config_file=self._add_config_files(self.config_train_filename),  # type: ignore[no-untyped-call]
            meta_file=None,
            logging_file=extra.get(ExtraItems.LOGGING_FILE) or False,
            workflow_type="train",
            **{"bundle_root": self.bundle_root, **self.train_kwargs},
        )
        workflow.parser["run_dir"] = f"{workflow.parser['run_dir']} + '_{name}'"
        self.bundle_root = root  # MONAI joins it
        self.train_workflow = self.eval_workflow = workflow
        with _one_line():
            super().initialize(extra)  # type: ignore[no-untyped-call]

    def train(self, data: ExchangeObject, extra: dict[str, Any] | None = None) -> None:
        """Train one round from the weights in `data`; see ``MonaiAlgo.train``.

        Raises:
            InputError: other tensors than those that are shared, or what the training refuses.
        """
        with _one_line():
            super().train(data, extra)

    def get_weights(self, extra: dict[str, Any] | None = None) -> ExchangeObject:
        """Return what is shared, and how many images it was learned from."""
        sent: ExchangeObject = super().get_weights(extra)  # type: ignore[no-untyped-call]
        if sent.statistics is not None:
            sent.statistics[FlStatistics.DATA_COUNT] = self.trainer.images
        return sent

    def evaluate(self, data: ExchangeObject, extra: dict[str, Any] | None = None) -> ExchangeObject:
        """Return the metrics of the weights in `data` here; what was trained here stays as it is.

        Raises:
            InputError: other tensors than those that are shared.
        """
        own = self.trainer.network.state_dict()
        try:
            with _one_line():
                return super().evaluate(data, extra)
        finally:
            self.trainer.network.load_state_dict(own)

    def accept(self, weights: Mapping[str, Any]) -> None:
        """End with the weights of the federation: the run folder's last snapshot and its model.

        Raises:
            InputError: other tensors than those that are shared, or nothing was trained here.
        """
        require(
            self.trainer.state.epoch > 0,
            f"{self.client_name}: must have trained before it accepts weights, got none.",
        )
        self.trainer.network.load_state_dict(weights)
        for handler in self.train_workflow.train_handlers:
            if isinstance(handler, RunFolder):
                handler.save(self.trainer)

    def _check_converted(self, global_weights: Any, local_var_dict: Any, n_converted: int) -> None:
        self.trainer.network.check(global_weights)


class _Workflow(ConfigWorkflow):
    """Trainer and evaluator come from one workflow: it is built again only where it changed."""

    def initialize(self) -> Any:
        return None if self._is_initialized else super().initialize()

    def _set_property(self, name: str, property: dict[str, Any], value: Any) -> None:
        if self.parser.get(self._get_prop_id(name, property)) != value:
            super()._set_property(name, property, value)


def _engines(dials: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that make a bundle's engines those of a client."""
    room = "common.federated"
    overrides = {
        "train#trainer#_target_": f"{room}.FederatedTrainer",
        "train#trainer#epochs": "@epochs",
        "validate#evaluator#_target_": f"{room}.FederatedEvaluator",
        "validate#evaluator#method": "@network",
    }
    for engine in ("train#trainer", "validate#evaluator"):
        overrides |= {f"{engine}#{name}": value for name, value in dials.items()}
    return overrides


def _join(app_root: str, bundle_root: str) -> str:
    return f"{app_root.rstrip('/')}/{bundle_root}" if app_root else bundle_root


@contextmanager
def _one_line() -> Iterator[None]:
    """Raise the `InputError` that MONAI wrapped, and its own of a tensor that does not fit."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise cause from None
        tensor = re.match(r"Convert weight from (\S+) failed", str(error))
        if tensor:
            raise InputError(
                f"weights from the server: {tensor[1]} must have as many numbers as here, got "
                f"another shape. {CURE}"
            ) from None
        raise
