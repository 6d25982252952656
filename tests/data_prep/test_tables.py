"""Tables of any separator, and spreadsheets, are the same rows."""

import zipfile
from pathlib import Path

import pytest

from common.checks import InputError
from data_prep.tables import read_rows, read_table

NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET = f"""<worksheet xmlns="{NAMESPACE}"><sheetData>
<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="inlineStr"><is><t>Age</t></is></c></row>
<row r="2"><c r="A2"><v>7</v></c><c r="B2" t="s"><v>1</v></c><c r="C2"><v>61.5</v></c></row>
<row r="3"></row></sheetData></worksheet>"""
STRINGS = f"""<sst xmlns="{NAMESPACE}"><si><t>ID</t></si>
<si><r><t>l</t></r><r><t>eft</t></r></si></sst>"""


def book(path: Path, sheet: str = SHEET) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
        archive.writestr("xl/sharedStrings.xml", STRINGS)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_do_not_depend_on_the_separator(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"\ufeffID{separator} Age \n1{separator}60\n\n", encoding="utf-8")
    assert read_table(path, "id", "age") == [{"id": "1", "age": "60"}]


def test_a_spreadsheet_keeps_the_columns_of_its_cells(tmp_path: Path) -> None:
    assert read_rows(book(tmp_path / "a.xlsx")) == [["ID", "", "Age"], ["7", "left", "61.5"]]


@pytest.mark.parametrize("sheet", ["<broken", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'])
def test_a_bad_spreadsheet_is_one_line(tmp_path: Path, sheet: str) -> None:
    with pytest.raises(InputError, match=r"a.xlsx: must be a readable CSV or XLSX"):
        read_rows(book(tmp_path / "a.xlsx", sheet))


def test_a_missing_column_and_an_empty_table_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(InputError, match="must have the columns id, age, got no age"):
        read_table(tmp_path / "a.csv", "id", "age")
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(InputError, match="must have rows, got none"):
        read_rows(tmp_path / "b.csv")
