"""Many entries in arrays are the entries of a list."""

from typing import Any

import numpy as np

from common.data.packed import FEW, packed


def entries(count: int) -> list[dict[str, Any]]:
    return [{"image": f"in/{number}.png", "name": str(number)} for number in range(count)]


def test_many_entries_are_those_of_the_list() -> None:
    listed = entries(FEW + 1)
    actual = packed(listed)
    assert actual is not listed
    assert list(actual) == listed
    assert [actual[-1], actual[5], *actual[3:5]] == [listed[-1], listed[5], *listed[3:5]]
    assert len(actual) == len(listed)


def test_a_few_and_images_in_memory_stay_a_list() -> None:
    few, arrays = entries(FEW), [{"image": np.zeros(2)}] * (FEW + 1)
    assert packed(few) is few
    assert packed(arrays) is arrays
