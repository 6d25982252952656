import re
from dataclasses import replace

import numpy as np

from common.report.audit.gallery import Detail, Shown, Strip, looks, strip_row
from common.report.charts import outline
from tests.common.audit.example import example_audit


def test_an_outline_runs_along_the_borders_of_the_lesion() -> None:
    inside = np.zeros((4, 4), bool)
    inside[1:3, 1:4] = True
    assert outline(inside) == "M1 1h3M1 3h3M1 1v2M4 1v2"


def test_three_cuts_stand_below_each_other_and_are_drawn_no_finer_than_asked() -> None:
    cuts = np.full((3, 40, 40, 1), 200, np.uint8)
    masks = np.zeros((3, 40, 40), bool)
    masks[:, 4:12, 4:12] = True
    strip = Strip("blur", Shown(cuts, masks, "as it is"), (Shown(cuts, masks, "2 <b>px"),))
    row = str(strip_row(strip, Detail(1, 20, 50)))
    assert row.count("<figure>") == 2
    assert row.count('class="lesion"') == 6
    assert "2 &lt;b&gt;px" in row
    assert set(re.findall(r'viewBox="([^"]+)"', row)) == {"0 0 20 20"}


def test_a_row_says_that_nothing_of_the_lesion_is_left() -> None:
    audit = example_audit()
    assert audit.pictures is not None
    masks = audit.pictures.sets[0].masks
    assert masks is not None
    masks[0, 1, 0, :, 30:] = False
    masks[0, 2] = False
    row = str(looks(audit, 0, Detail(2, 48, 50)))
    assert row.count("lesion gone") == 1
    assert 'id="set-1-scan-1"' in row


def test_a_lesion_is_gone_from_a_volume_where_none_of_three_cuts_shows_it() -> None:
    audit = example_audit()
    assert audit.pictures is not None
    one = audit.pictures.sets[0]
    assert one.masks is not None
    masks = np.repeat(one.masks, 3, axis=2)
    masks[0, 1, :2] = False
    masks[0, 2] = False
    cuts = {"views": np.repeat(one.views, 3, axis=2), "masks": masks}
    sets = (replace(one, **cuts), *audit.pictures.sets[1:])
    audit = replace(audit, pictures=replace(audit.pictures, sets=sets))
    assert str(looks(audit, 0, Detail(2, 48, 50))).count("lesion gone") == 1
