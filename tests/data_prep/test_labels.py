"""Every row of the CSV is checked, and a fault is one line that names it."""

from pathlib import Path

import pytest

from common.checks import InputError
from data_prep.labels import read_labels


def table_of(folder: Path, text: str) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(b"")
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_names_become_numbers_in_sorted_order(tmp_path: Path) -> None:
    text = "Image,Label,Age,Site\na.png,sick,95,Paris\nb.png,healthy,7.5,London\nc.png,,,\n"
    table = read_labels(table_of(tmp_path, text), tmp_path)
    assert table.classes == ["healthy", "sick"]
    assert table.sites == ["London", "Paris"]
    assert [row.entry for row in table.rows] == [
        {"label": 1, "age": 90, "site": 1},
        {"label": 0, "age": 7, "site": 0},
        {"label": -1},
    ]


def test_file_column_and_short_split_names_are_taken(tmp_path: Path) -> None:
    text = "file,label,split,patient,fold\na.png,0,train,x,\nb.png,1,VAL,y,\nc.png,1,test,z,2\n"
    rows = read_labels(table_of(tmp_path, text), tmp_path).rows
    assert [row.part for row in rows] == ["training", "validation", "test"]
    assert rows[2].entry["fold"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,label\na.png,0\ngone.png,1\n", "line 3.*gone.png"),
        ("image,label\na.png,0\na.png,1\n", "listed once.*a.png"),
        ("image,label,patient,split\na.png,0,x,train\nb.png,1,x,test\n", "patient x in training"),
        ("image,label,patient,fold\na.png,0,x,0\nb.png,1,x,1\n", "patient x in no split fold 0"),
        ("image,label,split\na.png,0,train\nb.png,1,\n", "every row or in none"),
        ("image,label,split\na.png,0,trian\n", "line 2.*trian"),
        ("image,label,age\na.png,0,old\n", "line 2: age.*old"),
        ("image,label,fold\na.png,0,3\n", r"fold must be a number in 0\.\.2"),
        ("image,class\na.png,0\n", "columns image .*label"),
        ("image,label\n", "no row"),
    ],
    ids=[
        "missing file",
        "file twice",
        "patient in two splits",
        "patient in two folds",
        "split half filled",
        "unknown split",
        "age no number",
        "fold out of range",
        "no label column",
        "no rows",
    ],
)
def test_fault_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        read_labels(table_of(tmp_path, text), tmp_path)
    assert "\n" not in str(error.value)


def test_missing_csv_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="readable UTF-8 CSV"):
        read_labels(tmp_path / "none.csv", tmp_path)
