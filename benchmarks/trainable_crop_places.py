"""Where does CRL-TAC's channel look on medical images, where nobody tells it where?

The channel that finds a digit in a black field is trained, without labels, on two sets of real
images in which one place matters: brain slices with an inserted lesion (`inserted_lesions`), and
fundus photographs with their optic disc. Read is the share of P(T | x) on the crops that touch the
lesion or hold the disc's centre, on patients it was not trained on, beside the share of uniform
crops, and beside uniform crops over the brain or the retina alone.

    python benchmarks/trainable_crop_places.py --data DIR --out OUT [--sets ...] [--seeds 0 1 2]

`DIR` holds the folders fundus_dr_srahim and ixi_t1_hh. The disc's centre is where the red channel,
smoothed by a tenth of the field, is brightest: a common estimate, right for most photographs and
not checked by hand here. Writes OUT/trainable_crop_places.json and OUT/<set>.png, ten test images
above their maps of P.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from batches import Batches
from inserted_lesions import Lesion, write_slices
from paired_runs import kept, markdown, mean_and_spread, provenance
from PIL import Image
from scipy import ndimage
from small_images import SETS
from torch import Tensor, nn

from common.data import load_datalist, read_image
from common.engines import ContrastiveTrainer, ExponentialSchedule, PhaseOptimizers
from common.losses import InfoMaxBound
from common.methods import TrainableCrop
from common.networks import ChannelEncoder, CropEncoder, ImageClassifier, Projector
from common.policies import CropChannel
from common.policies.crop_channel import channel_entropy
from common.transforms import CropGrid

Array = np.ndarray
SIDE = 64
SETTINGS = {
    "crop": 16,
    "stride": 4,
    "beta": 5.0,
    "entropy_weight": 2.0,
    "final_entropy_weight": 0.5,
    "batch": 64,
    "steps": 600,
    "rate": 1e-3,
}
GRID = CropGrid(SIDE, SETTINGS["crop"], SETTINGS["stride"])


class Places(NamedTuple):
    """Training images, test images, and the crops of the latter that matter or show anatomy."""

    train: Tensor  # (N, C, 64, 64) in [0, 1]
    test: Tensor  # (M, C, 64, 64)
    place: Tensor  # (M, |T|) bool
    anatomy: Tensor  # (M, |T|) bool


def lesions(data: Path, out: Path) -> Places:
    """Slices of other brains; of the tested ones, those with a lesion."""
    target = out / "slices"
    if not (target / "manifest.json").is_file():
        write_slices(data / "ixi_t1_hh", target, SIDE, 0, Lesion(4.0, 0.25))
    train = [entry for part in ("training", "validation") for entry in load_datalist(target, part)]
    test = [entry for entry in load_datalist(target, "test") if entry["label"] == 1]
    x, mask = images(test, "image"), images(test, "mask")
    return Places(images(train, "image"), x, GRID.touching(mask), GRID.touching(x))


def images(entries: Sequence[dict[str, Any]], key: str) -> Tensor:
    return torch.from_numpy(np.stack([read_image(entry[key]) for entry in entries])).float()


def fundus(data: Path, out: Path) -> Places:
    """Photographs of two thirds of the people for training, of the others for the test."""
    photographs = SETS["fundus"](data, out)
    x = nn.functional.interpolate(
        photographs.x.float() / 255, SIDE, mode="bilinear", antialias=True
    )
    train, test = (torch.from_numpy(rows) for rows in photographs.splits[0])
    x[(x.amax(dim=1, keepdim=True) < 0.06).expand_as(x)] = 0  # the frame around the retina
    smooth = ndimage.gaussian_filter(x[test, 0].numpy(), (0, SIDE / 10, SIDE / 10))
    centre = torch.zeros(len(test), 1, SIDE, SIDE)
    brightest = torch.from_numpy(smooth.reshape(len(test), -1).argmax(axis=1))
    centre.flatten(1)[torch.arange(len(test)), brightest] = 1
    lit = GRID.touching(x[test].amax(dim=1, keepdim=True))
    return Places(x[train], x[test], GRID.touching(centre), lit)


def channel_of(places: Places, seed: int) -> Tensor:
    """Train, and return ``log P`` of the test images."""
    torch.manual_seed(seed)
    channels, steps = places.train.shape[1], int(SETTINGS["steps"])
    encoder = CropEncoder(int(SETTINGS["crop"]), channels)
    projector = Projector(200, 200, 50, leading_activation=True)
    channel = CropChannel(GRID, channels, reduction=2)
    method = TrainableCrop(
        ImageClassifier(ChannelEncoder(encoder, projector, channel), 200),
        InfoMaxBound(SETTINGS["beta"]),
        channel_images=32,
    )
    rates = {name: SETTINGS["rate"] for name in method.phase_parameters()}
    optimizers = PhaseOptimizers(method, rates)
    loader = Batches({"image": places.train}, int(SETTINGS["batch"]), steps)
    weights = SETTINGS["entropy_weight"], SETTINGS["final_entropy_weight"]
    falling = ExponentialSchedule(method, "entropy_weight", *weights)
    ContrastiveTrainer(
        "cpu", 1, loader, method, optimizers, seed=seed, train_handlers=[falling]
    ).run()
    with torch.no_grad():
        return channel.eval()(places.test)


def shares(places: Places, out: Path, name: str, seed: int) -> dict[str, float]:
    log_probability = channel_of(places, seed)
    p = log_probability.exp()
    if seed == 0:
        picture(places, p, out / f"{name}.png")
    anatomy = places.anatomy.float()
    inside = (places.place * anatomy).sum(dim=1) / anatomy.sum(dim=1)
    return {
        "channel": float((p * places.place).sum(dim=1).mean()),
        "uniform": float(places.place.float().mean()),
        "uniform over anatomy": float(inside.mean()),
        "most probable crop": float(
            places.place.gather(1, p.argmax(dim=1, keepdim=True)).float().mean()
        ),
        "on anatomy": float((p * anatomy).sum(dim=1).mean()),
        "entropy": float(channel_entropy(log_probability).mean()),
    }


def picture(places: Places, p: Tensor, path: Path) -> None:
    """Ten test images above P, each map to its own maximum."""
    some = torch.linspace(0, len(p) - 1, 10).long()
    x = places.test[some].expand(-1, 3, -1, -1)
    maps = p[some].view(-1, 1, GRID.side, GRID.side)
    maps = nn.functional.interpolate(maps / maps.amax(dim=(2, 3), keepdim=True), SIDE)
    rows = [torch.cat(list(each), dim=2) for each in (x, maps.expand(-1, 3, -1, -1))]
    content = (255 * torch.cat(rows, dim=1)).permute(1, 2, 0).byte().numpy()
    Image.fromarray(content).resize((SIDE * 10 * 3, SIDE * 2 * 3), Image.Resampling.NEAREST).save(
        path
    )


def main(arguments: Sequence[str] | None = None) -> int:
    sets = {"lesions": lesions, "fundus": fundus}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(sets), choices=list(sets))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {**provenance(), "settings": SETTINGS, "sets": {}}
    for name in options.sets:
        places = sets[name](options.data, options.out)
        runs = [
            kept(
                options.out / f"{name} {seed}.json",
                partial(shares, places, options.out, name, seed),
            )
            for seed in options.seeds
        ]
        figures = {key: [run[key] for run in runs] for key in runs[0]}
        result["sets"][name] = {"test_images": len(places.test), **figures}
        print(name, markdown(["share of P", "mean (std over seeds)"], [
            [key, mean_and_spread(values)] for key, values in figures.items()
        ]), sep="\n")  # fmt: skip
    (options.out / "trainable_crop_places.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
