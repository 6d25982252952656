"""A table of features becomes stacks with age and site, and new people are read by it."""

from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from common.checks import InputError
from common.data import StackDataset, feature_count, read_manifest
from common.data.feature_table import feature_rows
from data_prep.__main__ import main

PARTS = ("training", "validation", "test")
SPLITS = ("training", "validation", "internal", "external")


def prepare(source: Path, target: Path, *options: str) -> int:
    folders = ["--source", str(source), "--target", str(target), "--workers", "1"]
    return main(["table", *folders, *options])


def rows(count: int = 40) -> list[list[str]]:
    """Ids with zeros, sites a, b, c and their numbers, two features, a constant one, a text."""
    rng = np.random.default_rng(0)
    actual = [["ID", "Age", "Site", "sitenum", "Left", "Right", "const", "note"]]
    for k in range(count):
        left, right = rng.normal(size=2).round(3)
        site = k % 3
        actual.append(
            [f"{k:03d}", f"{20 + k}", "abc"[site], f"{site}", f"{left}", f"{right}", "1", "x"]
        )
    return actual


def write(path: Path, cells: list[list[str]], separator: str = ",", mark: str = "") -> Path:
    path.write_text("\n".join(separator.join(row) for row in cells), encoding=mark or "utf-8")
    return path


def test_external_sites_are_tested_and_never_trained_on(tmp_path: Path) -> None:
    source = write(tmp_path / "t.csv", rows())
    assert prepare(source, tmp_path / "out", "--id", "ID", "--external-sites", "c") == 0
    manifest = read_manifest(tmp_path / "out")
    assert manifest["classes"]["site"] == ["a", "b", "c"]
    sites = {s: {e["site"] for p in PARTS for e in manifest[p] if e["split"] == s} for s in SPLITS}
    assert sites == {"training": {0, 1}, "validation": {0, 1}, "internal": {0, 1}, "external": {2}}
    assert "001" not in {e["patient"] for p in PARTS for e in manifest[p]}


def test_features_are_numbers_that_vary_and_tell_neither_site_nor_age(
    tmp_path: Path, capsys: Any
) -> None:
    cells = [[*row, "months" if not k else str(12 * int(row[1]))] for k, row in enumerate(rows())]
    assert prepare(write(tmp_path / "t.csv", cells), tmp_path / "out", "--id", "id") == 0
    assert read_manifest(tmp_path / "out")["features"]["names"] == ["left", "right"]
    message = capsys.readouterr().out
    for column, why in (
        ("sitenum", "site"),
        ("months", "age"),
        ("const", "same"),
        ("note", "than"),
    ):
        assert any(f"({column})" in line and why in line for line in message.splitlines())


def test_the_same_rows_come_from_commas_semicolons_and_a_sheet_beside_another(
    tmp_path: Path,
) -> None:
    cells = rows()
    german = [[cell.replace(".", ",") for cell in row] for row in cells]
    sources = [
        write(tmp_path / "a.csv", cells),
        write(tmp_path / "b.csv", german, ";", "utf-8-sig"),
    ]
    book = openpyxl.Workbook()
    book.active.append(["about", "this table"])
    sheet = book.create_sheet("data")
    for row in cells:
        sheet.append(row)
    book.save(tmp_path / "c.xlsx")
    read = []
    for source in (*sources, tmp_path / "c.xlsx"):
        named = ("--id", "id", "--columns", "left", "r*")
        assert prepare(source, tmp_path / source.stem, *named) == 0
        dataset = StackDataset(tmp_path / source.stem, "training", ["age"])
        read.append(dataset.__getitems__([0, 1, 2]))
    for other in read[1:]:
        assert other["image"].equal(read[0]["image"])
        assert other["age"].equal(read[0]["age"])


def test_missing_values_become_the_median_of_the_training_rows(tmp_path: Path) -> None:
    cells = rows()
    cells[3][4] = "NA"
    options = ("--id", "id", "--test", "0", "--validation", "0")
    assert prepare(write(tmp_path / "t.csv", cells), tmp_path / "out", *options) == 0
    median = np.median([float(row[4]) for k, row in enumerate(cells) if k not in (0, 3)])
    assert read_manifest(tmp_path / "out")["features"]["fill"][0] == pytest.approx(median)
    filled = StackDataset(tmp_path / "out", "training")[2]["image"]
    assert filled[0] == pytest.approx(median)
    assert feature_count(tmp_path / "out") == 2


