"""Time of DINO's multi-crop views beside the Pillow pipeline of its release.

One run, one thread, the contenders in turn in each repeat, medians of the CPU time::

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/views_dino.py --out views.json

Both make, of each of 64 decoded RGB pictures of 256 x 256 (as ``data_prep fundus`` writes them),
the ten views of DINO's default ("strong") augmentation, 2 x 224 and 8 x 96, as normalised float32
batches: resized crop (bicubic, antialiased), mirror, colour jitter, grey, blur, solarise. Pillow's
is written here as torchvision writes it (crop and resize, ImageEnhance, hue through HSV and NumPy,
ImageFilter, ImageOps, to tensor, normalise), one picture after the other, then stacked.

Ours starts from the pictures as bytes, channels last, as they come from a decoder, or from floats.
Before the timing the views' means and standard deviations must agree; the run stops if not.

Memory is the growth of the peak resident size during one pass in a process of its own (Linux
only). ``--keep-memory`` starts everything again with a C allocator that keeps what it has
freed: without it, glibc returns large blocks to the system, which has to clear them anew.
"""

import argparse
import json
import math
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import torch
from costs import STRICT_ALLOCATION, apart, cost
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from common.policies import EachWithProbability
from common.transforms import Composition
from data_prep.phantom.fundus import draw_eye

Views = list[Tensor]
Case = Callable[[], Views]
BATCH, SIDE = 64, 256
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
GROUPS = (  # size, scale, chance of blur, chance of solarise, views
    (224, (0.4, 1.0), 1.0, 0.0, 1),
    (224, (0.4, 1.0), 0.1, 0.2, 1),
    (96, (0.05, 0.4), 0.5, 0.0, 8),
)
KEEP = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}


def pictures() -> list[Image.Image]:
    """The phantom's eyes: the time does not depend on what is shown."""
    rngs = (np.random.default_rng(number) for number in range(BATCH))
    return [Image.fromarray(draw_eye(rng, "R", SIDE, 0, 50, 8)) for rng in rngs]


def crop(picture: Image.Image, size: int, scale: tuple[float, float]) -> Image.Image:
    width, height = picture.size
    for _ in range(10):
        area = width * height * random.uniform(*scale)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if across <= width and down <= height:
            break
    else:
        across, down = width, height
    left, top = random.randint(0, width - across), random.randint(0, height - down)
    box = picture.crop((left, top, left + across, top + down))
    return box.resize((size, size), Image.Resampling.BICUBIC)


def turn_hue(picture: Image.Image, turn: float) -> Image.Image:
    hue, saturation, value = picture.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + int(turn * 255)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def jitter(picture: Image.Image) -> Image.Image:
    changes = [
        lambda p: ImageEnhance.Brightness(p).enhance(random.uniform(0.6, 1.4)),
        lambda p: ImageEnhance.Contrast(p).enhance(random.uniform(0.6, 1.4)),
        lambda p: ImageEnhance.Color(p).enhance(random.uniform(0.8, 1.2)),
        lambda p: turn_hue(p, random.uniform(-0.1, 0.1)),
    ]
    random.shuffle(changes)
    for change in changes:
        picture = change(picture)
    return picture


def grey(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture.convert("L"))
    return Image.fromarray(np.dstack([values, values, values]))


def to_tensor(picture: Image.Image) -> Tensor:
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
    return (x - MEAN) / STD


def pillow(stages: dict[str, float] | None = None) -> Case:
    """The views through Pillow; CPU seconds of each stage are added to `stages`."""
    images = pictures()

    def run() -> Views:
        return [
            torch.stack([view(image, *group) for image in images])
            for *group, count in GROUPS
            for _ in range(count)
        ]

    def view(
        picture: Image.Image, size: int, scale: tuple[float, float], blur: float, negative: float
    ) -> Tensor:
        steps: list[tuple[str, float, Callable[[Image.Image], Image.Image]]] = [
            ("resized_crop", 1.0, lambda p: crop(p, size, scale)),
            ("mirror", 0.5, ImageOps.mirror),
            ("color_jitter", 0.8, jitter),
            ("grayscale", 0.2, grey),
            ("blur", blur, lambda p: p.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2)))),
            ("solarize", negative, ImageOps.solarize),
        ]
        for name, chance, step in steps:
            if random.random() < chance:
                start = time.thread_time()
                picture = step(picture)
                if stages is not None:
                    stages[name] = stages.get(name, 0) + time.thread_time() - start
        return to_tensor(picture)

    return run


