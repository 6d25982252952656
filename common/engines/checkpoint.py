"""Exact resume: everything a run needs to continue as if it had never stopped.

Saved after an epoch, or after any step at which the optimisers stepped: network with its queues
and teachers, optimisers, schedulers, loss scale, epoch and iteration. The order of the data follows
from (seed, epoch) and the random numbers of a step from (seed, epoch, step, rank), see
`EpochSampler` and `ContrastiveTrainer`, so neither needs saving, on however many ranks a run goes
on: a resumed epoch begins behind the images that were seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.checks import InputError, require
from common.deploy import load_weights, read_weights
from common.engines.sampler import EpochSampler
from common.engines.trainer import ContrastiveTrainer
from common.files import replacing

__all__ = ["load_checkpoint", "save_checkpoint"]

CURE = "Delete it and train anew, or copy it again."


def save_checkpoint(
    path: Path, engine: ContrastiveTrainer, objects: Mapping[str, Any], terms: Mapping[str, Any]
) -> None:
    """Write the state of a run after a step, in place of the one before.

    Args:
        path: the file, replaced atomically: an interrupted write leaves the previous one.
        engine: the trainer.
        objects: name -> object with ``state_dict`` and ``load_state_dict``.
        terms: what `common.engines.history` noted of the present epoch.
    """
    state: dict[str, Any] = {name: thing.state_dict() for name, thing in objects.items()}
    iteration, length = int(engine.state.iteration), int(engine.state.epoch_length or 1)
    whole = {"epoch": iteration // length, "iteration": iteration, "epoch_length": length}
    state["engine"] = whole
    state["scaler"] = engine.scaler.state_dict()
    state["terms"] = terms
    with replacing(path) as partial:
        torch.save(state, partial)


def load_checkpoint(
    path: Path, engine: ContrastiveTrainer, objects: Mapping[str, Any]
) -> dict[str, list[float]]:
    """Bring `engine` and `objects` into the state that was saved.

    Returns:
        What was noted of an epoch that was begun.

    Raises:
        InputError: the file is damaged, or does not fit the configuration.
    """
    state = read_weights(path)
    names = (*objects, "engine", "scaler")
    require(
        isinstance(state, dict) and all(name in state for name in names),
        f"{path}: a checkpoint must hold {', '.join(names)}, got something else. {CURE}",
    )
    try:
        for name, thing in objects.items():
            thing.load_state_dict(state[name])
            if isinstance(thing, nn.Module):  # which takes whole numbers and NaN without a word
                load_weights(path, thing, state[name])
        engine.scaler.load_state_dict(state["scaler"])
        epoch, iteration = (int(state["engine"][name]) for name in ("epoch", "iteration"))
        length = int(state["engine"].get("epoch_length", iteration // max(epoch, 1)))
    except InputError:
        raise
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: the checkpoint must fit this configuration, got another ({name}, "
            f"{type(error).__name__}). Resume with the configuration that wrote it."
        ) from None
    require(
        epoch >= 0 and iteration >= 1 and 0 <= iteration - epoch * length < length,
        f"{path}: a checkpoint must be of an epoch and a step within it, got epoch {epoch} and "
        f"iteration {iteration} of {length} an epoch. {CURE}",
    )
    _continue_at(path, engine, epoch, iteration, length)
    return dict(state.get("terms", {}))


def _continue_at(
    path: Path, engine: ContrastiveTrainer, epoch: int, iteration: int, length: int
) -> None:
    """Let the engine go on after `iteration`, with the batches behind those it has seen."""
    state: Any = engine.state
    done = iteration - epoch * length
    require(
        done == 0 or state.epoch_length == length,
        f"{path}: a checkpoint within an epoch must be resumed with as many steps an epoch, "
        f"{length}, got {state.epoch_length}. Resume with the same images and batch_size.",
    )
    state.epoch, state.iteration = epoch, iteration
    sampler = getattr(state.dataloader, "sampler", None)
    if done and isinstance(sampler, EpochSampler):
        sampler.begin_after(done * state.dataloader.batch_size)
    elif done:
        state.dataloader = _Rest(state.dataloader, done)


class _Rest:
    """What is left of a loader the first time it is iterated over, and all of it later."""

    def __init__(self, loader: Iterable[Any], done: int) -> None:
        self.loader, self.done = loader, done

    def __iter__(self) -> Iterator[Any]:
        done, self.done = self.done, 0
        return islice(iter(self.loader), done, None)
