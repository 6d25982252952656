"""What a transformation is called, and what is said of the size of images."""

import dataclasses

import pytest
import torch

from common.audit.images import from_arrays
from common.audit.run_audit import size_notes
from common.audit.sets import as_set
from common.audit.strength import words_of
from common.report.audit.figures import setting_named
from common.transforms import Composition

STILL = {"degrees": 0, "shift": 0, "scale": 0}


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("crop", {}, "centre at the start to centre at the end (window of a quarter of the side)"),
        ("crop", {"half_width": 9}, "centre at the start to centre at the end (window of 18 px)"),
        ("cutout", {"size": 0.5}, "box at the start to box at the end (box of 50 % of the side)"),
        ("affine", {"degrees": 45, "shift": 0, "scale": 0}, "−45° to 45°"),
        (
            "affine",
            {"degrees": 9, "shift": 0, "scale": 0, "shear": 22.5},
            "−9° to 9° (sheared by up to 22.5° either way)",
        ),
        ("affine", {**STILL, "shear": 5}, "sheared by up to 5° either way"),
        ("mirror", {"axes": [1]}, "left–right"),
        ("mirror", {}, "up–down or left–right"),
        ("blur", {"min_sigma": 0, "max_sigma": 0.5}, "0 px to 0.5 px"),
        ("blur", {"min_sigma": 0, "max_sigma": 0}, "0 px"),
    ],
)
def test_a_setting_says_how_much_and_no_signed_zeros(
    name: str, settings: dict[str, float], words: str
) -> None:
    assert words_of(name, settings, 1.0) == f"{name} {words}"


def test_a_proposal_is_named_as_the_page_names_transformations() -> None:
    assert setting_named("flip_0 none to full") == "flip up–down none to full"
    assert setting_named("rotate 0° to 360°") == "rotation 0° to 360°"


def test_mixed_sizes_of_sets_and_enlarged_images_are_told() -> None:
    given = as_set(Composition(["blur"], 2), "a")
    sets = [dataclasses.replace(given, name=f"set {side}", image_size=side) for side in (32, 64)]
    held = dataclasses.replace(from_arrays(torch.rand(4, 1, 32, 32)), stored_side=16)
    assert size_notes(sets, held) == [
        "Images have 32 pixels on their longer side here, for all sets, whose settings were made "
        "to fit; their configurations have: 32 pixels (set 32) and 64 pixels (set 64).",
        "Images of 16 pixels on their longer side were enlarged to 32: views show no more detail "
        "than those have.",
    ]
    assert size_notes(sets[:1], dataclasses.replace(held, stored_side=32)) == []
