"""Pictures of where a vision transformer looked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from common.checks import InputError
from common.deploy import SaveAttention
from common.deploy.attention import attention_overlay, write_overlay
from common.networks import ConvEncoder, ImageClassifier, StandardizedEncoder, VisionTransformer


def network() -> ImageClassifier:
    torch.manual_seed(0)
    vit = VisionTransformer(8, 4, 3, 6, 2, 2)
    return ImageClassifier(StandardizedEncoder(vit, [0.5] * 3, [0.2] * 3), 6).eval()


def predict(model: ImageClassifier, folder: Path, names: list[str], slices: list[int]) -> Any:
    """View one batch of images of 8 by 12 pixels, as a predictor does."""
    image = torch.rand(len(names), 3, 8, 12, generator=torch.Generator().manual_seed(1))
    view = SaveAttention(folder, model)
    with torch.no_grad():
        model(image)
    view([{"name": n, "slice": s} for n, s in zip(names, slices)], image)
    return image


def test_the_strongest_weight_is_tinted_and_no_weight_leaves_the_image() -> None:
    image = torch.tensor([0.2, 0.4, 1.0]).reshape(3, 1, 1).expand(3, 4, 4)
    pixels = attention_overlay(image, torch.tensor([[0.0, 0.0], [0.0, 0.3]]))
    assert pixels.shape == (4, 4, 3)
    assert pixels[0, 0].tolist() == [51, 102, 255]
    assert pixels[3, 3].tolist() == [round(255 * v) for v in (0.4 * 0.2, 0.4 * 0.4 + 0.6, 1.0)]
    grey = attention_overlay(torch.full((1, 4, 4), 0.2), torch.zeros(2, 2))
    assert (grey == 51).all()


def test_every_image_has_a_picture_of_its_own_attention(tmp_path: Path) -> None:
    model = network()
    image = predict(model, tmp_path, ["a.png", "sub/b.nii.gz"], [-1, 3])
    vit = model.encoder.encoder
    observed = vit.attention((image - 0.5) / 0.2).mean(dim=1)
    for index, name in enumerate(("a.png.png", "sub/b.nii.gz_3.png")):
        with Image.open(tmp_path / "attention" / name) as picture:
            expected = attention_overlay(image[index], observed[index].detach())
            assert np.abs(np.asarray(picture).astype(int) - expected).max() <= 1


def test_pictures_stay_in_their_folder_whatever_the_name(tmp_path: Path) -> None:
    predict(network(), tmp_path / "out", ["/data/a.png", "../../b.png"], [-1, -1])
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    assert files == ["out/attention/b.png.png", "out/attention/data/a.png.png"]


def test_another_encoder_is_refused() -> None:
    with pytest.raises(InputError, match=r"must hold one VisionTransformer, got 0\. Leave"):
        SaveAttention("out", ImageClassifier(ConvEncoder(channels=(3,)), 3))


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("name", ["x" * 255, "λ" * 127, "../../x.png", "/", "a\nb\udcff.png"])
def test_a_picture_of_any_name_is_written_below_its_folder(tmp_path: Path, name: str) -> None:
    write_overlay(tmp_path / "in", {"name": name}, np.zeros((2, 2, 3), np.uint8))
    (picture,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert picture.suffix == ".png"
    assert picture.is_relative_to(tmp_path / "in")
    assert picture.name.isprintable()
