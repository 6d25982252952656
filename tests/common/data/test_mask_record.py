"""A mask goes with the model as text."""

from typing import Any

import numpy as np
import pytest

from common.checks import InputError
from common.data.mask_record import mask_of, mask_record


def test_a_mask_comes_back_as_it_was() -> None:
    mask = np.random.default_rng(0).random((5, 7, 3)) > 0.5
    record = mask_record(mask)
    assert record["shape"] == [5, 7, 3]
    np.testing.assert_array_equal(mask_of(record, "model.json"), mask)


@pytest.mark.bad_input("weights")
@pytest.mark.parametrize(
    "change",
    [
        {"shape": [5, 7]},
        {"shape": [5, 7, 10**9]},
        {"shape": [50, 70, 3]},
        {"shape": "abc"},
        {"bits": "?"},
        {"bits": None},
        {"bits": mask_record(np.zeros((5, 7, 3), bool))["bits"]},
    ],
    ids=repr,
)
def test_what_is_no_mask_is_one_line(change: dict[str, Any]) -> None:
    record = {**mask_record(np.ones((5, 7, 3), bool)), **change}
    with pytest.raises(InputError, match=r"model\.json: mask must h"):
        mask_of(record, "model.json")
