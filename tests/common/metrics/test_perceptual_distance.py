"""LPIPS: what it is shown, and what is said where it is not installed."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.metrics import perceptual_distance


def squared(first: Tensor, second: Tensor) -> Tensor:
    assert first.shape[1] == 3
    assert -1 <= float(first.min()) <= float(first.max()) <= 1
    return (first - second).square().mean(dim=(1, 2, 3), keepdim=True)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_mean_is_over_images_shown_as_rgb_from_minus_one_to_one(channels: int) -> None:
    first, second = torch.rand(70, channels, 4, 4), torch.rand(70, channels, 4, 4)
    shown = slice(0, 3 if channels >= 3 else 1)
    wanted = 4 * (first - second)[:, shown].square().mean()
    assert perceptual_distance(first, second, squared) == pytest.approx(float(wanted), rel=1e-5)
    assert perceptual_distance(first, first, squared) == 0


def without_weights(**_: Any) -> None:
    raise OSError("no route\nto host")


@pytest.mark.bad_input("metrics")
@pytest.mark.parametrize(
    ("module", "reason"),
    [(None, "import of lpips halted"), (SimpleNamespace(LPIPS=without_weights), "no route to")],
)
def test_a_missing_package_or_weights_is_one_line_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, module: Any, reason: str
) -> None:
    monkeypatch.setitem(sys.modules, "lpips", module)
    with pytest.raises(InputError, match=rf"lpips must be there .*{reason}.* pip install lpips"):
        perceptual_distance(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4))


@pytest.mark.bad_input("metrics")
def test_volumes_and_other_shapes_are_refused() -> None:
    for shape in ((2, 1, 4, 4, 4), (2, 1, 5, 4)):
        with pytest.raises(InputError, match=r"^perceptual_distance: first and second must be"):
            perceptual_distance(torch.rand(shape), torch.rand(2, 1, 4, 4), squared)
