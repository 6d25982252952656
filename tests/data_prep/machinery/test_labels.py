"""Every row of the CSV is checked, and a fault is one line that names it."""

from pathlib import Path, PurePosixPath

import pytest

from common.checks import InputError
from data_prep.machinery.classes import folder_names, name_classes
from data_prep.machinery.labels import find_labels, read_labels


def table_of(folder: Path, text: str) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(b"")
    (folder.parent / "out.png").write_bytes(b"")
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


@pytest.mark.bad_input("labels")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,label\na.png,0\ngone.png,1\n", "line 3: image must be a file"),
        (
            "image,label\na.png,0\na.png,1\n",
            "line 3.*listed once.*line 2, with label 1 here and 0 there",
        ),
        (
            "image,label,patient,split\na.png,0,x,train\nb.png,1,x,test\n",
            "line 3.*one of .*line 2 in training and test",
        ),
        (
            "image,label,patient,fold\na.png,0,x,0\nb.png,1,x,1\n",
            "line 3.*one of .*line 2 in no split fold 0",
        ),
        ("image,label,split\na.png,0,train\nb.png,1,\n", "every row or in none"),
        ("image,label,split\na.png,0,Doe\n", "line 2: split must be train, validation or test"),
        ("image,label,age\na.png,0,old\n", "line 2: age must be a number of years"),
        ("image,label,fold\na.png,0,3\n", r"fold must be a number in 0\.\.2"),
        ("image,class\na.png,0\n", "columns image, label, got no label"),
        ("image,label\n", "no row"),
        ("image,label\n../out.png,0\n", "outside it"),
        ("image,label\n/etc/passwd,0\n", "outside it"),
        ("image,label\na.png,#DIV/0!\n", "line 2: label must be a class.*spreadsheet"),
        (f"image,label\na.png,{'x' * 300}\n", "line 2: label must be .* at most 100"),
        ("image,label\na.png,a\x1b[31m\n", "line 2: label must be .* printable"),
        ("image,label\na.png,a\u202eb\n", "line 2: label must be .* printable"),
        ("image,label\na.png,0.5\n", "line 2: label must be a class.*0.5"),
        ("image,label,age\na.png,0,²\n", "line 2: age"),
        (f"image,label\n{'a' * 300}.png,0\n", "line 2: image must be a file"),
        ("image,label\n²\x00.png,0\n", "no text"),
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
        "outside",
        "absolute",
        "spreadsheet error",
        "300 characters",
        "control characters",
        "reversed text",
        "measurement",
        "age squared",
        "name too long",
        "no text",
    ],
)
def test_fault_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        read_labels(table_of(tmp_path, text), tmp_path)
    assert "\n" not in str(error.value)
    assert "Doe" not in str(error.value)


def test_missing_csv_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="readable CSV"):
        read_labels(tmp_path / "none.csv", tmp_path)


@pytest.mark.bad_input("labels")
@pytest.mark.parametrize(
    "code",
    ["-1", "\u22121", "-1.0", "NA", "nan", "n/a", "none", "NULL", "", "-9999", "999", "unknown"],
)
def test_codes_for_missing_are_not_labelled_and_counted(tmp_path: Path, code: str) -> None:
    text = f"image,label\na.png,1\nb.png,0\nc.png,{code}\n"
    table = read_labels(table_of(tmp_path, text), tmp_path)
    assert table.classes == ["0", "1"]
    assert [row.entry["label"] for row in table.rows] == [1, 0, -1]
    assert f"1 not labelled (1 {code or 'empty'})" in table.notes[-1]


@pytest.mark.bad_input("labels")
@pytest.mark.parametrize("code", ["-9999", "999", "-1", "121"])
def test_ages_that_are_codes_are_unknown_and_counted(tmp_path: Path, code: str) -> None:
    text = f"image;label;age\na.png;0;60,5\nb.png;1;{code}\nc.png;1;n/a\n"
    table = read_labels(table_of(tmp_path, text), tmp_path)
    assert [row.entry.get("age") for row in table.rows] == [60, None, None]
    assert f"1 ages are unknown, not in 0..120 years (1 {code})" in table.notes[-1]


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["0", "0.0", "00", "1", "1,0"], ["0", "1"]),
        (["1", "NA"], ["0", "1"]),
        (["4", "0", "1"], ["0", "1", "2", "3", "4"]),
        (["2", "1"], ["1", "2"]),
        (["Covid", "Normal"], ["Normal", "Covid"]),
        (["Covid", "Normal", "normal ", "Normal"], ["Normal", "Covid"]),
        (["PNEUMONIA", "No Finding"], ["No Finding", "PNEUMONIA"]),
        (["AD", "CN", "MCI"], ["CN", "AD", "MCI"]),
        (["COVID-19 negative", "COVID-19"], ["COVID-19 negative", "COVID-19"]),
        (["malignant", "benign"], ["benign", "malignant"]),
        (["benign", "malignant", "normal"], ["normal", "benign", "malignant"]),
        (["abnormal", "normal"], ["normal", "abnormal"]),
        (["yes", "no"], ["no", "yes"]),
        (["glioma", "no_tumor"], ["no_tumor", "glioma"]),
        (["²", "1"], ["1", "²"]),
        (["+", "-", "-"], ["-", "+"]),
        (["ne\u0301vus", "n\u00e9vus", "no"], ["no", "n\u00e9vus"]),
        (["\uff11", "0"], ["0", "\uff11"]),
        (["\u0661", "\u0660"], ["\u0660", "\u0661"]),
    ],
    ids=lambda value: "-".join(value),
)
def test_equal_labels_are_one_class_and_the_healthy_one_is_0(
    texts: list[str], names: list[str]
) -> None:
    assert name_classes(texts, "label").names == names


