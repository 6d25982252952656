"""Exact resume: everything a run needs to continue as if it had never stopped.

Saved at the end of an epoch: network, optimisers, schedulers, loss scale, epoch and iteration. The
order of the data and the random numbers of an epoch follow from (seed, epoch), see `EpochSampler`
and `ContrastiveTrainer`, so they need no saving.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events

from common.checks import InputError, require
from common.distributed import rank
from common.engines.trainer import ContrastiveTrainer
from common.files import replacing

__all__ = ["Checkpoint"]


class Checkpoint:
    """A handler that saves the run after each `interval` epochs and restores it on request.

    Args:
        path: the file, replaced atomically: an interrupted write leaves the previous one.
        objects: name -> object with ``state_dict`` and ``load_state_dict``.
        bundle: name of the bundle; a checkpoint of another one is refused.
        resume: continue from `path` where it exists.
        interval: epochs between two saves; the last epoch is always saved.
    """

    def __init__(
        self,
        path: str | Path,
        objects: Mapping[str, Any],
        bundle: str,
        resume: bool = False,
        interval: int = 1,
    ) -> None:
        self.path = Path(path)
        self.objects = dict(objects)
        self.bundle = bundle
        self.resume = resume
        self.interval = interval

    def attach(self, engine: ContrastiveTrainer) -> None:
        """Listen to `engine`; of all handlers of an epoch's end, this one comes last."""
        engine.add_event_handler(Events.STARTED, self._start)

    def _start(self, engine: ContrastiveTrainer) -> None:
        self._restore(engine)
        if not engine.has_event_handler(self._save):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _save(self, engine: ContrastiveTrainer) -> None:
        epoch, last = engine.state.epoch, engine.state.max_epochs
        if rank() != 0 or (epoch % self.interval and epoch != last):
            return
        state = {name: thing.state_dict() for name, thing in self.objects.items()}
        state["engine"] = {"epoch": epoch, "iteration": engine.state.iteration}
        state["scaler"] = engine.scaler.state_dict()
        state["bundle"] = self.bundle
        with replacing(self.path) as partial:
            torch.save(state, partial)

    def _restore(self, engine: ContrastiveTrainer) -> None:
        if not self.resume or not self.path.is_file():
            return
        state = self._read()
        for name, thing in self.objects.items():
            try:
                thing.load_state_dict(state[name])
            except (KeyError, RuntimeError, ValueError) as error:
                raise InputError(
                    f"{self.path}: the checkpoint does not fit this configuration ({name}). "
                    "Resume with the configuration that wrote it, or set resume to false."
                ) from error
        engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch = state["engine"]["epoch"]
        engine.state.iteration = state["engine"]["iteration"]

    def _read(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(
                f"{self.path}: not a readable checkpoint. Delete it, or set resume to false."
            ) from error
        require(
            state.get("bundle") == self.bundle,
            f"{self.path}: the checkpoint belongs to bundle {state.get('bundle')!r}, this is "
            f"{self.bundle!r}. Give another output_dir, or set resume to false.",
        )
        return state
