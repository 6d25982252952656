"""A model.json that was edited is refused at every door; an earlier version's can be sealed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import common
from common.__main__ import main
from common.checks import InputError
from common.deploy import LoadModel, TrainedModel, load
from common.deploy.pack import pack
from tests.commands import ROOT
from tests.models import SLICES, deployed, written_record

EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "size": lambda record: record["dials"].update(image_size=24),
    "classes": lambda record: record.update(classes=["lesion", "clear"]),
    "config": lambda record: record["config"].update(normalise=False),
    "weights": lambda record: record.update(weights="0" * 16),
    "fitted": lambda record: record.pop("head_fitted"),
}
EARLIER = ("weights", "facts")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return deployed(tmp_path / "models")


def edited(models: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = models / "model.json"
    edit(record := json.loads(path.read_text()))
    path.write_text(json.dumps(record))


@pytest.mark.bad_input("weights")
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_record_is_refused(models: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    edited(models, edit)
    with pytest.raises(InputError, match="must be as it was written, got one that was edited"):
        load(SLICES, models)


@pytest.mark.bad_input("weights")
@pytest.mark.parametrize("name", EARLIER)
def test_a_record_without_its_digests_is_refused_with_the_cure(models: Path, name: str) -> None:
    edited(models, lambda record: record.pop(name))
    with pytest.raises(InputError, match=r"earlier version.*python -m common seal"):
        load(SLICES, models)


@pytest.mark.bad_input("weights")
def test_every_door_refuses_an_edited_record(models: Path, tmp_path: Path) -> None:
    edited(models, EDITS["size"])
    model = TrainedModel(SLICES, ROOT / "bundles" / SLICES, models / "model.pt")
    doors: list[Callable[[], Any]] = [
        lambda: model["image_size"],
        model.network,
        lambda: common.load(SLICES, models),
        lambda: LoadModel(models / "model.pt", model.network(), SLICES),
        lambda: pack(SLICES, tmp_path, weights=models),
        lambda: main(["embed", SLICES, "x.png", "--output", "out", "--weights", str(models)]),
        lambda: main(["release", SLICES, str(models)]),
    ]
    for door in doors:
        with pytest.raises(InputError, match="must be as it was written"):
            door()


@pytest.mark.bad_input("weights")
def test_classes_of_another_number_than_the_outputs_are_refused(models: Path) -> None:
    record = json.loads((models / "model.json").read_text())
    written_record(models, record | {"classes": ["a", "b", "c"]})
    with pytest.raises(InputError, match=r"classes must name each of the 1 outputs .*, got 3"):
        load(SLICES, models).names  # noqa: B018  # a property


def test_a_sealed_record_of_an_earlier_version_is_as_if_written_now(models: Path) -> None:
    before = json.loads((models / "model.json").read_text())
    edited(models, lambda record: [record.pop(name) for name in EARLIER])
    assert main(["seal", str(models)]) == 0
    assert json.loads((models / "model.json").read_text()) == before
    load(SLICES, models)


@pytest.mark.bad_input("weights")
def test_what_was_edited_or_is_of_other_weights_is_not_sealed(models: Path) -> None:
    edited(models, EDITS["classes"])
    with pytest.raises(InputError, match="must be as it was written"):
        main(["seal", str(models)])
    edited(models, lambda record: [record.pop("facts"), record.update(weights="0")])
    with pytest.raises(InputError, match="must speak of the weights beside it"):
        main(["seal", str(models)])
