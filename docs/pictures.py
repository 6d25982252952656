"""Pictures of every transformation from weak to strong, drawn by the code on phantoms.

``python docs/pictures.py FOLDER`` writes one PNG each: the phantom as it is, then the result at
``lam`` = 0, 1/4, 1/2, 3/4 and 1 in all columns. `make docs` shows them; none is in the repository.
"""

import io
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from common.transforms.declaration import DECLARED
from data_prep.phantom.brain import Brain, frame_points
from data_prep.phantom.fundus import draw_eye

STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
SIZE, GAP = 128, 4
PHOTOGRAPHS = ("color_jitter", "grayscale", "resized_crop", "solarize", "shift")
CHOICES = {  # columns that pick one of several instead of a strength
    "color_jitter": (4,),
    "resized_crop": (1, 2, 3),
}


class Strip(NamedTuple):
    """The picture of one transformation, and what the ends of `lam` mean."""

    name: str
    png: bytes
    zero: str
    one: str


def phantom(name: str) -> Tensor:
    """Return the image ``(1, C, SIZE, SIZE)`` in [0, 1] that `name` is shown on."""
    rng = np.random.default_rng(1)
    if name in PHOTOGRAPHS:
        eye = draw_eye(rng, "R", SIZE, site=0, age=50, spots=4)
        return torch.from_numpy(eye / 255).float().movedim(-1, 0)[None]
    image, _ = Brain(rng, age=60, site=0)(frame_points(SIZE, 2, 6, 12), 2 / SIZE)
    return torch.from_numpy(image.clip(0, 1)).float()[None, None]


def strip(name: str) -> Strip:
    """Draw one transformation with its default settings."""
    declared, x = DECLARED[name], phantom(name)
    settings = {"axis": 1} if name == "flip" else {}
    columns = declared.n_parameters(2, {})
    shown = [x]
    for value in STEPS:
        lam = torch.full((1, columns), value)
        lam[:, list(CHOICES.get(name, ()))] = 0.5
        if declared.is_random():
            settings["generator"] = torch.Generator().manual_seed(0)
        shown.append(declared.function(x, lam, **settings))
    gap = torch.ones(1, x.shape[1], SIZE, GAP)
    row = torch.cat([part for image in shown for part in (image, gap)][:-1], dim=3)
    pixels = (row.clamp(0, 1) * 255).round().byte()[0].expand(3, -1, -1).movedim(0, -1).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return Strip(name, file.getvalue(), *declared.units({}))


def strips() -> list[Strip]:
    """Draw every transformation, by name."""
    return [strip(name) for name in sorted(DECLARED)]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for drawn in strips():
        (folder / f"{drawn.name}.png").write_bytes(drawn.png)
        print(f"{drawn.name}: {drawn.zero} ... {drawn.one}")
