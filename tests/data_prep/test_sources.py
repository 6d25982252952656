"""Every folder of ``data_prep`` but the machinery is a source, without a list to keep."""

import re
from pathlib import Path

import pytest

import data_prep
from data_prep.__main__ import SOURCES

ROOT = Path(data_prep.__file__).parent
FOLDERS = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def test_every_folder_beside_the_machinery_is_a_command() -> None:
    assert set(SOURCES) == FOLDERS - {"machinery"}


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_enters_the_machinery_by_its_door(source: str) -> None:
    text = "".join(path.read_text() for path in (ROOT / source).glob("*.py"))
    assert re.findall(r"(?m)^from data_prep\.machinery\.\w+ import .*", text) == []
    assert {"add_arguments", "plan"} <= set(SOURCES[source].__all__)
