"""What an output depends on: maps in 2D and 3D, the nearest known images, a page of both."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import common
from common.__main__ import main
from common.checks import InputError
from common.deploy import Predictor, write_explanations
from common.deploy.attention import AttentionMap
from common.deploy.saliency import default_methods, saliency
from common.networks import ImageClassifier, VisionTransformer
from tests.models import BRAINS, SLICES, deployed
from tests.synthetic import ramp, write_picture

SIDE = 20


class Bright(nn.Module):
    """Two maps of an image, the brightness and its opposite, averaged over their places."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        self.maps = conv(1, 2, 1, bias=False)
        self.act = nn.ReLU(inplace=True)
        with torch.no_grad():
            self.maps.weight.copy_(torch.tensor([1.0, -1.0]).reshape(self.maps.weight.shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.maps(x)).flatten(2).mean(dim=2)


def bright(dims: int) -> tuple[ImageClassifier, Tensor]:
    """A network whose first output rises with brightness, and an image with a bright block."""
    network = ImageClassifier(Bright(dims), 2, 2).eval()
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[100.0, 0.0], [-100.0, 0.0]]))
    x = torch.full((1, 1, *[SIDE] * dims), 0.1)
    x[(slice(None), slice(None), *[slice(4, 8)] * dims)] = 1.0
    return network, x


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_a_map_is_strongest_where_the_output_comes_from(dims: int, method: str) -> None:
    network, x = bright(dims)
    found = saliency(network, x, 0, [method])[method]
    assert found.shape == (SIDE,) * dims
    place = np.unravel_index(found.argmax(), found.shape)
    assert all(4 <= at < 8 for at in place)
    assert found.max() > 2 * np.abs(np.median(found))


def test_occlusion_is_in_the_unit_of_the_output_and_keeps_its_sign() -> None:
    network, x = bright(3)
    raised, lowered = (saliency(network, x, k, ["occlusion"])["occlusion"] for k in (0, 1))
    covered = x.clone()
    covered[..., 4:8, 4:8, 4:8] = x.mean()
    with torch.no_grad():
        expected = (network(x) - network(covered))[0, 0].item()
    assert raised[5, 5, 5] == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(lowered, -raised, atol=1e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_smoothgrad_is_even_where_every_pixel_counts_alike_and_repeats_itself(dims: int) -> None:
    network, x = bright(dims)
    state = torch.get_rng_state()
    first, again = (saliency(network, x, 0, ["smoothgrad"])["smoothgrad"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first[(5,) * dims] == pytest.approx(first.max(), rel=1e-4)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.bad_input("model")
@pytest.mark.parametrize(
    ("shape", "methods", "told"),
    [((1, 7), ["occlusion"], "no pictures to explain"), ((1, 1, 8, 8), ["lime"], "must be of")],
)
def test_a_table_or_an_unknown_method_is_refused(shape: Any, methods: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        saliency(bright(2)[0], torch.zeros(shape), 0, methods)


@pytest.mark.bad_input("model")
def test_attention_needs_a_transformer_which_has_it_by_default() -> None:
    network, x = bright(2)
    assert default_methods(network) == ("gradcam", "occlusion")
    with pytest.raises(InputError, match="attention needs a vision transformer"):
        saliency(network, x, 0, ["attention"])


def test_attention_is_that_of_the_last_block_on_the_grid_of_the_image() -> None:
    torch.manual_seed(0)
    network = ImageClassifier(VisionTransformer(8, 4, 3, 6, 2, 2), 6).eval()
    x = torch.rand(1, 3, 8, 8)
    assert default_methods(network) == ("attention", "occlusion")
    with AttentionMap(network) as attention, torch.no_grad():
        network(x)
        (patches,) = attention.of(x).numpy()
    found = saliency(network, x, 0, ["attention"])["attention"]
    np.testing.assert_allclose(found[[0, 0, 7, 7], [0, 7, 0, 7]], patches.flatten(), atol=1e-6)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(4):
        write_picture(tmp_path / "in" / f"{number}.png", ramp(20, 24, 90 + 30 * number))
    (tmp_path / "in" / "2.png").write_bytes(b"broken")
    return tmp_path / "in"


def test_every_file_is_explained_or_has_a_reason(predictor: Predictor, images: Path) -> None:
    found = predictor.explain(images)
    assert [one.prediction.file for one in found] == ["0.png", "1.png", "2.png", "3.png"]
    assert [bool(one.prediction.reason) for one in found] == [False, False, True, False]
    assert found[0].prediction.values == predictor.predict(images / "0.png")[0].values
    assert found[0].output == "probability_lesion"
    assert {name: each.shape for name, each in found[0].maps.items()} == {
        "gradcam": (16, 16), "occlusion": (16, 16),
    }  # fmt: skip


def test_an_entry_is_explained_as_it_is_predicted(predictor: Predictor, images: Path) -> None:
    entry = {"image": str(images / "0.png"), "name": "A"}
    (explained,), (predicted,) = predictor.explain(entry, ["gradcam"]), predictor.predict(entry)
    assert explained.prediction.row() == pytest.approx(predicted.row())
    with pytest.raises(InputError, match="predict: paths must"):
        predictor.explain(7)


def test_the_nearest_known_image_is_a_copy_and_never_the_image_itself(
    predictor: Predictor, images: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "known" / "copy.png", ramp(20, 24, 90))
    (one,) = predictor.explain(images / "0.png", ["gradcam"], [tmp_path / "known", images])
    assert one.near[0].prediction.file.endswith("copy.png")
    assert one.near[0].likeness == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(one.near[0].image, one.image)
    assert len(one.near) == 3  # not itself, and not the broken one


def test_a_page_holds_the_pictures_and_fetches_nothing(
    model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", SLICES, str(images), "--weights", str(model), "--output", str(tmp_path)]
    assert main([*words, "--among", str(images)]) == 3
    assert "explanations.html: 3 images explained, 1 left out" in capsys.readouterr().out
    page = (tmp_path / "explanations.html").read_text()
    assert page.count("data:image/png;base64,") == 3 * 3 + 3 * 2  # and two neighbours each
    assert "2.png: " in page
    assert "<script" not in page
    assert "https://" not in page


def test_a_volumes_predicted_number_is_explained_on_three_cuts(tmp_path: Path) -> None:
    predictor = common.load(BRAINS, deployed(tmp_path / "models", BRAINS))
    x = torch.rand(1, 12, 14, 10)
    network = predictor.network
    maps = saliency(network, x[None], 0)
    assert {name: each.shape for name, each in maps.items()} == dict.fromkeys(
        ("gradcam", "occlusion"), (12, 14, 10)
    )


@pytest.mark.bad_input("model")
def test_a_page_of_too_many_images_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    found = predictor.explain([np.random.default_rng(0).random((1, 16, 16))], ["gradcam"])
    with pytest.raises(InputError, match=r"at most 20 images, got 21\. Give fewer"):
        write_explanations(found * 21, tmp_path, "T")
