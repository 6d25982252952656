"""Pre-training by DINO of a small encoder on fundus photographs held in memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batches import Batches
from fundus_eyes import Eyes, parts
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from torch import Tensor

from common.engines import (
    ClippedAdamW,
    ContrastiveTrainer,
    CosineSchedule,
    PhaseOptimizers,
    StepSchedule,
)
from common.losses import DINO as DINOLoss
from common.methods import DINO
from common.networks import DINOHead, ImageClassifier, StandardizedEncoder, VisionTransformer

CONFIGS = Path(__file__).resolve().parent.parent / "bundles" / "fundus_photo_dino" / "configs"
SETTINGS: dict[str, Any] = {
    "image": 64,
    "global": 48,
    "local": 24,
    "locals": 2,
    "blur": 0.43,  # greatest standard deviation in pixels; 2 at 224
    "patch": 12,
    "width": 64,
    "depth": 4,
    "heads": 2,
    "drop_path": 0.0,
    "gain": 2.0,  # what the initial linear weights are multiplied by
    "prototypes": 256,
    "hidden": 256,
    "bottleneck": 64,
    "batch": 32,
    "epochs": 60,
    "warmup": 5,
    "frozen": 1,  # epochs of prototypes that do not learn
    "rate": 5e-4,  # of a step, not of 256 images
    "weight_decay": 0.04,
    "final_weight_decay": 0.4,
    "momentum": 0.98,
    "teacher_temperature": 0.02,
    "center_momentum": 0.9,
    "probe_epochs": 50,
}


def views(strength: str) -> ConfigParser:
    """The bundle's configuration with the overlay of a setting, at this size."""
    config = ConfigParser()
    config.read_config([CONFIGS / "train.json", CONFIGS / f"augmentation_{strength}.json"])
    config["image_size"] = SETTINGS["global"]
    config["local_size"] = SETTINGS["local"]
    config["local_count"] = SETTINGS["locals"]
    config["colours"]["blur"]["max_sigma"] = SETTINGS["blur"]
    return config


def encoder() -> StandardizedEncoder:
    backbone = VisionTransformer(
        SETTINGS["global"],
        SETTINGS["patch"],
        embed_dim=SETTINGS["width"],
        depth=SETTINGS["depth"],
        heads=SETTINGS["heads"],
        drop_path=SETTINGS["drop_path"],
        last_blocks=4,
    )
    return StandardizedEncoder(backbone, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def method(strength: str, seed: int) -> DINO:
    """DINO as it starts; the weights depend on the seed alone."""
    config = views(strength)
    torch.manual_seed(seed)
    student = encoder()
    for module in student.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data.mul_(SETTINGS["gain"])
    head = DINOHead(
        SETTINGS["width"], SETTINGS["prototypes"], SETTINGS["hidden"], SETTINGS["bottleneck"]
    )
    return DINO(
        ImageClassifier(student, student.out_features),
        head,
        config.get_parsed_content("global_views"),
        config.get_parsed_content("local_views"),
        loss=DINOLoss(
            SETTINGS["prototypes"],
            teacher_temperature=SETTINGS["teacher_temperature"],
            center_momentum=SETTINGS["center_momentum"],
        ),
        momentum=SETTINGS["momentum"],
    )


def unlabelled(eyes: Eyes, seed: int) -> Tensor:
    """The photographs of all people that the seed does not test."""
    return eyes.x[torch.from_numpy(np.sort(parts(eyes, seed).rest))]


def handlers(network: DINO, adam: ClippedAdamW) -> list[Any]:
    """The schedules of DINO."""
    rate, decay = SETTINGS["rate"], (SETTINGS["weight_decay"], SETTINGS["final_weight_decay"])
    return [
        CosineSchedule(adam, "lr", rate, 1e-6, SETTINGS["warmup"]),
        CosineSchedule(adam, "weight_decay", *decay, groups=[0]),
        CosineSchedule(network, "momentum", SETTINGS["momentum"], 1.0),
        StepSchedule(network.student.head, "frozen", True, False, SETTINGS["frozen"]),
    ]


def pretrain(
    eyes: Eyes,
    strength: str,
    seed: int,
    watch: Callable[[DINO, int], None] = lambda network, epoch: None,
) -> tuple[DINO, dict[str, Any]]:
    """DINO after pre-training on the people that the seed does not test.

    Also the mean loss of every epoch, the number of steps and the seconds of processor they took.
    `watch` is called after every epoch with the network and the number of epochs done.
    """
    network = method(strength, seed)
    optimizers = PhaseOptimizers(network, {"encoder": SETTINGS["rate"]}, ClippedAdamW)
    trainer = ContrastiveTrainer(
        "cpu",
        SETTINGS["epochs"],
        Batches({"image": unlabelled(eyes, seed)}, SETTINGS["batch"]),
        network,
        optimizers,
        seed=seed,
        train_handlers=handlers(network, optimizers["encoder"]),
    )
    losses: list[float] = []

    def ended(engine: Engine) -> None:
        losses.append(engine.state.output[0]["loss"])
        if len(losses) % engine.state.epoch_length == 0:
            watch(network, engine.state.epoch)

    trainer.add_event_handler(Events.ITERATION_COMPLETED, ended)
    started = time.process_time()
    trainer.run()
    per_epoch = np.reshape(losses, (SETTINGS["epochs"], -1)).mean(axis=1).tolist()
    return network, {
        "loss": per_epoch,
        "steps": len(losses),
        "seconds": time.process_time() - started,
    }
