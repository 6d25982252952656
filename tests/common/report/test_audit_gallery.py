import re

import numpy as np

from common.report.audit.gallery import Detail, Shown, Strip, cuts, strip_row
from common.report.charts import outline


def test_an_outline_runs_along_the_borders_of_the_lesion() -> None:
    inside = np.zeros((4, 4), bool)
    inside[1:3, 1:4] = True
    assert outline(inside) == "M1 1h3M1 3h3M1 1v2M4 1v2"


def test_a_volume_is_cut_three_times_through_its_lesion() -> None:
    volume, mask = np.zeros((1, 8, 9, 10)), np.zeros((8, 9, 10), bool)
    mask[1, 2, 3] = True
    volume[0, 1, 2, 3] = 1
    row = str(strip_row(Strip("blur", Shown(volume, mask), (Shown(volume, mask),)), Detail(10, 50)))
    planes = cuts(Shown(volume, mask), (1, 2, 3))
    assert [plane.shape for plane, _ in planes] == [(1, 10, 9), (1, 10, 8), (1, 9, 8)]
    assert all(plane.max() == 1 and marked is not None and marked.any() for plane, marked in planes)
    assert row.count('class="lesion"') == 6


def test_a_row_says_where_less_than_half_of_the_lesion_is_left() -> None:
    image = np.random.default_rng(0).random((3, 40, 40))
    steps = (Shown(image, words="weak", kept=0.5), Shown(image, words="strong <b>", kept=0.123))
    row = str(strip_row(Strip("crop", Shown(image), steps), Detail(20, 50)))
    assert row.count("lesion lost") == 1
    assert "12 % left" in row
    assert "strong &lt;b&gt;" in row
    assert set(re.findall(r'viewBox="([^"]+)"', row)) == {"0 0 20 20"}
