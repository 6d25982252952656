"""Arithmetic of a large training on 1, 8 and 64 GPUs, from what was counted and what is assumed.

    python benchmarks/scale.py --pictures DIR --out scale.json

Nothing is trained. Counted, on networks without weights (device "meta"): operations of a forward
pass, bytes that its backward pass keeps, parameters. Assumed: `Machine`. From them follow the
seconds of an epoch by each part alone (computing, exchanging gradients), the bytes and images that
must be read a second to keep up, and the memory of one GPU. `docs/scale.md` lays them beside what
was measured here: reading, the manifest, gradient caching. Measured by this script: what one core
reads of the JPEGs in DIR, by processor time.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from paired_runs import markdown, provenance
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from common.data import PrepareImaged
from common.networks import DINOHead, VisionTransformer, brain_encoder

GPUS = (1, 8, 64)


@dataclass(frozen=True)
class Machine:
    """Nodes of 8 GPUs as a vendor's sheet has them (H100 SXM, bf16); what is reached is assumed.

    Operations a second of one GPU, bytes a second within and between nodes, dollars of a GPU hour.
    """

    operations: float = 989e12
    reached: float = 0.25
    in_node: float = 450e9
    between_nodes: float = 50e9
    dollars: float = 3.0


@dataclass(frozen=True)
class Work:
    """A training: its networks, its data, and how often one image passes through.

    `passes` are (part of the networks, shape of a view, passes with gradient, passes without);
    `image_bytes` is an image as it is read (photographs: JPEGs of 256 pixels, mean of 600).
    """

    name: str
    parts: Callable[[], dict[str, nn.Module]]
    passes: tuple[tuple[str, tuple[int, ...], int, int], ...]
    images: int
    epochs: int
    batch: int
    image_bytes: float
    teacher: bool


def volumes() -> dict[str, nn.Module]:
    return {"encoder": brain_encoder("resnet18", 1)}


def photographs() -> dict[str, nn.Module]:
    encoder = VisionTransformer(image_size=224, patch_size=16, embed_dim=384, depth=12, heads=6)
    return {"encoder": encoder, "head": DINOHead(384)}


def counted(network: nn.Module, shape: tuple[int, ...]) -> dict[str, float]:
    """What one more view in a batch costs: operations forward, bytes kept for the way back."""
    one, two = (_forward(network, (number, *shape)) for number in (1, 2))
    return {name: two[name] - one[name] for name in one}


def _forward(network: nn.Module, shape: tuple[int, ...]) -> dict[str, float]:
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(torch.empty(shape, device="meta"))
    weights = {p.untyped_storage()._cdata for p in network.parameters()}
    storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in kept}
    kept_bytes = sum(size for place, size in storages.items() if place not in weights)
    return {"operations": counter.get_total_flops(), "kept_bytes": kept_bytes}


def per_image(work: Work) -> dict[str, float]:
    """Operations and kept bytes of one image of a batch, and parameters."""
    with torch.device("meta"):
        parts = work.parts()
        found = {each: counted(parts[each[0]], each[1]) for each in {p[:2] for p in work.passes}}
    operations = kept = 0.0
    for part, shape, trained, only_seen in work.passes:
        one = found[part, shape]
        operations += one["operations"] * (3 * trained + only_seen)
        kept += one["kept_bytes"] * trained
    weights = sum(p.numel() for network in parts.values() for p in network.parameters())
    return {"operations": operations, "kept_bytes": kept, "parameters": weights}


def exchange(parameters: float, gpus: int, machine: Machine) -> float:
    """Seconds of a ring all-reduce of float32 gradients, all of it behind the computing."""
    if gpus == 1:
        return 0.0
    rate = machine.in_node if gpus <= 8 else machine.between_nodes
    return 2 * (gpus - 1) / gpus * 4 * parameters / rate


def epoch(work: Work, one: dict[str, float], gpus: int, machine: Machine) -> dict[str, Any]:
    """Seconds that each part of an epoch takes alone, and what a whole training comes to."""
    steps = work.images // (work.batch * gpus)  # what does not go round is left out of an epoch
    seen = steps * work.batch * gpus
    computing = seen * one["operations"] / (gpus * machine.operations * machine.reached)
    exchanging = steps * exchange(one["parameters"], gpus, machine)
    hours = work.epochs * (computing + exchanging) / 3600
    return {
        "training": work.name.split(",")[0],
        "gpus": gpus,
        "global_batch": work.batch * gpus,
        "steps": steps,
        "computing_s": round(computing, 1),
        "exchanging_s": round(exchanging, 2),
        "computing_ms_a_step": round(1e3 * computing / steps, 1),
        "exchanging_ms_a_step": round(1e3 * exchanging / steps, 1),
        "images_per_s": round(seen / (computing + exchanging)),
        "read_GB_per_s": round(seen * work.image_bytes / (computing + exchanging) / 1e9, 2),
        "epochs": work.epochs,
        "hours": round(hours, 3),
        "gpu_hours": round(hours * gpus, 1),
        "dollars": round(hours * gpus * machine.dollars, 1),
    }


def memory(work: Work, one: dict[str, float]) -> dict[str, Any]:
    """Gigabytes of one GPU: weights, gradients and Adam's two moments; activations of a batch."""
    copies = 5 if work.teacher else 4
    return {
        "training": work.name,
        "parameters_M": round(one["parameters"] / 1e6, 1),
        "TFLOP_per_image": round(one["operations"] / 1e12, 3),
        "kept_MB_per_image": round(one["kept_bytes"] / 1e6),
        "state_GB": round(copies * 4 * one["parameters"] / 1e9, 2),
        "batch": work.batch,
        "activations_GB": round(work.batch * one["kept_bytes"] / 1e9, 1),
        "data_GB": round(work.images * work.image_bytes / 1e9),
    }


