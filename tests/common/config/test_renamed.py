"""An old name is refused with the new one, wherever it stands."""

import json
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest

from common.checks import InputError
from common.config import check, run_command
from common.config.renamed import DIALS, OVERLAYS, TARGETS, check_record, new_name
from tests.commands import ROOT

CONFIGS = sorted((ROOT / "bundles").glob("*/configs/train.json"))


PAIRS = [(old, new) for old, names in DIALS.items() for new in names]


def train_json_with(old: str, new: str) -> tuple[Path, dict[str, Any]]:
    """The first train.json in which `old` became `new`."""
    contents = ((path, json.loads(path.read_text())) for path in CONFIGS)
    return next((path, c) for path, c in contents if new_name(old, c["limits"]) == new)


@pytest.mark.bad_input("configuration")
@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_an_old_dial_is_refused_with_its_new_name(old: str, new: str) -> None:
    path, content = train_json_with(old, new)
    with pytest.raises(InputError) as refusal:
        check({**content, "bundle_root": str(path.parents[1]), old: "_2"}, [path])
    words = str(refusal.value).replace("'", "")
    assert old in words
    assert f"is {new} now." in words


@pytest.mark.bad_input("configuration")
@pytest.mark.parametrize("old", OVERLAYS)
def test_an_old_overlay_is_refused_with_its_new_name(old: str) -> None:
    (path,) = (ROOT / "bundles").glob(f"*/configs/{OVERLAYS[old]}.json")
    with pytest.raises(InputError, match=f"It is {OVERLAYS[old]}.json now"):
        check({}, [path.with_name("train.json"), path.with_name(f"{old}.json")])
    files = f"['{path.with_name('train.json')}','{path.with_name(old)}.json']"
    with pytest.raises(InputError, match=f"It is {OVERLAYS[old]}.json now"):
        run_command.main(["--config_file", files])


@pytest.mark.bad_input("configuration")
@pytest.mark.parametrize("old", TARGETS)
def test_an_old_class_is_refused_with_its_new_name(old: str) -> None:
    with pytest.raises(InputError, match=f"got {old}, which is {TARGETS[old]} now"):
        check({"bundle_root": ".", "network": {"_target_": old}}, [])
    assert callable(locate(TARGETS[old]))


@pytest.mark.bad_input("run")
def test_a_record_with_old_names_is_refused_and_one_with_new_names_is_not() -> None:
    with pytest.raises(
        InputError, match=r"run.json: .* got the dial 'formula', which is 'variant'"
    ):
        check_record({"run_suffix": "", "formula": "paper"}, "run.json")
    check_record({"run_suffix": "", "variant": "paper"}, "run.json")
