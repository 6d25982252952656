"""Pictures of where a channel that chooses crops looked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.checks import InputError
from common.deploy import SaveCropMaps
from common.deploy.attention import attention_overlay
from common.deploy.crop_maps import coverage
from common.networks import ChannelEncoder, ConvEncoder, CropEncoder, ImageClassifier, Projector
from common.policies import CropChannel
from common.transforms import CropGrid

GRID = CropGrid(9, 4, 2)  # 3 x 3 crops; the last row and column of pixels lie in none


def test_a_pixel_is_covered_as_probably_as_its_crops_together() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(2, 9, dtype=torch.double, generator=generator)
    p = p / p.sum(dim=1, keepdim=True)
    actual = coverage(p, GRID)
    for image in range(2):
        for row, column in [(0, 0), (3, 5), (4, 4), (8, 8)]:
            starts = [(2 * (t // 3), 2 * (t % 3)) for t in range(9)]
            inside = [top <= row < top + 4 and left <= column < left + 4 for top, left in starts]
            wanted = float(p[image][inside].sum())
            assert float(actual[image, row, column]) == pytest.approx(wanted, abs=1e-12)


def test_every_image_has_a_picture_of_its_own_crops_however_the_encoder_splits(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    channel = CropChannel(GRID, channels=(2, 2), features=3)
    for parameter in channel.parameters():
        torch.nn.init.normal_(parameter)
    encoder = ChannelEncoder(CropEncoder(4, channels=(2,), features=3), Projector(3), channel)
    model = ImageClassifier(encoder, 3).eval()
    image = torch.rand(40, 1, 9, 9)
    names = [f"sub/{n}.png" for n in range(40)]
    view = SaveCropMaps(tmp_path, model)
    with torch.no_grad():
        model(image)
        view([{"name": n, "slice": s} for n, s in zip(names, [-1] * 39 + [5])], image)
        covered = coverage(channel(image).exp(), GRID)
    assert covered.flatten(1).std(dim=0).max() > 0.1
    for index, name in ((0, "sub/0.png.png"), (35, "sub/35.png.png"), (39, "sub/39.png_5.png")):
        with Image.open(tmp_path / "crops" / name) as picture:
            expected = attention_overlay(image[index], covered[index])
            assert np.abs(np.asarray(picture).astype(int) - expected).max() <= 1


def test_an_encoder_without_a_channel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must have a ChannelEncoder, got ConvEncoder"):
        SaveCropMaps(tmp_path, ImageClassifier(ConvEncoder(channels=(4, 6)), 6))
