"""The resized crop: its pixels against loops and Pillow, its boxes against torchvision's law."""

import io
import math
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from common.checks import InputError
from common.transforms.photo import resized_crop
from common.transforms.resized_crop import box_sides
from tests.oracles import views as oracle

RATIO = (3 / 4, 4 / 3)
PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def example(batch: int = 3, height: int = 11, width: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, 3, height, width, generator=generator, dtype=torch.float64)
    return x, torch.rand(batch, 4, generator=generator, dtype=torch.float64)


def boxes(x: Tensor, lam: Tensor, scale: tuple[float, float]) -> list[list[tuple[float, float]]]:
    """(start, length) of rows and columns of each image."""
    sides = torch.cat(box_sides(lam, x.shape[2:], scale, RATIO), dim=1)
    starts = lam[:, 2:] * (torch.tensor(x.shape[2:]) - sides)
    return [
        list(zip(start, side)) for start, side in zip(starts.tolist(), sides.tolist(), strict=True)
    ]


@pytest.mark.parametrize("interpolation", PILLOW)
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [3, 6, 15], ids=["smaller", "alike", "larger"])
def test_equals_the_loop_written_from_the_formula(
    interpolation: str, antialias: bool, size: int
) -> None:
    x, lam = example()
    out = resized_crop(
        x, lam, scale=(0.1, 1), size=size, interpolation=interpolation, antialias=antialias
    )
    assert out.shape == (3, 3, size, size)
    for image, box, observed in zip(x, boxes(x, lam, (0.1, 1)), out):
        wanted = oracle.resized(image.numpy(), box, size, interpolation, antialias)
        np.testing.assert_allclose(observed.numpy(), wanted, rtol=0, atol=1e-10)


def fundus(shared_data: Path, count: int) -> list[Image.Image]:
    with zipfile.ZipFile(shared_data / "fundus_dr_srahim" / "images_256.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:count]
        return [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]


@pytest.mark.parametrize(("size", "scale"), [(224, (0.4, 1.0)), (96, (0.05, 0.4)), (32, (0.4, 1))])
def test_equals_pillow_on_real_pictures(
    shared_data: Path, size: int, scale: tuple[float, float]
) -> None:
    """Exactly where Pillow computes in floats; in bytes it rounds and cuts between the axes."""
    pictures = fundus(shared_data, 4)
    x = torch.stack([torch.from_numpy(np.array(picture)) for picture in pictures])
    x = x.permute(0, 3, 1, 2).float() / 255
    lam = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    out = resized_crop(x, lam, scale=scale, size=size, interpolation="bicubic", antialias=True)
    for picture, box, observed in zip(pictures, boxes(x, lam, scale), out):
        (top, height), (left, width) = box
        edges = (left, top, left + width, top + height)
        grey = 255 * observed[1].numpy()
        exact = Image.fromarray(np.asarray(picture)[:, :, 1].astype(np.float32))
        float_pixels = exact.resize((size, size), PILLOW["bicubic"], box=edges)
        np.testing.assert_allclose(grey, np.clip(float_pixels, 0, 255), rtol=0, atol=0.05)
        byte_pixels = np.asarray(picture.resize((size, size), PILLOW["bicubic"], box=edges))
        difference = np.abs(byte_pixels[:, :, 1] - grey)
        assert difference.mean() < 0.35
        assert difference.max() < 8


@pytest.mark.parametrize("interpolation", PILLOW)
def test_pictures_of_bytes_are_cropped_and_resized_as_pillow_does(interpolation: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (4, 3, 60, 40), generator=generator, dtype=torch.uint8)
    lam = torch.rand(4, 4, generator=generator)
    out = resized_crop(x, lam, size=20, interpolation=interpolation, antialias=True)
    assert out.dtype == torch.float32
    sides = torch.cat(box_sides(lam, (60, 40), (0.2, 1), RATIO), dim=1).round()
    starts = (lam[:, 2:] * (torch.tensor([60, 40]) - sides + 1)).floor()
    for picture, start, side, observed in zip(x, starts, sides, out):
        (top, left), (bottom, right) = start.tolist(), (start + side).tolist()
        whole = Image.fromarray(picture.permute(1, 2, 0).numpy())
        wanted = whole.crop((left, top, right, bottom)).resize((20, 20), PILLOW[interpolation])
        difference = 255 * observed.permute(1, 2, 0).numpy() - np.asarray(wanted)
        assert np.abs(difference).max() < 1.01  # of 255: rounding


@pytest.mark.parametrize("antialias", [False, True])
def test_pictures_of_bytes_are_nearly_those_of_floats(antialias: bool) -> None:
    smooth = torch.linspace(0, 255, 40).expand(2, 3, 40, 40).round().byte()
    lam = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    bytewise, exact = (resized_crop(x, lam, antialias=antialias) for x in (smooth, smooth / 255))
    assert bytewise.shape == exact.shape
    torch.testing.assert_close(bytewise, exact, rtol=0, atol=2 / 40 if antialias else 1e-6)


def test_boxes_follow_the_law_of_drawing_until_one_fits() -> None:
    lam = torch.rand(40_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = torch.cat(box_sides(lam, (200, 300), (0.4, 1), RATIO), dim=1).numpy()
    draw, fitting = random.Random(0), []
    while len(fitting) < len(ours):
        area = draw.uniform(0.4, 1) * 200 * 300
        ratio = math.exp(draw.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        height, width = math.sqrt(area / ratio), math.sqrt(area * ratio)
        if height <= 200 and width <= 300:
            fitting.append((height, width))
    drawn = np.array(fitting)
    assert drawn[:, 0].max() <= 200
    np.testing.assert_allclose(ours.mean(0), drawn.mean(0), rtol=4e-3)
    np.testing.assert_allclose(np.corrcoef(ours.T), np.corrcoef(drawn.T), atol=0.02)
    for share in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(
            np.quantile(ours, share, axis=0), np.quantile(drawn, share, axis=0), rtol=1e-2
        )


def test_where_no_box_fits_the_longer_side_is_cut() -> None:
    height, width = box_sides(torch.full((1, 4), 0.5), (10, 10), (0.9, 1), (4, 4))
    assert width.item() == 10
    assert height.item() == pytest.approx(math.sqrt(0.95 * 100 / 4))


@pytest.mark.parametrize("interpolation", PILLOW)
def test_gradients_are_exact(interpolation: str) -> None:
    x, lam = example(2, 5, 6)
    inputs = ((0.4 + 0.2 * x).requires_grad_(), (0.2 + 0.6 * lam).requires_grad_())

    def apply(image: Tensor, parameters: Tensor) -> Tensor:
        return resized_crop(image, parameters, size=4, interpolation=interpolation, antialias=True)

    assert torch.autograd.gradcheck(apply, inputs)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"interpolation": "nearest"}, "interpolation must be bilinear or bicubic, got 'nearest'"),
    ],
)
def test_a_bad_setting_is_one_line(settings: dict[str, object], words: str) -> None:
    x, lam = example()
    with pytest.raises(InputError, match=words):
        resized_crop(x, lam, **settings)  # type: ignore[arg-type]  # the point of the test
