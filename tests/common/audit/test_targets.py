"""Columns of what is known of images, as classes."""

from typing import Any

import numpy as np
import pytest

from common.audit.images import from_arrays
from common.audit.targets import attributes, coded, label_of, left_out


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


def test_a_class_of_one_patient_is_left_out_and_the_others_are_asked_for() -> None:
    label, patient = [0, 0, 1, 2, 2, 2, 0], ["a", "b", "c", "d", "e", "e", "a"]
    columns = {"label": label, "patient": patient, "site": label}
    images = from_arrays(np.zeros((7, 1, 8, 8)), columns)
    found = label_of(images)
    assert found is not None
    assert (found.values, found.rows.tolist()) == (("0", "2"), [0, 1, 3, 4, 5, 6])
    assert found.code.tolist() == [0, 0, 1, 1, 1, 0]
    assert left_out(images, found) == "label: “1” has but one patient and was left out."
    assert attributes(images, "label")[1][0] == "site: “1” has but one patient and was left out."
