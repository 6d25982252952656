"""Time of the transformations beside kornia's operations and MONAI's dictionary transforms.

One run, one CPU thread, every contender in turn in each repeat, medians over the repeats::

    pip install "kornia>=0.8"
    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/transforms.py --out transforms.json

- pipeline: the 7-parameter composition of 32 x 1 x 224 x 224, forward and backward to the
  parameters of every image, beside the same operations of kornia.
- blur3d: 2 x 1 x 96 x 96 x 96 with one sigma per image, beside kornia's filter3d.
- views: 32 x 1 x 224 x 224 without gradients, beside MONAI's dictionary transforms image by image.
- volumes: 8 x 1 x 96 x 96 x 96 without gradients, the augmentations of y-aware and an affine map,
  beside MONAI's dictionary transforms volume by volume.

A peer stands there in every form found, and the ratio is to the fastest. Outputs of ours and of
kornia are compared first (without noise); the run stops if they differ. Memory is the growth of
the peak resident size during one pass in a process of its own (Linux only).
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import kornia
import monai
import torch
from costs import STRICT_ALLOCATION, apart, cost
from kornia.filters import filter3d, gaussian_blur2d, get_gaussian_kernel1d, get_gaussian_kernel3d
from kornia.geometry.transform import get_rotation_matrix2d, hflip, vflip, warp_affine
from kornia.geometry.transform import rotate as kornia_rotate
from monai.data import set_track_meta
from monai.transforms import (
    Compose,
    Lambdad,
    RandAffined,
    RandAxisFlipd,
    RandCoarseDropoutd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotated,
    RandSpatialCropd,
    Resized,
)
from paired_runs import provenance
from torch import Tensor

from common.policies import EachWithProbability
from common.transforms import Composition, blur, crop

Case = Callable[[], object]
Transform = Callable[[Tensor, Tensor], Tensor]
PICTURES, VOLUMES = (32, 1, 224, 224), (8, 1, 96, 96, 96)
TAPS = 13  # ceil(3 x 2 pixels) on each side, as ours
Y_AWARE = ("mirror", "blur", "noise", "cutout", "crop_resize")


def column(lam: Tensor, index: int) -> Tensor:
    return lam[:, index].reshape(-1, 1, 1, 1)


def window(x: Tensor, lam: Tensor) -> Tensor:
    """Table 1's crop as one writes it down; kornia has none."""
    side = x.shape[-1]
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    distance = torch.maximum(
        (rows - column(lam, 0) * side).abs(), (columns - column(lam, 1) * side).abs()
    )
    return x * torch.sigmoid(side / 8 - distance)


def turned(x: Tensor, lam: Tensor) -> Tensor:
    return kornia_rotate(x, 360 * lam[:, 0], align_corners=False)


def warped(x: Tensor, lam: Tensor) -> Tensor:
    side = x.shape[-1]
    centre = torch.full((len(x), 2), (side - 1) / 2)
    matrix = get_rotation_matrix2d(centre, 360 * lam[:, 0], torch.ones(len(x), 2))
    return warp_affine(x, matrix, (side, side), align_corners=False)


def kornia_pipeline(
    x: Tensor, lam: Tensor, separable: bool, cut: Transform, turn: Transform
) -> Tensor:
    sigma = (2 * lam[:, :1]).clamp(min=1e-2).expand(-1, 2)
    x = gaussian_blur2d(x, (TAPS, TAPS), sigma, "constant", separable)
    x = torch.addcmul(x, 0.1 * column(lam, 1), torch.randn_like(x))
    x = cut(x, lam[:, 2:4])
    x = torch.lerp(x, vflip(x), column(lam, 4))
    x = torch.lerp(x, hflip(x), column(lam, 5))
    return turn(x, lam[:, 6:7])


def kornia_volume(x: Tensor, lam: Tensor) -> Tensor:
    sigma = (2 * lam).clamp(min=1e-2).expand(-1, 3)
    return filter3d(x, get_gaussian_kernel3d((TAPS, TAPS, TAPS), sigma), "constant")