def test_new_people_are_matched_by_name_and_called_by_their_line(tmp_path: Path) -> None:
    record = {"names": ["left", "right"], "fill": [5.0, 7.0], "others": ["id", "age"], "age": "age"}
    cells = [["Right", "AGE", "Left"], ["2", "61", ""], ["", "", ""], ["x", "1", "1"]]
    table = write(tmp_path / "n.csv", cells)
    one, two = feature_rows(table, record)
    assert one["name"] == "n.csv, line 2"
    assert one["age"] == 61
    np.testing.assert_array_equal(one["image"], [5, 2])
    assert "right must be a number" in two["reason"]


@pytest.mark.bad_input("tables")
@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["left"], "got no right"),
        (["left", "right", "shoe"], "no others, got shoe"),
        (["left", "Right", "RIGHT"], "got no right"),
    ],
)
def test_missing_and_extra_columns_of_new_people_are_named(
    tmp_path: Path, header: list[str], words: str
) -> None:
    record = {"names": ["left", "right"], "fill": [0.0, 0.0], "others": ["id"], "age": ""}
    table = write(tmp_path / "n.csv", [header, ["1"] * len(header)])
    with pytest.raises(InputError, match=words):
        feature_rows(table, record)


def changed(place: tuple[int, int], cell: str) -> list[list[str]]:
    cells = rows()
    cells[place[0]][place[1]] = cell
    return cells


BAD: dict[str, tuple[list[list[str]], tuple[str, ...], str]] = {
    "no column": (rows(), ("--age", "years"), "got no years"),
    "two ages": (changed((0, 3), "AGE"), (), "got no age"),
    "age in words": (changed((2, 1), "old"), (), "line 3: age must be a number of years"),
    "no id": (changed((2, 0), ""), ("--id", "id"), "line 3: id must say who it is"),
    "no site": (rows(), ("--external-sites", "z"), "must be sites of t.csv (a, b, c), got z"),
    "all sites": (rows(), ("--external-sites", "a", "b", "c"), "must leave a site"),
    "both": (changed((2, 0), "000"), ("--id", "id", "--external-sites", "b"), "--id SITE ID"),
    "text": (rows(), ("--columns", "left", "note"), "line 2: note must be a feature"),
    "unknown": (rows(), ("--columns", "left", "age"), "got age"),
    "missing": (changed((2, 4), "nan"), ("--columns", "left", "--missing", "0"), "missing in too"),
    "share": (rows(), ("--test", "0.5", "--validation", "0.5"), "must leave patients"),
    "classes": (rows(), ("--negative", "x"), "--negative must be left out"),
}


@pytest.mark.bad_input("tables")
@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_ends_in_one_line(tmp_path: Path, capsys: Any, case: str) -> None:
    cells, options, words = BAD[case]
    given = options if case != "missing" else (*options, "--test", "0", "--validation", "0")
    assert prepare(write(tmp_path / "t.csv", cells), tmp_path / "out", *given) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.bad_input("tables")
def test_a_folder_or_two_fitting_sheets_are_refused(tmp_path: Path, capsys: Any) -> None:
    assert prepare(tmp_path, tmp_path.with_name("out"), "--age", "age") == 2
    assert "source must be a table" in capsys.readouterr().err
    book = openpyxl.Workbook()
    for sheet in (book.active, book.create_sheet("two")):
        for row in rows():
            sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    assert prepare(tmp_path / "t.xlsx", tmp_path / "out", "--age", "age") == 2
    assert "one sheet must hold the table" in capsys.readouterr().err


def test_a_row_without_an_age_is_listed_and_left_out(tmp_path: Path) -> None:
    source = write(tmp_path / "t.csv", changed((2, 1), "-9"))
    assert prepare(source, tmp_path / "out", "--id", "id") == 0
    (line,) = read_manifest(tmp_path / "out")["skipped"]
    assert "has no age in years" in line["reason"]
