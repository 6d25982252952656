"""The folder of a training run: everything it leaves, and everything that may be read of it.

::

    <output_dir>/<run>_seed<seed>/
        run.json             what it was started with: configuration, dials, data, classes
        checkpoint.pt        the last step that was saved, for --resume True
        history.json         means of every term of the loss, an epoch each
        network_epoch=<n>.pt snapshots, which an evaluation reads; the last epoch is always one
        model.pt, model.json the network as it is after the last epoch

One process writes to it at a time, and each file is whole or not there.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from torch import nn

from common.checks import require, require_name
from common.config import RECORD, Terminated, begin_run, read_record, run_record
from common.data import class_names, read_manifest
from common.data.label_check import spare_outputs
from common.data.manifest import fingerprint_of
from common.data.mask_record import mask_record
from common.data.stack_file import read_mask
from common.data.unchanged import changed_files
from common.deploy import digest, output_names, save_model
from common.distributed import rank
from common.engines.checkpoint import load_checkpoint, save_checkpoint
from common.engines.due import Due
from common.engines.finite import require_finite_weights
from common.engines.history import History
from common.engines.preemption import Preemption
from common.engines.progress import Progress
from common.engines.trainer import ContrastiveTrainer
from common.files import locked, replacing

__all__ = ["RunFolder"]

_LOG = logging.getLogger(__name__)


class RunFolder:
    """The handler that keeps the folder of a run; it runs last at the end of an epoch.

    On several ranks only the first writes; all of them resume.

    Args:
        run_dir: the folder. A new run needs one without another run's weights.
        bundle: name of the bundle.
        strategy: name of the run, as reports show it: letters, digits and ``. _ + -``.
        seed: of the run.
        objects: name -> object with ``state_dict`` and ``load_state_dict``; "network" is the method
            that snapshots are of, the others are what a resumed training needs besides.
        model: the network that ``model.pt`` holds, with a linear layer ``head``.
        dataset_dir: the prepared folder it is trained on; one without a manifest is not recorded.
        resume: continue the run that the folder holds, where it holds one.
        snapshot_interval: epochs between two snapshots.
        checkpoint_every: when the run is saved for a resumption, every
            so many epochs, steps or minutes, such as "10 minutes" (`common.engines.due`), and with
            every snapshot.
    """

    def __init__(
        self,
        run_dir: str | Path,
        bundle: str,
        strategy: str,
        seed: int,
        objects: Mapping[str, Any],
        model: nn.Module,
        dataset_dir: str | Path,
        resume: bool = False,
        snapshot_interval: int = 1,
        checkpoint_every: str = "1 epoch",
    ) -> None:
        require(
            "network" in objects,
            f"RunFolder: objects must hold the network, got {', '.join(objects) or 'none'}.",
        )
        require_name(strategy, "strategy")
        self.run_dir = Path(run_dir)
        self.dataset_dir = Path(dataset_dir)
        self.objects = dict(objects)
        self.model = model
        self.resume = resume
        self.snapshot_interval = snapshot_interval
        self._due = Due(checkpoint_every)
        prepared = (self.dataset_dir / "manifest.json").is_file()
        manifest = read_manifest(dataset_dir) if prepared else None
        self._digests = manifest["sha256"] if manifest else {}
        self.record = {
            **{"bundle": bundle, "strategy": strategy, "seed": seed},
            **_data(self.dataset_dir, manifest),
            **run_record(),
        }
        self.history = History(self.run_dir / "history.json")
        self._open = ExitStack()
        self._begun = False  # a trainer that is run again goes on
        self._ends = False  # it was asked to

    def attach(self, engine: ContrastiveTrainer) -> None:
        """Listen to `engine`."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.COMPLETED, self._end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    @property
    def _writes(self) -> bool:
        return rank() == 0

    def _start(self, engine: ContrastiveTrainer) -> None:
        if self._writes:
            self._open.enter_context(locked(self.run_dir))
        if not self._begun:
            self._begin(engine)
            self._begun = True
        if self._writes:
            with replacing(self.run_dir / RECORD) as partial:
                partial.write_text(json.dumps(self.record, indent=1) + "\n")
            self._show(engine)

    def _begin(self, engine: ContrastiveTrainer) -> None:
        self.record["head"] = digest(_head(self.model))
        if self.resume and (self.run_dir / "checkpoint.pt").is_file():
            self._continue(engine)
        elif self.resume and self._ended_in_the_first_save():
            _LOG.info("%s: nothing was saved whole; beginning again", self.run_dir)
        else:
            begin_run(self.run_dir)
            self._tell()
        self._due.saved(int(engine.state.iteration))
        self._preemption = Preemption()
        self._preemption.attach(engine)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)

    def _tell(self) -> None:
        """Say what of the data does not fit, and stops nothing."""
        if not self._writes or self.record["data"] is None:
            return
        changed = changed_files(self.dataset_dir, self._digests)
        if changed:
            _LOG.warning(
                f"{self.dataset_dir}: {len(changed)} of the files that were looked at are missing "
                f"or not as they were prepared, such as {changed[0]}. Prepare the data again, if "
                "that was not meant."
            )
        findings = "findings" in self.record.get("config", {})  # several at once, no classes
        spare = spare_outputs(self.record["classes"], _head(self.model).out_features)
        if spare and not findings:
            _LOG.warning(spare)

    def _ended_in_the_first_save(self) -> bool:
        """Whether all that is left is the snapshot before the first checkpoint."""
        left = [path.name for path in self.run_dir.glob("*.pt")]
        return len(left) == 1 and left[0].startswith("network_epoch=")

    def _continue(self, engine: ContrastiveTrainer) -> None:
        before = read_record(self.run_dir / RECORD)
        for name, what in (("bundle", "bundle"), ("data", "data")):
            require(
                before.get(name) == self.record[name],
                f"{self.run_dir}: a resumed run must have the same {what}, got "
                f"{self.record[name]!r} after {before.get(name)!r}. Resume with what it was "
                "started with.",
            )
        terms = load_checkpoint(self.run_dir / "checkpoint.pt", engine, self.objects)
        self.record["head"] = before.get("head")
        self.history.resume(engine.state.epoch)
        self.history.load_state_dict(terms)
        done = engine.done_in_epoch
        more = f" and step {done} of epoch {engine.state.epoch + 1}" if done else ""
        _LOG.info("%s: resumed after epoch %d%s", self.run_dir, engine.state.epoch, more)

    def _show(self, engine: ContrastiveTrainer) -> None:
        state: Any = engine.state
        self._progress = Progress(state.max_epochs * state.epoch_length, state.iteration)
        self._open.callback(self._progress.close)

    def _add(self, engine: ContrastiveTrainer) -> None:
        state: Any = engine.state
        terms: dict[str, Any] = state.output[0]
        self.history.add(terms)
        if self._writes and isinstance(terms["loss"], float):  # else it is not looked at
            self._progress.advance(state.iteration, state.epoch, terms["loss"])
        last = engine.done_in_epoch == 0
        self._ends |= self._preemption.asked(last)
        if last or not engine.at_a_step:
            return
        if self._writes and (self._ends or self._due.within(state.iteration, state.epoch_length)):
            require_finite_weights(engine)
            self._save(engine)
        if self._ends:
            raise Terminated

    def _end_epoch(self, engine: ContrastiveTrainer) -> None:
        epoch = engine.state.epoch
        self.history.end_epoch(epoch, self._writes)
        state: Any = engine.state
        last = epoch == engine.total_epochs
        snapshot = epoch % self.snapshot_interval == 0 or last
        if self._writes and snapshot:
            self._save_snapshot(epoch)
        if self._writes and (
            snapshot or self._ends or self._due.at_end(state.iteration, state.epoch_length)
        ):
            self._save(engine)
        if self._ends and not last:
            raise Terminated

    def _save(self, engine: ContrastiveTrainer) -> None:
        path, terms = self.run_dir / "checkpoint.pt", self.history.state_dict()
        save_checkpoint(path, engine, self.objects, terms)
        self._due.saved(int(engine.state.iteration))

    def _save_snapshot(self, epoch: int) -> None:
        with replacing(self.run_dir / f"network_epoch={epoch}.pt") as partial:
            torch.save(self.objects["network"].state_dict(), partial)

    def _end(self, _: ContrastiveTrainer) -> None:
        if self._writes:
            self._save_model()
            self._open.close()
            _LOG.info("%s: trained; evaluate it with configs/evaluate.json", self.run_dir)

    def _save_model(self) -> None:
        fitted = digest(_head(self.model)) != self.record["head"]
        names = output_names(self.record["classes"], _head(self.model).out_features)
        about = {**self.record, "classes": names, "head_fitted": fitted}
        save_model(self.run_dir / "model.pt", self.model, about)

    def save(self, engine: ContrastiveTrainer) -> None:
        """Write weights that were put into the network after the last epoch, as that epoch's."""
        if self._writes:
            with locked(self.run_dir):
                self._save_snapshot(engine.state.epoch)
                self._save(engine)
                self._save_model()

    def _fail(self, *_: Any) -> None:
        self._open.close()


def _head(model: nn.Module) -> nn.Linear:
    """Return the linear layer behind the encoder of `model`."""
    head = model.head
    assert isinstance(head, nn.Linear)
    return head


def _data(dataset_dir: Path, manifest: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what `run.json` says of the prepared data; nothing where there is no manifest."""
    if manifest is None:
        return {"data": None, "classes": [], "preparation": {}, "features": {}}
    mask = manifest.get("mask")
    return {
        "data": fingerprint_of(manifest, dataset_dir),
        "classes": class_names(manifest),
        "preparation": manifest.get("preparation", {}),
        "features": manifest.get("features", {}),
        **({"mask": mask_record(read_mask(dataset_dir / mask))} if mask else {}),
    }
