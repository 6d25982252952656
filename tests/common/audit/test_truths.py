"""What is known to be so is found: lesions out of the window, a painted site, a mirrored label."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from common.audit import Audit, audit
from common.policies import EachWithProbability
from common.transforms import Composition

Array = NDArray[np.float32]
SIDE = 32
PATIENT = np.repeat(np.arange(60), 2)


def noise(count: int = 120, channels: int = 1) -> Array:
    rng = np.random.default_rng(0)  # of each call: no test draws for the next
    return np.float32(0.4 + 0.05 * rng.standard_normal((count, channels, SIDE, SIDE))).clip(0, 1)


def with_lesions() -> tuple[Array, Array, NDArray[np.intp]]:
    """Bright discs at random places in every second image."""
    x, label = noise(), np.arange(120) % 2
    row, column = np.mgrid[:SIDE, :SIDE]
    mask, rng = np.zeros_like(x), np.random.default_rng(1)
    for number in np.flatnonzero(label):
        centre = rng.integers(4, SIDE - 4, 2)
        mask[number, 0] = (row - centre[0]) ** 2 + (column - centre[1]) ** 2 <= 9
    return np.where(mask > 0, 0.9, x).astype(np.float32), mask, label


def counted(mask: Array, draws: int = 200) -> float:
    """Share of windows that keep half of the disc, counted pixel by pixel without the library."""
    kept, half, pixel, rng = [], SIDE / 8, np.arange(SIDE), np.random.default_rng(2)
    for lesion in mask[mask.any(axis=(1, 2, 3)), 0]:
        for centre in rng.uniform(0, SIDE, (draws, 2)):
            rows, columns = (1 / (1 + np.exp(np.abs(pixel - c) - half)) for c in centre)
            window = np.minimum(rows[:, None], columns)
            kept.append((lesion * window).sum() >= 0.5 * lesion.sum())
    return float(np.mean(kept))


@pytest.mark.slow
def test_a_crop_removes_as_many_lesions_as_are_counted() -> None:
    x, mask, label = with_lesions()
    columns = {"label": label, "patient": PATIENT}
    found = audit(x, [Composition(["crop"])], columns=columns, mask=mask, views=8).sets[0]
    assert found.lesions is not None
    assert found.lesions.kept.low <= counted(mask) <= found.lesions.kept.high
    assert found.proposal is None or found.proposal.left_out == ("crop",)


def painted(order: list[str]) -> Audit:
    """Images whose site is their brightness, and whose label is a square in the middle."""
    x, label, site = noise(channels=3), np.arange(120) % 2, np.arange(120) // 2 % 3
    x[label == 1, :, 12:20, 12:20] += 0.3
    x = (x * np.array([0.94, 0.97, 1.0])[site][:, None, None, None]).clip(0, 1)
    columns = {"label": label, "patient": PATIENT, "site": site}
    settings = {"mirror": {"axes": [1]}, "color_jitter": {"brightness": 0.9, "contrast": 0.9}}
    own = {name: settings[name] for name in order}
    transform = Composition(order, settings=own)
    policy = EachWithProbability(1.0, transform.sizes)
    return audit(x.astype(np.float32), [(policy, transform)], columns=columns)


@pytest.mark.slow
def test_a_site_painted_as_brightness_is_a_shortcut_until_intensities_change() -> None:
    (weak,), (strong,) = (
        [s for s in painted(order).sets[0].shortcuts if s.attribute == "site"]
        for order in (["mirror"], ["mirror", "color_jitter"])
    )
    assert weak.remains
    assert weak.transformed.value > 0.95
    assert not strong.remains


@pytest.mark.slow
def test_a_flip_of_a_label_that_is_left_or_right_is_named_as_destroying_it() -> None:
    x, label = noise(), np.arange(120) % 2
    x[label == 0, :, 8:24, 2:10] += 0.3
    x[label == 1, :, 8:24, 22:30] += 0.3
    transform = Composition(["mirror", "blur"], settings={"mirror": {"axes": [1]}})
    policy = EachWithProbability(0.5, transform.sizes)
    columns = {"label": label, "patient": PATIENT}
    found = audit(x.clip(0, 1), [(policy, transform)], columns=columns).sets[0]
    assert found.label is not None
    assert found.label.kept.high < 0.5
    assert sorted(found.label.losers) == ["0", "1"]
    mirror, blur = found.parts
    assert mirror.label_kept is not None
    assert blur.label_kept is not None
    assert mirror.label_kept.high < 0.5 < 0.95 < blur.label_kept.value
    flipped, blurred = (scan.strongest for scan in found.scans)
    assert flipped in (None, 0)  # 1 in 20 images at most
    assert blurred == 3


def test_the_global_generator_is_left_as_it_was() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    x = noise(12)
    audit(x, [Composition(["blur"])], columns={"label": np.arange(12) % 2})
    assert torch.equal(before, torch.get_rng_state())
