"""The engine: runs the phases a method yields, with everything a long training needs around them.

Each iteration: the batch moves to the device; for each phase the method yields, the loss is
back-propagated into that phase's parameters only, gradients are averaged over ranks meanwhile
(`common.engines.overlap`), and that phase's optimiser steps. An image, a loss or a gradient that is
not finite ends the training (`common.engines.finite`, `common.engines.late_look`). Losses gather
features across ranks themselves (`common.distributed`), so W ranks of batch B/W follow the same
path as one process of batch B.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.trainer import Trainer
from torch import Tensor, nn

from common import distributed
from common.checks import require
from common.data.label_check import check_labels
from common.engines.finite import finite_terms, require_finite_images, require_finite_weights
from common.engines.late_look import LateLook
from common.engines.optimizers import PhaseOptimizers
from common.engines.overlap import OverlappedAverage
from common.engines.seeds import reseed
from common.methods import Method, Phase
from common.networks import set_cache_chunk

__all__ = ["ContrastiveTrainer"]


AT_ONCE = ("cpu",)  # devices that a look at a number does not halt


class ContrastiveTrainer(Trainer):
    """A MONAI `Trainer` for any `common.methods.Method`; MONAI's and Ignite's handlers attach.

    ``engine.state.output`` is, as MONAI's handlers expect, a list holding one dict of floats, or of
    scalars on the device after steps that were not looked at: "loss" (of the last phase, usually
    the encoder's) and "<phase>/<term>" for each phase.

    Args:
        device: where the network is and batches go.
        max_epochs: last epoch.
        train_data_loader: batches as dicts with at least "image" and "label".
        network: the method.
        optimizers: its `PhaseOptimizers`.
        seed: every step reseeds torch (all devices) and numpy from (seed, epoch, rank, step), so
            that a run resumed after any step equals the uninterrupted one.
        amp: mixed precision: float16 with loss scaling on CUDA, bfloat16 on CPU.
        amp_kwargs: more arguments of ``torch.autocast``, such as ``{"dtype": torch.bfloat16}``.
        accumulation: optimisers step once per this many batches, with the mean of their gradients.
            A contrastive loss still compares images within one batch only. Batches left over at the
            end of an epoch form a shorter group. A phase that is not yielded for every batch counts
            as zero where it is missing.
        cache_chunk: the encoder sees a batch in parts of so many images and keeps no activations,
            so that memory no longer grows with the batch (`common.networks.chunks`); 0 for off.
        log_interval: steps between two looks at the numbers of a GPU, which each look halts: a loss
            that is not finite is told up to so many steps later (`common.engines.late_look`). On a
            CPU, or with 1, they are read before each step, which then is not taken.
        train_handlers: MONAI or Ignite handlers (objects with ``attach``).
        prepare_batch: ``(batch, device, non_blocking) -> batch``; moves every tensor unless given.
        non_blocking: copies from pinned memory overlap with work on the GPU.
    """

    scaler: torch.amp.GradScaler  # type: ignore[assignment]  # MONAI names the CUDA-only class

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable[Any],
        network: Method,
        optimizers: PhaseOptimizers,
        seed: int = 0,
        amp: bool = False,
        amp_kwargs: dict[str, Any] | None = None,
        accumulation: int = 1,
        cache_chunk: int = 0,
        log_interval: int = 1,
        train_handlers: Sequence[Any] | None = None,
        prepare_batch: Callable[..., Mapping[str, Any]] | None = None,
        non_blocking: bool = False,
    ) -> None:
        require(
            accumulation >= 1,
            f"ContrastiveTrainer: accumulation must be at least 1, got {accumulation}.",
        )
        require(
            log_interval >= 1,
            f"ContrastiveTrainer: log_interval must be at least 1, got {log_interval}.",
        )
        self.log_interval = 1 if torch.device(device).type in AT_ONCE else log_interval
        self._late = LateLook(self) if self.log_interval > 1 else None
        set_cache_chunk(network, network.classifier.encoder, cache_chunk)
        self.method = network
        self._parts = list(network.modules())
        self._modes: list[bool] = []  # of the parts as the method's `train` left them
        self.network: nn.Module = network  # what others see; of a federated client a part
        self.optimizers = optimizers
        self.seed = seed
        self.accumulation = accumulation
        Trainer.__init__(
            self,
            device=device,
            max_epochs=max_epochs,
            data_loader=train_data_loader,
            non_blocking=non_blocking,
            prepare_batch=prepare_batch or _to_device,
            amp=amp,
            amp_kwargs=amp_kwargs,
            decollate=False,
        )
        self.add_event_handler(Events.STARTED, _same_start_on_all_ranks)
        self.add_event_handler(Events.EPOCH_STARTED, _begin_epoch)
        self.add_event_handler(Events.GET_BATCH_STARTED, _before_batch)
        self.add_event_handler(Events.ITERATION_STARTED, _before_step)
        self.add_event_handler(Events.EPOCH_COMPLETED, require_finite_weights)  # before any saves
        if train_handlers is not None:
            self._register_handlers(train_handlers)

    @property
    def total_epochs(self) -> int:
        """Epochs of the whole training; a client of a federation runs some at a time."""
        return int(self.state.max_epochs or 0)

    @property
    def done_in_epoch(self) -> int:
        """Steps of the present epoch that are done; 0 at its end."""
        state: Any = self.state
        return int(state.iteration % (state.epoch_length or state.iteration + 1))

    @property
    def at_a_step(self) -> bool:
        """Whether no gradient waits for the optimisers' next step, so that it can be saved."""
        return self.done_in_epoch % self.accumulation == 0

    def run(self) -> None:  # type: ignore[override]
        """Train until ``max_epochs``; called again, continue from the state it is in."""
        require(
            self.state.epoch_length != 0,
            "ContrastiveTrainer: train_data_loader must hold at least one batch, got none. "
            "Lower batch_size, or give more images.",
        )
        check_labels(
            getattr(self.data_loader, "dataset", None),
            self.method.needs(),
            self.method.classifier.head.out_features,
            self.method.needs_of_all(),
        )
        if self.has_event_handler(_raise, Events.EXCEPTION_RAISED):  # it was run before
            self.remove_event_handler(_raise, Events.EXCEPTION_RAISED)
        self.add_event_handler(Events.EXCEPTION_RAISED, _raise)  # after what handlers do of it
        scaled = self.amp and torch.device(self.state.device).type == "cuda"
        self.scaler = torch.amp.GradScaler(enabled=scaled)
        self._averages: dict[str, OverlappedAverage] = {}
        if distributed.world_size() > 1:
            groups = distributed.apart(), distributed.host_group()
            phases = self.optimizers.parameters.items()
            self._averages = {name: OverlappedAverage(each, *groups) for name, each in phases}
        try:
            super(Trainer, self).run()
        finally:
            distributed.seed_draws(self.state.device, None)

    def _iteration(  # type: ignore[override]  # MONAI promises a dict; its handlers read a list
        self, engine: Engine, batchdata: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        state: Any = engine.state
        if [module.training for module in self._parts] != self._modes:  # some were evaluated
            self.method.train()
            self._modes = [module.training for module in self._parts]
        batch = self.prepare_batch(batchdata, state.device, self.non_blocking)
        if self._late is None:
            require_finite_images(self, batch)
        else:
            self._late.begin(batch)
        position = (state.iteration - 1) % state.epoch_length
        first = position % self.accumulation == 0
        last = position + 1 == state.epoch_length
        full = (position + 1) % self.accumulation == 0
        left_over = state.epoch_length % self.accumulation
        group = left_over if position >= state.epoch_length - left_over else self.accumulation
        waiting = dict.fromkeys(self.optimizers)  # phases whose gradients no step has used yet
        if first:
            for name in waiting:
                self.optimizers[name].zero_grad(set_to_none=True)
        output: dict[str, Tensor] = {}
        read: dict[str, float] = {}
        phases = self.method.steps(batch)
        while (phase := self._next(phases)) is not None:
            output |= {f"{phase.name}/loss": phase.loss.detach()}
            output |= {f"{phase.name}/{name}": term for name, term in phase.terms.items()}
            shown = f"{phase.name}/loss"
            if phase.name in self.optimizers.parameters and phase.loss.requires_grad:
                self._backward(phase, group, full or last)
                if full or last:
                    self._step(phase.name, output, read)
                    del waiting[phase.name]
        if full or last:
            for name in waiting:
                self._step(name, output, read)
            self.scaler.update()
        self._read(output, read)
        terms: Mapping[str, Any] = read
        if self._late is not None:
            looks = last or state.iteration % self.log_interval == 0
            terms = self._late.look() if looks else output
        return [{"loss": terms[shown]} | {name: terms[name] for name in output}]

    def _next(self, phases: Iterator[Phase]) -> Phase | None:
        if not self.amp:
            return next(phases, None)
        with torch.autocast(torch.device(self.state.device).type, **self.amp_kwargs):
            phase: Phase | None = next(phases, None)
        return phase

    def _backward(self, phase: Phase, group: int, steps: bool) -> None:
        names = (phase.name, *phase.also)
        alone = steps and not phase.also and phase.name in self._averages
        with self._averages[phase.name].during() if alone else nullcontext():
            torch.autograd.backward(
                self.scaler.scale(phase.loss / group),
                inputs=[p for name in names for p in self.optimizers.parameters[name]],
                retain_graph=phase.keep_graph,
            )

    def _step(self, name: str, output: Mapping[str, Tensor], read: dict[str, float]) -> None:
        parameters = self.optimizers.parameters[name]
        if name in self._averages:
            self._averages[name].finish()
        gradients = [gradient for p in parameters if (gradient := p.grad) is not None]
        if gradients:
            self._read(output, read, name, gradients)
            self.scaler.step(self.optimizers[name])

    def _read(
        self,
        output: Mapping[str, Tensor],
        read: dict[str, float],
        phase: str = "",
        gradients: Sequence[Tensor] = (),
    ) -> None:
        """Return the new terms as numbers; refuse terms and gradients that are not finite."""
        new = {name: term for name, term in output.items() if name not in read}
        scale = None
        if gradients and self.scaler.is_enabled():
            scale = self.scaler.scale(torch.ones((), device=gradients[0].device))
        if self._late is None:
            read |= finite_terms(self, new, phase, gradients, scale)
        else:
            self._late.note(new, phase, gradients, scale)
            read |= dict.fromkeys(new, math.nan)  # they are noted


def _to_device(
    batch: Mapping[str, Any], device: torch.device, non_blocking: bool
) -> dict[str, Any]:
    return {
        key: value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value
        for key, value in batch.items()
    }


def _begin_epoch(engine: ContrastiveTrainer) -> None:
    _reseed(engine, 0)
    if engine.done_in_epoch == 0:  # else it was begun before the run was interrupted
        engine.method.begin_epoch()


def _before_batch(engine: ContrastiveTrainer) -> None:
    if engine.done_in_epoch > 0:  # an epoch's first batch comes from a loader that draws too
        _reseed(engine, 2 * engine.done_in_epoch)


def _before_step(engine: ContrastiveTrainer) -> None:
    done = engine.done_in_epoch or int(engine.state.epoch_length or 1)  # this step among them
    _reseed(engine, 2 * done - 1)


def _reseed(engine: ContrastiveTrainer, number: int) -> None:
    state: Any = engine.state
    reseed(state.device, engine.seed, state.epoch, number)


def _raise(_: ContrastiveTrainer, error: BaseException) -> None:
    raise error


def _same_start_on_all_ranks(engine: ContrastiveTrainer) -> None:
    distributed.broadcast_parameters(engine.method)
