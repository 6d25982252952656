"""Time of encoding the crops of CRL-TAC: by windows, each different crop once, every crop drawn.

One run, one thread, the contenders in turn, the best time of each::

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/crop_windows.py --out windows.json

A batch of 128 images with a drawn digit (bright noise of 20 x 20 pixels in a cell of 28), 8 crops
drawn of each; forward through the encoder of the bundle and backward to its weights. The values
must agree to 1e-5 of their size; the run stops if not. The crops are drawn evenly from

- cell: the nine inside the digit's cell, where a training on grid-MNIST ends;
- touching: all that touch the digit, where it begins;
- MNIST: the nine of an image of 28 x 28.
"""

import argparse
import json
from pathlib import Path

import torch
from costs import best_times
from paired_runs import provenance
from torch import Tensor, nn

from common.networks import CropEncoder
from common.networks.crop_encoder import encode_crops
from common.policies import CellCrops
from common.transforms import CropGrid

IMAGES, DRAWN, CELL, DIGIT = 128, 8, 28, 20
CASES = {"cell": 84, "touching": 84, "MNIST": 28}  # side of the image


class OneByOne(nn.Module):
    """An encoder that nothing is known of but that it takes crops."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Encode crops."""
        encoded: Tensor = self.encoder(x)
        return encoded


def images(side: int) -> Tensor:
    x = torch.zeros(IMAGES, 1, side, side)
    margin = (CELL - DIGIT) // 2
    for image, row, column in zip(x, *torch.randint(side // CELL, (2, IMAGES)).tolist()):
        top, left = CELL * row + margin, CELL * column + margin
        image[:, top : top + DIGIT, left : left + DIGIT] = torch.rand(DIGIT, DIGIT)
    return x


def case(name: str) -> dict[str, dict[str, float]]:
    torch.manual_seed(0)
    grid, x = CropGrid(CASES[name], DIGIT, 4), images(CASES[name])
    chosen = grid.touching(x).float() if name == "touching" else CellCrops(grid, CELL)(x).exp()
    index = torch.multinomial(chosen, DRAWN, replacement=True)
    encoder = CropEncoder(DIGIT)
    weight = torch.rand(IMAGES, DRAWN, encoder.out_features)

    def value(features: Tensor) -> float:
        encoder.zero_grad()
        total = (features * weight).sum()
        total.backward()
        return float(total.detach())

    return best_times(
        {
            "ours": lambda: value(encode_crops(encoder, grid, x, index)),
            "each different crop": lambda: value(encode_crops(OneByOne(encoder), grid, x, index)),
            "every crop": lambda: value(
                encoder(grid.gather(x, index).flatten(0, 1)).unflatten(0, index.shape)
            ),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    arguments = parser.parse_args()
    cases = {name: case(name) for name in CASES}
    print("| crops | by windows, ms | each different crop, ms | every crop, ms | ratios |")
    print("|---|---:|---:|---:|---:|")
    for name, result in cases.items():
        own, *others = result["values"].values()
        if any(abs(other - own) > 1e-5 * abs(own) for other in others):
            raise SystemExit(f"{name}: the values differ, {result['values']}.")
        ours, *rest = (1e3 * seconds for seconds in result["seconds"].values())
        ratios = ", ".join(f"{other / ours:.2f}" for other in rest)
        print(
            f"| {name} | {ours:.0f} | {' | '.join(f'{other:.0f}' for other in rest)} | {ratios} |"
        )
    if arguments.out:
        result = {**provenance(), "threads": torch.get_num_threads(), "cases": cases}
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
