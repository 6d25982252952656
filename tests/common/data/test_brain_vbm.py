"""A non-linear registration moves grey matter and keeps its amount."""

import sys

import numpy as np
import pytest

from common.checks import InputError
from common.data.brain_t1.template import template
from common.data.brain_t1.vbm import grey_matter


def test_modulated_grey_matter_lies_nearer_to_the_template_and_keeps_its_amount() -> None:
    pytest.importorskip("ants")
    target = template(3.0)
    aside = np.roll(target.t1, 2, axis=1), np.roll(target.tissues, 2, axis=2)
    moved = grey_matter(aside[0], aside[0] > 0, aside[1], target)
    assert abs(float(moved.sum() / target.tissues[0].sum()) - 1) < 0.02
    before, after = (
        np.corrcoef(image.ravel(), target.tissues[0].ravel())[0, 1]
        for image in (aside[1][0], moved)
    )
    assert after > before + 0.05


@pytest.mark.bad_input("options")
def test_without_antspyx_vbm_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ants", None)
    target = template(3.0)
    with pytest.raises(InputError, match="antspyx must be installed"):
        grey_matter(target.t1, target.brain, target.tissues, target)