WORKS = (
    Work(
        "OpenBHB, L_exp, 3D ResNet-18, maps of 121 x 145 x 121",
        volumes,
        (("encoder", (1, 121, 145, 121), 2, 0),),
        images=3227,
        epochs=300,
        batch=32,
        image_bytes=4 * 121 * 145 * 121,
        teacher=False,
    ),
    Work(
        "1.4 million photographs, DINO, ViT-S/16",
        photographs,
        (
            ("encoder", (3, 224, 224), 2, 2),
            ("encoder", (3, 96, 96), 8, 0),
            ("head", (384,), 10, 2),
        ),
        images=1_400_000,
        epochs=325,
        batch=64,
        image_bytes=12.2e3,
        teacher=True,
    ),
)


def reading(folder: Path) -> dict[str, Any]:
    """JPEGs that one core reads as a bundle of photographs does, to 224 pixels in [0, 1]."""
    torch.set_num_threads(1)
    load = PrepareImaged("image", 224, {"kind": "photo"})
    paths = sorted(folder.rglob("*.jpg"))
    began = time.process_time()
    for path in paths:
        load({"image": str(path)})
    seconds = time.process_time() - began
    return {"pictures": len(paths), "a_second_of_a_core": round(len(paths) / seconds)}


def table(rows: Sequence[dict[str, Any]]) -> str:
    return markdown(
        list(rows[0]),
        [
            [f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()]
            for row in rows
        ],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pictures", type=Path, help="unless given, what OUT says of reading stays"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    machine = Machine()
    images = [per_image(work) for work in WORKS]
    held = [memory(work, one) for work, one in zip(WORKS, images)]
    epochs = [epoch(work, one, gpus, machine) for work, one in zip(WORKS, images) for gpus in GPUS]
    if options.pictures:
        read = reading(options.pictures)
    else:
        read = json.loads(options.out.read_text())["reading"]
    print(table(held), table(epochs), read, sep="\n\n")
    record = {
        "reading": read,
        "machine": asdict(machine),
        "memory": held,
        "epochs": epochs,
        **provenance(),
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
