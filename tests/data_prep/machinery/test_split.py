"""Splits are by patient, seeded, and leave something to train on."""

import pytest

from data_prep.machinery.split import Entry, split_by_share, split_by_test_size


def entries(patients: int, images: int) -> list[Entry]:
    return [
        {"image": f"{p}/{i}", "patient": f"p{p}"} for p in range(patients) for i in range(images)
    ]


def patients_of(part: list[Entry]) -> set[str]:
    return {entry["patient"] for entry in part}


def assert_disjoint(parts: dict[str, list[Entry]], total: int) -> None:
    sets = [patients_of(part) for part in parts.values()]
    assert sum(len(s) for s in sets) == len(set().union(*sets)) == total


def test_shares_are_of_patients_and_folds_are_even() -> None:
    parts = split_by_share(entries(60, 3), seed=0)
    assert {k: len(patients_of(v)) for k, v in parts.items()} == {
        "training": 36,
        "validation": 6,
        "test": 18,
    }
    assert_disjoint(parts, 60)
    for fold in range(3):
        assert len(patients_of([e for e in parts["test"] if e["fold"] == fold])) == 6


def test_test_sets_hold_whole_patients_up_to_their_size() -> None:
    parts = split_by_test_size(entries(100, 60), seed=0, test_size=300)
    assert_disjoint(parts, 100)
    for fold in range(3):
        members = [e for e in parts["test"] if e["fold"] == fold]
        assert len(members) == 300
        assert len(patients_of(members)) == 5
    assert len(patients_of(parts["validation"])) == round(0.1 * 85)


def test_small_inputs_give_at_most_a_tenth_to_each_test_set() -> None:
    parts = split_by_test_size(entries(20, 60), seed=0, test_size=1000)
    for fold in range(3):
        assert len(patients_of([e for e in parts["test"] if e["fold"] == fold])) == 2


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_some_patient_is_always_left_for_training(count: int) -> None:
    for parts in (
        split_by_test_size(entries(count, 4), seed=0, test_size=1000),
        split_by_share(entries(count, 4), seed=0),
    ):
        assert parts["training"]
        assert_disjoint(parts, count)


def test_seeds_give_different_splits_and_order_does_not_matter() -> None:
    data = entries(30, 1)
    first = split_by_share(data, seed=0)
    assert patients_of(split_by_share(data[::-1], seed=0)["test"]) == patients_of(first["test"])
    assert patients_of(split_by_share(data, seed=1)["test"]) != patients_of(first["test"])


def test_a_rare_class_is_in_every_part_where_it_has_three_patients() -> None:
    sizes = {0: 3, 1: 6, 2: 2}
    data = [{"patient": f"{k}-{n}", "label": k} for k, count in sizes.items() for n in range(count)]
    parts = split_by_share(data, seed=0, validation=0.1, test=0.2, even=True)
    counts = {part: [[e["label"] for e in parts[part]].count(k) for k in sizes] for part in parts}
    assert counts == {"training": [1, 4, 2], "validation": [1, 1, 0], "test": [1, 1, 0]}