def ours(floats: bool, stages: dict[str, float] | None = None) -> Case:
    """The views through `Composition`; CPU seconds of each stage are added to `stages`."""
    stacked = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures()]))
    x = stacked.permute(0, 3, 1, 2)
    x = x.contiguous().float() / 255 if floats else x
    groups = []
    for size, scale, blur, negative, count in GROUPS:
        transform = Composition(
            ["resized_crop", "mirror", "color_jitter", "grayscale", "blur", "solarize"],
            settings={
                "resized_crop": {
                    **{"size": size, "scale": scale},
                    **{"interpolation": "bicubic", "antialias": True},
                },
                "mirror": {"axes": [1]},
                "color_jitter": {"saturation": 0.2},
                "blur": {"min_sigma": 0.1, "max_sigma": 2.0, "border": "edge"},
            },
        )
        if stages is not None:
            watch(transform, stages)
        policy = EachWithProbability([1, 0.5, 0.8, 0.2, blur, negative], transform.sizes)
        groups += [(policy, transform)] * count

    @torch.no_grad()
    def run() -> Views:
        return [transform(x, policy(x)).sub_(MEAN).div_(STD) for policy, transform in groups]

    return run


def watch(transform: Composition, stages: dict[str, float]) -> None:
    """Add the CPU seconds of each transformation to `stages`."""
    find = transform._function

    def found(name: str, generator: torch.Generator | None) -> Callable[..., Tensor]:
        function = find(name, generator)

        def timed(x: Tensor, lam: Tensor) -> Tensor:
            start = time.thread_time()
            out = function(x, lam)
            stages[name] = stages.get(name, 0) + time.thread_time() - start
            return out

        return timed

    transform._function = found  # type: ignore[method-assign]  # only here


CASES: dict[str, Callable[[dict[str, float] | None], Case]] = {
    "Pillow": pillow,
    "ours, from bytes": lambda stages=None: ours(False, stages),
    "ours, from floats": lambda stages=None: ours(True, stages),
}


def agree(cases: dict[str, Case]) -> None:
    """Stop unless global and local views have the same mean and spread in every channel."""
    moments: dict[str, Tensor] = {}
    for name, case in cases.items():
        passes = [case() for _ in range(6)]
        kinds = [torch.cat([v for p in passes for v in p if v.shape[-1] == s]) for s in (224, 96)]
        each = [torch.stack([k.mean((0, 2, 3)), k.std((0, 2, 3))]) for k in kinds]
        moments[name] = torch.stack(each)
    for name, moment in moments.items():
        worst = (moment - moments["Pillow"]).abs().max().item()
        print(f"{name}: moments differ by {worst:.3f} from Pillow's", file=sys.stderr)
        if worst > 0.15:  # three standard deviations of what 64 pictures leave to chance
            sys.exit(f"{name}: the views differ from Pillow's by {worst:.3f} in mean or spread")


def measured(repeats: int) -> list[dict[str, object]]:
    stages: dict[str, dict[str, float]] = {name: {} for name in CASES}
    cases = {name: make(stages[name]) for name, make in CASES.items()}
    agree(cases)
    for each in stages.values():
        each.clear()
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            start = time.thread_time()
            case()
            times[name].append(time.thread_time() - start)
    middle = {name: statistics.median(values) for name, values in times.items()}
    return [
        {
            "contender": name,
            "milliseconds_per_image": 1e3 * middle[name] / BATCH,
            "images_per_second": BATCH / middle[name],
            "times_pillow": middle["Pillow"] / middle[name],
            "megabytes": apart(__file__, ["--memory", name], STRICT_ALLOCATION) / 1e6,
            "stages": {k: 1e3 * v / repeats / BATCH for k, v in stages[name].items()},
        }
        for name in cases
    ]


def table(rows: list[dict[str, object]]) -> str:
    lines = ["| who | ms per image | images/s | times Pillow | MB |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        lines.append(
            "| {contender} | {milliseconds_per_image:.2f} | {images_per_second:.0f} "
            "| {times_pillow:.2f} | {megabytes:.0f} |".format(**row)
        )
    for row in rows:
        stages = row["stages"]
        assert isinstance(stages, dict)
        stages_ms = ", ".join(f"{name} {value:.2f}" for name, value in stages.items())
        lines.append(f"\n{row['contender']}, ms per image: {stages_ms}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--keep-memory", action="store_true", help="see above")
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    parser.add_argument("--memory", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.keep_memory and any(os.environ.get(k) != v for k, v in KEEP.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random.seed(0)
    if arguments.memory:
        case = CASES[arguments.memory](None)
        case()
        print(cost(case).bytes)
        return
    rows = measured(arguments.repeats)
    print(table(rows))
    if arguments.out:
        versions = {"torch": torch.__version__, "pillow": PIL.__version__}
        versions["python"] = platform.python_version()
        settings = {"keep_memory": arguments.keep_memory, "repeats": arguments.repeats}
        result = {"versions": versions, "settings": settings, "rows": rows}
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
