"""Columns of what is known of images, as classes."""

from typing import Any

import numpy as np
import pytest

from common.audit.targets import coded


@pytest.mark.parametrize(
    ("column", "rows", "classes", "names"),
    [
        (np.array([np.nan, np.nan]), [], [], []),
        (np.array([None, None], dtype=object), [], [], []),
        (np.array(["b", None, "a"], dtype=object), [0, 2], [1, 0], ["a", "b"]),
        (np.array([3, None, 0, -1], dtype=object), [0, 2], [1, 0], ["0", "3"]),
    ],
    ids=["no age", "nothing", "texts", "numbers"],
)
def test_what_is_not_known_is_left_out(
    column: Any, rows: list[int], classes: list[int], names: list[str]
) -> None:
    found, code, values = coded(column)
    assert (found.tolist(), code.tolist(), values) == (rows, classes, names)


def test_a_label_has_as_many_classes_as_values_and_a_number_three() -> None:
    column = np.arange(100)
    assert len(coded(column, every=True)[2]) == 100
    assert coded(column)[2] == ["to 33", "to 66", "above 66"]
