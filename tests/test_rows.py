"""The page of every row of the papers, docs/rows.md: its table, the overlays, the results."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from common.config import check
from tests.commands import BUNDLES, ROOT


def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rows", ROOT / "docs" / "rows.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


ROWS = module()
CONTENT = ROWS.load()
TABLES = [table for paper in CONTENT["paper"] for table in paper["table"]]
NO_ROW = {"train", "inference", "metadata", "evaluate", "multi_gpu_train", "norm_group", "audit"}


def combinations(bundle: str) -> set[str]:
    rows = [row for table in TABLES for row in table["rows"] if row.get("bundle") == bundle]
    return {one for row in rows for one in ROWS.overlays(row)}


def test_the_page_is_what_the_table_and_the_results_files_make() -> None:
    assert ROWS.PAGE.read_text() == ROWS.page(CONTENT), "run python docs/rows.py"


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_every_overlay_of_a_bundle_stands_on_the_page(bundle: Path) -> None:
    named = {word for one in combinations(bundle.name) for word in one.split()}
    assert {path.stem for path in (bundle / "configs").glob("*.json")} - NO_ROW <= named


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_overlays_and_dials_of_a_row_go_together(bundle: Path) -> None:
    for one in sorted(combinations(bundle.name)):
        names, dials = split(one)
        files = [bundle / "configs" / f"{name}.json" for name in ("train", *names)]
        parser = ConfigParser(ConfigParser.load_config_files(files))
        parser.update({"bundle_root": str(bundle), **dials})
        check(dict(parser.get()), files)


def split(one: str) -> tuple[list[str], dict[str, Any]]:
    """Overlays, and dials given as ``--name value``."""
    names, *dials = one.split("--")
    pairs = [dial.split() for dial in dials]
    return names.split(), {name: DefaultParseValue(value) for name, value in pairs}


def test_every_results_file_named_is_one_and_is_used() -> None:
    rows = [row for table in TABLES for row in table["rows"]]
    used = {one.partition("#")[0] for row in rows for one in ROWS.references(row)}
    assert used == set(CONTENT["results"])
    for name, about in CONTENT["results"].items():
        assert list(ROWS.RESULTS.glob(f"{name}.json"))
        assert (ROOT / about["page"]).is_file()


def test_a_path_finds_the_entry_that_holds_its_keys() -> None:
    content = {"rows": [{"a": "x", "b": 1}, {"a": "x", "b": 2, "c": [3.0, 5.0]}]}
    assert list(ROWS._at(content, ["rows", "a=x,b=2", "c"])) == [[3.0, 5.0]]
    assert ROWS.spread([3.0, 5.0]) == "4.00 ± 1.41"


@pytest.mark.parametrize(
    "table", TABLES, ids=lambda table: re.sub(r"\W+", "_", table["title"])[:40]
)
def test_every_row_has_a_number_a_way_and_ours_or_the_reason(table: dict[str, Any]) -> None:
    for row in table["rows"]:
        assert row["row"]
        assert row["paper"]
        assert "overlays" in row or row.get("command")
        assert ROWS.references(row) or row.get("why") or row.get("note")