def kornia_volume_by_axis(x: Tensor, lam: Tensor) -> Tensor:
    kernel = get_gaussian_kernel1d(TAPS, (2 * lam).clamp(min=1e-2))
    for shape in ((-1, 1, 1, TAPS), (-1, 1, TAPS, 1), (-1, TAPS, 1, 1)):
        x = filter3d(x, kernel.reshape(shape), "constant")
    return x


def gradient(transform: Transform, x: Tensor, lam: Tensor, weight: Tensor) -> Case:
    """One forward and backward pass to the parameters."""

    def run() -> object:
        free = lam.clone().requires_grad_()
        return torch.autograd.grad(transform(x, free), free, weight)

    return run


def agree(ours: Transform, peers: dict[str, Transform], x: Tensor, lam: Tensor) -> None:
    wanted = ours(x, lam)
    for name, peer in peers.items():
        worst = (peer(x, lam) - wanted).abs().max().item()
        if worst > 2e-3:
            sys.exit(f"{name} differs from ours by {worst:.1e}")


def pipeline() -> dict[str, Case]:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.rand(2, *PICTURES, generator=generator)
    lam = torch.rand(len(x), 7, generator=generator)
    peers: dict[str, Transform] = {
        f"kornia, {blurred} blur, {window_name} crop, {turn.__name__}": partial(
            kornia_pipeline, separable=blurred == "separable", cut=cut, turn=turn
        )
        for blurred in ("separable", "2D")
        for window_name, cut in {"plain": window, "our": crop}.items()
        for turn in (turned, warped)
    }
    silent = lam * torch.tensor([1, 0, 1, 1, 1, 1, 1])
    agree(Composition(), peers, x, silent)
    everyone: dict[str, Transform] = {"ours": Composition(), **peers}
    return {name: gradient(f, x, lam, weight) for name, f in everyone.items()}


def volume(gradients: bool) -> dict[str, Case]:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.rand(2, 2, *VOLUMES[1:], generator=generator)
    lam = torch.tensor([[0.3], [0.9]])
    peers = {
        "kornia filter3d, Gaussian kernel": kornia_volume,
        "kornia filter3d, three 1D kernels": kornia_volume_by_axis,
    }
    agree(blur, peers, x, lam)
    everyone: dict[str, Transform] = {"ours": blur, **peers}
    if gradients:
        return {name: gradient(f, x, lam, weight) for name, f in everyone.items()}
    return {name: partial(f, x, lam) for name, f in everyone.items()}


def monai_views(x: Tensor, probability: float, meta: bool) -> Case:
    keys, often = "image", {"prob": probability}

    def cut(image: Tensor) -> Tensor:
        if torch.rand(()) >= probability:
            return image
        return crop(image[None], torch.rand(1, 2))[0]

    transforms = Compose(
        [
            RandGaussianSmoothd(keys, sigma_x=(0.01, 2.0), sigma_y=(0.01, 2.0), **often),
            RandGaussianNoised(keys, std=0.1, **often),
            Lambdad(keys, cut, track_meta=False),
            RandFlipd(keys, spatial_axis=0, **often),
            RandFlipd(keys, spatial_axis=1, **often),
            RandRotated(keys, range_x=torch.pi, padding_mode="zeros", **often),
        ]
    )
    transforms.set_random_state(0)

    def run() -> Tensor:
        set_track_meta(meta)
        return torch.stack([transforms({"image": image})["image"] for image in x])

    return run


