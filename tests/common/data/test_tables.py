"""Tables of any separator and encoding, and spreadsheets, are the same rows; others one line."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from common.checks import InputError
from common.data.tables import is_missing, number, read_rows, read_table

PEOPLE = [{"id": "007", "name": "Müller, A.", "age": "60,5"}]
TEXT = 'id;name;Age \n007;"Müller, A.";60,5\n\n'


def book(path: Path, *rows: list[Any], **sheets: list[list[Any]]) -> Path:
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    for title, others in sheets.items():
        sheet = made.create_sheet(title)
        for row in others:
            sheet.append(row)
    made.save(path)
    return path


def with_sheet(path: Path, rows: str) -> Path:
    """A workbook whose only sheet is the XML of `rows`."""
    book(path, ["id"])
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'<worksheet xmlns="{space}"><sheetData>{rows}</sheetData></worksheet>'
    members["xl/worksheets/sheet1.xml"] = rows.encode() if rows[:2] == "<!" else sheet.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("first", ["", "sep"])
def test_rows_do_not_depend_on_the_separator(tmp_path: Path, separator: str, first: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        (f"sep={separator}\n" if first else "") + f"id{separator} Age \n01{separator}60\n\n"
    )
    table = read_table(path, "id", "age")
    assert table == [{"id": "01", "age": "60"}]
    assert table[0].where == f"a.csv, line {3 if first else 2}"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]
)
def test_rows_do_not_depend_on_the_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode(encoding))
    assert read_table(path, "id", ("years", "age")) == PEOPLE


def test_a_spreadsheet_gives_what_its_cells_show(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", ["ID", None, "Age"], [7, "left", 61.5], [8.0, True, "#N/A"])
    made = openpyxl.load_workbook(path)
    made.active["A2"].number_format = "000"
    made.save(path)
    assert read_rows(path) == [["ID", "", "Age"], ["007", "left", "61.5"], ["8", "TRUE", ""]]


def test_of_several_sheets_the_one_with_the_columns_is_read(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", ["notes"], people=[["id", "age"], ["1", 60]])
    assert read_table(path, "id", "age") == [{"id": "1", "age": "60"}]


def test_numbers_are_ascii_with_point_or_comma_and_words_for_nothing_are_known() -> None:
    assert [number(text) for text in ("1", "1.0", "00", "-1,5", "1e1")] == [1, 1, 0, -1.5, 10]
    assert [number(text) for text in ("- 1", "\u2212 9", "1 2", "+")] == [-1, -9, None, None]
    assert {number(text) for text in ("²", "٣", "nan", "inf", "1e999", "1_0", "")} == {None}
    assert all(is_missing(text) for text in ("", " NA", "n/a", "NaN", "None", "NULL", "#N/A", "?"))
    assert not any(is_missing(text) for text in ("0", "no", "negative", "nasal"))


@pytest.mark.bad_input("tables")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('image,label\na.png,"0\nb.png,1\nc.png,1\n', "line 2.*[Qq]uotation"),
        ('image,label\na.png,"0\nb.png,"1"\nc.png,1\n', "line 2.*[Qq]uotation"),
        ('image,label\na.png,"0\nb.png,1"\nc.png,1\n', "line 2.*[Qq]uotation"),
        ('image,label\nz.png,1\n"a.png,0\n"b.png,1\n', "line 3.*[Qq]uotation"),
        ("image,label\na.png,0\nb.png\n", "line 3: must have 2 cells .* got 1"),
        ("image,label\na.png,0,5\n", "line 2: must have 2 cells .* got 3"),
        ("image,label,Label\na.png,0,1\n", "name of its own, got label"),
        ("image,label\n", "no row"),
        ("image,class\na.png,0\n", "must have the columns image, label, got no label"),
        ("", "must have rows, got none"),
        ("image,label\na.png,\0\n", "no text"),
    ],
    ids=[
        "never closed",
        "closed by the next row's",
        "closed at a row's end",
        "closed before a cell",
        "short row",
        "long row",
        "column twice",
        "header alone",
        "missing column",
        "empty",
        "binary",
    ],
)
def test_a_bad_csv_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=f"a.csv.*{words}") as error:
        read_table(tmp_path / "a.csv", "image", "label")
    assert "\n" not in str(error.value)


@pytest.mark.bad_input("tables")
@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        ("<broken", "readable CSV or XLSX"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "readable CSV or XLSX"),
        ('<row r="1"><c r="ZZZZZZ1"><v>1</v></c></row>', "readable CSV or XLSX"),
        ('<row r="1"><c r="XFD1"><v>1</v></c></row>', "at most .* columns"),
        ('<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>', "at most .* rows"),
        ("".join(f'<row r="{n}"><c r="A{n}"/></row>' for n in range(1, 12000)), "blank on end"),
        ('<row r="1"><c r="A1"><f>1+1</f></c></row>', "formula"),
        ('<row r="1"><c r="A1" t="e"><v>#REF!</v></c></row>', "#REF!"),
    ],
    ids=["no XML", "entities", "ZZZZZZ1", "XFD1", "far below", "blank rows", "formula", "error"],
)
def test_a_bad_spreadsheet_is_one_line(tmp_path: Path, sheet: str, words: str) -> None:
    path = with_sheet(tmp_path / "a.xlsx", sheet)
    with pytest.raises(InputError, match=f"a.xlsx.*{words}") as error:
        read_rows(path)
    assert "\n" not in str(error.value)


@pytest.mark.bad_input("tables")
def test_two_sheets_that_fit_a_folder_and_no_file_are_one_line(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", ["id"], ["1"], other=[["id"], ["2"]])
    with pytest.raises(InputError, match="one sheet must hold the table, got Sheet, other"):
        read_table(path, "id")
    os.mkfifo(tmp_path / "pipe.csv")
    words = ("got a folder", "got no such file", "got a folder or a pipe")
    files = (tmp_path, tmp_path / "none.csv", tmp_path / "pipe.csv")
    for missing, got in zip(files, words, strict=True):
        with pytest.raises(InputError, match=f"must be a readable CSV or XLSX table, {got}"):
            read_rows(missing)


def test_the_command_line_starts_without_the_libraries_of_tables() -> None:
    code = "import sys, data_prep.__main__; assert not {'pandas', 'openpyxl'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
