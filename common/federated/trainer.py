"""The engines of a client: those of the bundle, with only what is shared in sight.

``"train#trainer#_target_": "common.federated.FederatedTrainer"`` in an override makes a bundle a
client of any MONAI federation; `common.federated.BundleAlgo` does it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer

from common.checks import require
from common.engines import ContrastiveTrainer
from common.federated.shared import SharedWeights
from common.methods import Method

__all__ = ["FederatedEvaluator", "FederatedTrainer"]


class FederatedTrainer(ContrastiveTrainer, SupervisedTrainer):  # type: ignore[misc]
    """A `ContrastiveTrainer` whose ``network`` is what a client shares (`SharedWeights`).

    Each call of ``run`` is one round: it goes on to ``state.max_epochs``, with the optimisers,
    queues and everything else that stays as the round before left them.

    Args:
        epochs: of all rounds together; schedules end there.
        keep: see `SharedWeights`.
        batch_statistics: see `SharedWeights`.
        trainer: arguments of `ContrastiveTrainer`.
    """

    network: SharedWeights

    def __init__(
        self,
        *,
        epochs: int,
        keep: Sequence[str] = (),
        batch_statistics: str = "shared",
        **trainer: Any,
    ) -> None:
        super().__init__(**trainer)
        self._epochs = epochs
        self.network = SharedWeights(self.method, keep, batch_statistics)
        self._received: Mapping[str, Any] = {}
        self.add_event_handler(Events.STARTED, self._go_on)

    @property
    def total_epochs(self) -> int:
        """Epochs of all rounds together."""
        return self._epochs

    @property
    def images(self) -> int:
        """Number of images here: the weight of this client in an average."""
        dataset: Any = self.data_loader.dataset  # type: ignore[union-attr]  # a DataLoader here
        return len(dataset)

    def run(self) -> None:  # type: ignore[override]
        """Train one round.

        Raises:
            InputError: it would go past `epochs`, or a loss compares sites of which there is one.
        """
        last = self.state.max_epochs or 0
        require(
            last <= self.total_epochs,
            f"epochs: must be that of all rounds together, at least {last}, got "
            f"{self.total_epochs}. The schedules of the learning rate end there; give rounds x "
            "local_epochs.",
        )
        self._require_sites()
        self._before = self.state.epoch
        self._received = self.network.state_dict()
        super().run()

    def _go_on(self, _: Any) -> None:
        """After a resumed run has read its checkpoint: what the server sent, for a whole round."""
        if self.state.epoch != self._before:
            self.state.max_epochs = (self.state.max_epochs or 0) + self.state.epoch - self._before
            self.network.load_state_dict(self._received)
        self._received = {}

    def _require_sites(self) -> None:
        entries = getattr(getattr(self.data_loader, "dataset", None), "entries", None)
        losses = (getattr(self.method, name, None) for name in ("loss", "regularizer"))
        readers = [loss for loss in losses if "bias" in getattr(loss, "targets", ())]
        column = getattr(self.method, "columns", {}).get("bias", "bias")
        if not entries or not readers or not any(column in entry for entry in entries):
            return
        values = {entry.get(column) for entry in entries}
        require(
            len(values) > 1,
            f"{type(readers[0]).__name__}: must compare images of different {column}, got one "
            f"{column} at this client. A client sees its own images only; leave it out.",
        )


class FederatedEvaluator(SupervisedEvaluator):
    """MONAI's evaluator, whose ``network`` takes in what a client shares.

    Args:
        method: the method whose network it evaluates.
        keep: see `SharedWeights`.
        batch_statistics: see `SharedWeights`.
        evaluator: arguments of ``SupervisedEvaluator``.
    """

    def __init__(
        self,
        *,
        method: Method,
        keep: Sequence[str] = (),
        batch_statistics: str = "shared",
        **evaluator: Any,
    ) -> None:
        super().__init__(**evaluator)
        self.network = SharedWeights(method, keep, batch_statistics, self.network)