def monai_volumes(x: Tensor, probability: float, names: tuple[str, ...], meta: bool) -> Case:
    keys, often, side = "image", {"prob": probability}, x.shape[-1]
    sigma = dict.fromkeys(("sigma_x", "sigma_y", "sigma_z"), (0.1, 1.0))
    resize = Compose(
        [
            RandSpatialCropd(keys, 3 * [side * 3 // 4], random_size=False),
            Resized(keys, 3 * [side], mode="trilinear"),
        ]
    )

    def crop_and_resize(entry: dict[str, Tensor]) -> dict[str, Tensor]:
        return resize(entry) if torch.rand(()) < probability else entry

    affine = {"rotate_range": 3 * [math.radians(10)], "translate_range": 3 * [5]}
    known: dict[str, object] = {
        "mirror": RandAxisFlipd(keys, **often),
        "blur": RandGaussianSmoothd(keys, **sigma, **often),
        "noise": RandGaussianNoised(keys, std=1.0, sample_std=True, **often),
        "cutout": RandCoarseDropoutd(
            keys, holes=1, spatial_size=3 * [side // 4], fill_value=0, **often
        ),
        "crop_resize": crop_and_resize,
        "affine": RandAffined(
            keys, scale_range=(-0.1, 0.1), padding_mode="zeros", **affine, **often
        ),
    }
    transforms = Compose([known[name] for name in names])
    transforms.set_random_state(0)

    def run() -> Tensor:
        set_track_meta(meta)
        return torch.stack([transforms({"image": volume})["image"] for volume in x])

    return run


def volumes(probability: float, names: tuple[str, ...]) -> dict[str, Case]:
    x = torch.rand(VOLUMES, generator=torch.Generator().manual_seed(0))
    ranges = {
        "blur": {"min_sigma": 0.1, "max_sigma": 1.0},
        "noise": {"min_std": 0.0, "max_std": 1.0},
    }
    settings = {name: ranges[name] for name in names if name in ranges}
    composition = Composition(names, spatial_dims=3, settings=settings)
    policy = EachWithProbability(probability, composition.sizes)
    return {
        "ours": lambda: composition(x, policy(x)),
        "MONAI": monai_volumes(x, probability, names, meta=True),
        "MONAI without meta data": monai_volumes(x, probability, names, meta=False),
    }


def views(probability: float) -> dict[str, Case]:
    x = torch.rand(PICTURES, generator=torch.Generator().manual_seed(0))
    policy, composition = EachWithProbability(probability), Composition()
    return {
        "ours": lambda: composition(x, policy(x)),
        "MONAI": monai_views(x, probability, meta=True),
        "MONAI without meta data": monai_views(x, probability, meta=False),
    }


GROUPS: dict[str, Callable[[], dict[str, Case]]] = {
    "pipeline": pipeline,
    "blur3d": partial(volume, gradients=False),
    "blur3d, forward and backward": partial(volume, gradients=True),
    "views, each with p = 0.5": partial(views, 0.5),
    "views, every transformation": partial(views, 1.0),
    "volumes, each with p = 0.5": partial(volumes, 0.5, Y_AWARE),
    "volumes, every transformation": partial(volumes, 1.0, Y_AWARE),
    **{f"volumes, {name} alone": partial(volumes, 1.0, (name,)) for name in (*Y_AWARE, "affine")},
}


def timed(cases: dict[str, Case], repeats: int) -> dict[str, float]:
    """Return the median seconds of each case; all cases run in turn in every repeat."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(repeats + 1):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            if repeat:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def compare(group: str, repeats: int) -> list[dict[str, float | str]]:
    seconds = timed(GROUPS[group](), repeats)
    fastest = min((name for name in seconds if name != "ours"), key=seconds.__getitem__)
    return [
        {
            "group": group,
            "contender": name,
            "milliseconds": 1e3 * seconds[name],
            "megabytes": apart(__file__, ["--memory", group, name], STRICT_ALLOCATION) / 1e6,
            "times_ours": seconds[name] / seconds["ours"],
        }
        for name in ("ours", fastest, *(name for name in seconds if name not in ("ours", fastest)))
    ]


def table(rows: list[dict[str, float | str]]) -> str:
    lines = ["| what | who | ms | MB | time / ours |", "|---|---|---:|---:|---:|"]
    for row in rows:
        lines.append(
            "| {group} | {contender} | {milliseconds:.1f} | {megabytes:.0f} "
            "| {times_ours:.2f} |".format(**row)
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.memory:
        group, name = arguments.memory
        case = GROUPS[group]()[name]
        case()
        print(cost(case).bytes)
        return
    rows = []
    for group in arguments.groups:
        print(f"measuring {group}", file=sys.stderr)
        rows += compare(group, arguments.repeats)
    print(table(rows))
    if arguments.out:
        versions = {module.__name__: module.__version__ for module in (torch, kornia, monai)}
        result = {**provenance(), "versions": versions, "rows": rows}
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