def test_where_no_name_is_healthy_it_is_said_which_is_0_and_how_to_choose() -> None:
    classes = name_classes(["dog", "cat"], "label")
    assert "class 0 is cat, the first in order" in classes.notes[0]
    assert "--negative NAME" in classes.notes[0]
    chosen = name_classes(["dog", "cat"], "label", negative="DOG")
    assert chosen.names == ["dog", "cat"]
    with pytest.raises(InputError, match="--negative must be a class of label: cat, dog; got cow"):
        name_classes(["dog", "cat"], "label", negative="cow")


@pytest.mark.bad_input("labels")
@pytest.mark.parametrize(
    ("folders", "reason"),
    [
        (["MUELLER_ANNA", "SMITH_JOHN"], "2 folders, none of them named normal"),
        (["CT", "MR", "CR", "test_files", "rle"], "5 folders, none of them named normal"),
        (["NORMAL", "COVID/images"], "1 of 2 images not in exactly one"),
        (["NORMAL", "."], "1 of 2 images not in exactly one"),
        (["NORMAL"], "one folder alone"),
        (["train/p1", "test/p2"], "2 folders, none of them named normal"),
        (["control_01", "control_02", "patient_01"], "3 folders, several of them named normal"),
        (["HC_Doe", "no_stroke", "no_tumour"], "3 folders, several of them named normal"),
    ],
    ids=[
        *["patients", "mixed things", "deeper", "beside", "one", "patients in parts"],
        *["controls and patients", "two denials"],
    ],
)
def test_folders_that_may_be_anything_are_no_classes(folders: list[str], reason: str) -> None:
    names, _, why = folder_names([PurePosixPath(folder) / "a.png" for folder in folders])
    assert set(names) == {""}
    assert reason in why


@pytest.mark.parametrize(
    ("folders", "asked", "names"),
    [
        (["x/COVID", "x/Normal"], False, ["COVID", "Normal"]),
        (["train/Normal", "test/NORMAL", "test/x"], False, ["Normal", "NORMAL", "x"]),
        (["train/a", "train/b", "test/a", "test/b"], False, ["a", "b", "a", "b"]),
        (["cat", "dog"], True, ["cat", "dog"]),
    ],
    ids=["a healthy name", "its capitals", "the same in each part", "asked for"],
)
def test_folders_that_surely_are_classes_are_read(
    folders: list[str], asked: bool, names: list[str]
) -> None:
    paths = [PurePosixPath(folder) / "a.png" for folder in folders]
    assert folder_names(paths, asked)[0] == names


def test_a_labels_csv_in_the_source_is_read_or_mentioned(tmp_path: Path) -> None:
    table_of(tmp_path, "image,label\na.png,sick\nb.png,healthy\n")
    images = [PurePosixPath(name) for name in ("a.png", "b.png", "c.png")]
    table = find_labels(tmp_path, images, None)
    assert table.classes == ["healthy", "sick"]
    assert "labels.csv in the source" in table.notes[0]
    assert "1 images are not in labels.csv" in table.notes[-1]
    table_of(tmp_path, "file,grade\na.png,1\n")
    table = find_labels(tmp_path, images, None)
    assert table.classes == []
    assert "is not read" in table.notes[0]
    assert "no image is labelled" in table.notes[1]
    (tmp_path / "Grades.XLSX").touch()
    (tmp_path / "labels.csv").unlink()
    assert "1 tables in the source are not read" in find_labels(tmp_path, images, None).notes[0]


@pytest.mark.bad_input("privacy")
def test_a_date_of_birth_written_as_a_number_is_not_printed(tmp_path: Path) -> None:
    text = "image,label,age\na.png,0,19530211\nb.png,0,-9999\nc.png,0,19530212\n"
    notes = read_labels(table_of(tmp_path, text), tmp_path).notes
    assert notes == ["labels.csv: 3 ages are unknown, not in 0..120 years (2 larger, 1 -9999)"]


@pytest.mark.bad_input("labels")
def test_codes_for_missing_are_no_patient_and_no_site(tmp_path: Path) -> None:
    text = "image,label,patient,site\na.png,0,NA,-1\nb.png,1,NA,London\nc.png,1,-1,nan\n"
    table = read_labels(table_of(tmp_path, text), tmp_path)
    assert {row.patient for row in table.rows} == {None}
    assert table.sites == ["London"]
    assert [row.entry.get("site") for row in table.rows] == [None, 0, None]
