"""Exact resume: everything a run needs to continue as if it had never stopped.

Saved at the end of an epoch: network, optimisers, schedulers, loss scale, epoch and iteration. The
order of the data and the random numbers of an epoch follow from (seed, epoch), see `EpochSampler`
and `ContrastiveTrainer`, so they need no saving.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.checks import InputError, require
from common.deploy import load_weights, read_weights
from common.engines.trainer import ContrastiveTrainer
from common.files import replacing

__all__ = ["load_checkpoint", "save_checkpoint"]

CURE = "Delete it and train anew, or copy it again."


def save_checkpoint(path: Path, engine: ContrastiveTrainer, objects: Mapping[str, Any]) -> None:
    """Write the state of a run after an epoch, in place of the one before.

    Args:
        path: the file, replaced atomically: an interrupted write leaves the previous one.
        engine: the trainer.
        objects: name -> object with ``state_dict`` and ``load_state_dict``.
    """
    state = {name: thing.state_dict() for name, thing in objects.items()}
    state["engine"] = {"epoch": engine.state.epoch, "iteration": engine.state.iteration}
    state["scaler"] = engine.scaler.state_dict()
    with replacing(path) as partial:
        torch.save(state, partial)


def load_checkpoint(path: Path, engine: ContrastiveTrainer, objects: Mapping[str, Any]) -> None:
    """Bring `engine` and `objects` into the state that was saved.

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
        engine.state.epoch = int(state["engine"]["epoch"])
        engine.state.iteration = int(state["engine"]["iteration"])
    except InputError:
        raise
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: the checkpoint must fit this configuration, got another ({name}, "
            f"{type(error).__name__}). Resume with the configuration that wrote it."
        ) from None
    epoch, iteration = engine.state.epoch, engine.state.iteration
    require(
        1 <= epoch <= iteration and iteration % epoch == 0,
        f"{path}: a checkpoint must be of the end of an epoch, got epoch {epoch} and iteration "
        f"{iteration}. {CURE}",
    )
