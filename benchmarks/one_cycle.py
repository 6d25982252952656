"""Training as the benchmarks on digits do it: AdamW, its rate one cycle over all steps."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from batches import Batches
from monai.handlers import LrScheduleHandler

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.methods import Method


def train(method: Method, loader: Batches, settings: Mapping[str, Any], seed: int) -> float:
    """Train a method on the CPU; return the CPU seconds it took.

    Args:
        method: whose encoder is trained, in place.
        loader: its batches, as many as an epoch has.
        settings: "epochs", "rate" (the greatest of the cycle) and "decay" (of the weights).
        seed: of the trainer.
    """
    adam = partial(torch.optim.AdamW, weight_decay=settings["decay"])
    optimizers = PhaseOptimizers(method, {"encoder": settings["rate"]}, adam)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizers["encoder"],
        settings["rate"],
        total_steps=settings["epochs"] * len(loader) + 1,
        pct_start=0.1,
    )
    handler = LrScheduleHandler(rate, print_lr=False, epoch_level=False)
    started = time.process_time()
    ContrastiveTrainer(
        "cpu", settings["epochs"], loader, method, optimizers, seed=seed, train_handlers=[handler]
    ).run()
    return time.process_time() - started
