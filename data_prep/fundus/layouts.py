"""Where the published sets of fundus photographs keep their labels, patients and splits.

=============  =====================================================================================
``messidor2``  ``messidor_data.csv`` (adjudicated grades, Kaggle) and ADCIS's table of the pairs
``idrid``      the two ``… Disease Grading_… Labels.csv``; published training and testing sets
``aptos2019``  ``train.csv`` (``id_code, diagnosis``); ``valid.csv`` and ``test.csv``, if diagnosed
``papila``     ``patient_data_od`` and ``…_os``, as XLSX or CSV; ``RET002OD.jpg``
``jsiec``      39 class folders; patients not known
``retina``     4 class folders (``1_normal``, ``2_cataract``, …); patients not known
``odir``       ``full_df.csv``: the eye's first label of N, D, G, C, A, H, M, O
``srahim``     ``labels.csv`` (``file, dr_grade, maculopathy``) and ``Patient001_L.jpg``
``folders``    ``--labels``, a ``labels.csv``, or folders that surely are classes (see
               `data_prep.machinery.classes`), alone or in ``train/``, ``val/``, ``test/``
=============  =====================================================================================

Diabetic retinopathy has the columns ``grade`` (0 to 4; 5 in ``srahim`` is advanced diabetic eye
disease) and ``referable``, grade 2 or above. Where patients are not known, each photograph is its
own; in ``folders`` names that end in an eye (``12_left``, ``RET002OD``, ``p7-R``) or headers of
DICOM files tell them.
"""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from common.checks import InputError, require
from data_prep.fundus.files import Eye, Pictures, Place
from data_prep.machinery import (
    age_note,
    attempt,
    check_once,
    find_labels,
    header_facts,
    name_classes,
    number,
    read_age,
    read_rows,
    read_table,
    says_nothing,
)

__all__ = ["LAYOUTS", "Found", "find_photographs"]

GRADES = ["no retinopathy", "mild", "moderate", "severe", "proliferative"]
GLAUCOMA = ["healthy", "glaucoma", "suspect"]
ODIR = {
    "N": "normal",
    "D": "diabetes",
    "G": "glaucoma",
    "C": "cataract",
    "A": "macular degeneration",
    "H": "hypertension",
    "M": "myopia",
    "O": "other",
}
EYED = re.compile(r"(?P<patient>.*\d)[ _-]*(?P<eye>left|right|od|os|l|r)", re.IGNORECASE)
EYES = {"left": "L", "os": "L", "l": "L", "right": "R", "od": "R", "r": "R"}
DICOM_FACTS = ("age", "sex", "modality")


class Found:
    """What a layout holds.

    Args:
        classes: names of the values of ``label`` (of ``grade``, where there is one).
        notes: lines for the user.
        sites: names of the values of ``site``.

    Attributes:
        rows: of the tables, one for each of the eyes they name.
        unknown_ages: ages that are codes for "unknown".
        eyes: the photographs.
        skipped: what the tables name and cannot be used: ``{"file", "reason"}``.
    """

    def __init__(
        self, classes: list[str], notes: list[str] | None = None, sites: list[str] | None = None
    ) -> None:
        self.classes = classes
        self.sites = list(sites or [])
        self.notes = list(notes or [])
        self.unknown_ages: list[str] = []
        self.rows: list[str] = []
        self.eyes: list[Eye] = []
        self.skipped: list[dict[str, str]] = []

    def add(self, place: Place | None, name: str, where: str, **known: Any) -> None:
        """Add a photograph of a row, or note that it is missing."""
        if place is None:
            self.skip(name, "the table names it, but there is no such picture")
        else:
            self.eyes.append(Eye(place, **known))
            self.rows.append(where)

    def skip(self, name: str, reason: str) -> None:
        """Note a photograph that is left out."""
        self.skipped.append({"file": name, "reason": f"{name}: {reason}"})


def messidor2(pictures: Pictures) -> Found:
    """Grades of Krause et al. 2018; ungradable photographs are left out."""
    photographs = Found(GRADES)
    table, *_ = _tables(pictures, "messidor_data*")
    patients: dict[str, str] = {}
    for path in pictures.tables("messidor*2*"):
        if path.suffix.lower() not in (".csv", ".xlsx"):
            continue
        for place, cells in enumerate(read_rows(path)):
            stems = [_stem(cell) for cell in cells if pictures.find(cell)]
            patients |= dict.fromkeys(stems, f"{place}") if len(stems) == 2 else {}
    require(
        bool(patients),
        f"{pictures.source}: source must hold the table of the pairs (messidor-2.csv, left and "
        "right file in each row), got none. It comes with the pictures.",
    )
    for row in read_table(table, "image_id", "adjudicated_dr_grade"):
        name = row["image_id"]
        grade, patient = row["adjudicated_dr_grade"], patients.get(_stem(name), name)
        if not says_nothing(grade):
            facts = _grade(grade, row.where)
            photographs.add(pictures.find(name), name, row.where, patient=patient, facts=facts)
        else:
            photographs.skip(name, "its table says that it cannot be graded")
    return photographs


def idrid(pictures: Pictures) -> Found:
    """The disease grading sets; those for segmentation and localisation are not looked at."""
    photographs = Found(GRADES)
    for word, part in (("training", "training"), ("testing", "test")):
        table, *_ = _tables(pictures, f"*grading*{word}*labels*")
        graded = any("grading" in place.name.lower() for place in pictures.places)
        for row in read_table(table, "image name", "retinopathy grade"):
            name = row["image name"]
            places = [
                place
                for place in pictures.named(name)
                if f"{word} set" in place.name.lower()
                and (not graded or "grading" in place.name.lower())
            ]
            facts = _grade(row["retinopathy grade"], row.where)
            edema = row.get("risk of macular edema", "")
            facts |= {} if says_nothing(edema) else {"macular_edema": _whole(edema, row.where, 2)}
            place = places[0] if places else None
            photographs.add(
                place, name, row.where, patient=f"{part} {name}", part=part, facts=facts
            )
    return photographs


def aptos2019(pictures: Pictures) -> Found:
    """One photograph of each patient, as far as is known."""
    photographs = Found(GRADES)
    tables = {
        part: path
        for name, part in (("train", "training"), ("valid", "validation"), ("test", "test"))
        for path in pictures.tables(f"{name}*.csv")
        if "diagnosis" in [cell.lower() for cell in read_rows(path)[0]]
    }
    require(
        "training" in tables,
        f"{pictures.source}: source must hold train.csv with id_code and diagnosis, got none.",
    )
    for part, path in tables.items():
        given = part if len(tables) > 1 else None
        for row in read_table(path, "id_code", "diagnosis"):
            name = row["id_code"]
            facts = _grade(row["diagnosis"], row.where)
            photographs.add(
                pictures.find(name), name, row.where, patient=name, part=given, facts=facts
            )
    return photographs


def papila(pictures: Pictures) -> Found:
    """Both eyes of 244 patients; the header of the tables takes several rows."""
    photographs = Found(GLAUCOMA)
    for side, eye in (("od", "R"), ("os", "L")):
        table, *_ = _tables(pictures, f"patient_data_{side}*")
        rows = read_rows(table)
        heads = {cell.lower(): place for row in rows[:3] for place, cell in enumerate(row) if cell}
        require("diagnosis" in heads, f"{table.name}: must have the column Diagnosis, got none.")
        for row in rows:
            number = re.fullmatch(r"#?(\d+)(\.0)?", row[0])
            if number is None:
                continue
            name = f"RET{int(number[1]):03d}{side.upper()}"
            cells = dict(zip(heads, (row[place] for place in heads.values() if place < len(row))))
            diagnosis = cells["diagnosis"]
            facts = {
                "label": -1 if says_nothing(diagnosis) else _whole(diagnosis, table.name, 2),
                **_person(cells, table.name, photographs.unknown_ages),
            }
            photographs.add(
                pictures.find(name), name, table.name, patient=number[1], eye=eye, facts=facts
            )
    return photographs


def odir(pictures: Pictures) -> Found:
    """The table that has one row an eye; the label is the first where an eye has several."""
    photographs = Found(list(ODIR.values()))
    table, *_ = _tables(pictures, "full_df*")
    for row in read_table(table, "id", "labels", "filename"):
        name = row["filename"]
        letter = next((char for char in row["labels"] if char in ODIR), None)
        if letter is None:
            photographs.skip(name, "its table has no label for it")
            continue
        person = _person(row, row.where, photographs.unknown_ages)
        facts = {"label": list(ODIR).index(letter), **person}
        eye = "L" if "left" in name.lower() else "R"
        photographs.add(
            pictures.find(name), name, row.where, patient=row["id"], eye=eye, facts=facts
        )
    return photographs


def srahim(pictures: Pictures) -> Found:
    """The table of this copy; patient and eye are in the name."""
    photographs = Found([*GRADES, "advanced diabetic eye disease"])
    table, *_ = _tables(pictures, "labels.csv")
    for row in read_table(table, "file", "dr_grade", "maculopathy"):
        name = row["file"]
        patient, eye = _named(name)
        maculopathy = {"0": 0, "1": 1}.get(row["maculopathy"].removesuffix(".0"), -1)
        facts = {**_grade(row["dr_grade"], row.where), "maculopathy": maculopathy}
        photographs.add(pictures.find(name), name, row.where, patient=patient, eye=eye, facts=facts)
    return photographs


def class_folders(pictures: Pictures) -> Found:
    """The folder that holds a picture is its class; patients are not known."""
    folders = [PurePosixPath(place.name).parent.name for place in pictures.places]
    classes = name_classes(folders, "folders")
    photographs = Found(classes.names, classes.notes)
    for place, folder in zip(pictures.places, folders):
        facts = {"label": classes.numbers[folder]}
        photographs.eyes.append(Eye(place, place.name, None, None, facts))
    return photographs


def own(pictures: Pictures, labels: Path | None, negative: str | None) -> Found:
    """Photographs of one's own: a table, or folders that surely are classes, give the labels.

    Args:
        pictures: of the source.
        labels: ``--labels``.
        negative: ``--negative``.
    """
    keys = _keys(pictures.places)
    files_last = sorted(pictures.places, key=lambda place: place.member is None)
    found_last = {keys[place.whole_name]: place for place in files_last}
    place_of = dict(sorted(found_last.items()))

    def find(name: str) -> Path | None:
        candidates = {name} if name in place_of else set()
        if not candidates and "/" not in name:
            candidates = {keys[place.whole_name] for place in pictures.named(name)}
        return Path(candidates.pop()) if len(candidates) == 1 else None

    images = [PurePosixPath(name) for name in place_of]
    table = find_labels(pictures.source, images, labels, negative, find=find, keep_parts=True)
    photographs = Found(table.classes, table.notes, table.sites)
    if len(place_of) < len(pictures.places):
        twice = len(pictures.places) - len(place_of)
        photographs.notes.append(
            f"{twice} pictures of archives lie beside them too: they are read once"
        )
    for row in table.rows:
        place = place_of[row.path.as_posix()]
        try:
            header = attempt(_header, place)
        except InputError as error:
            photographs.skipped.append({"file": place.name, "reason": str(error)})
            continue
        patient, eye = _named(row.path.as_posix())
        facts = {key: header[key] for key in DICOM_FACTS if key in header} | row.entry
        patient = row.patient or header.get("patient") or patient
        photographs.eyes.append(Eye(place, patient, header.get("eye", eye), row.part, facts))
    return photographs


def _keys(places: list[Place]) -> dict[str, str]:
    """What each picture goes by: its name, below that of its archive where two share names."""
    members = Counter(place.name for place in places if place.member is not None)
    shared = max(members.values(), default=0) > 1
    return {
        place.whole_name: f"{place.path.stem}/{place.name}"
        if shared and place.member is not None
        else place.name
        for place in places
    }


def _header(place: Place) -> dict[str, Any]:
    """Facts of a DICOM header; empty for a picture."""
    facts = header_facts(place.path) if place.member is None else {}
    require(
        not facts.get("burned_in"),
        f"{place.path.name}: must not show annotation, got one that says it is burnt into the "
        "pixels (0028,0301).",
    )
    return facts


def _tables(pictures: Pictures, pattern: str) -> list[Path]:
    paths = [p for p in pictures.tables(pattern) if p.suffix.lower() in (".csv", ".xlsx")]
    require(
        bool(paths),
        f"{pictures.source}: source must hold {pattern} as CSV or XLSX, got none. Put it beside "
        "the pictures, or choose another --layout.",
    )
    return paths


def _grade(text: str, where: str) -> dict[str, int]:
    if says_nothing(text):
        return {"grade": -1, "referable": -1}
    grade = _whole(text, where, 5)
    return {"grade": grade, "referable": int(grade >= 2)}


def _whole(text: str, where: str, most: int) -> int:
    value = number(text)
    require(
        value is not None and value.is_integer() and 0 <= value <= most,
        f"{where}: the grade must be a whole number from 0 to {most}, got "
        f"{'something else' if value is None else text}. Correct the row.",
    )
    return int(value or 0)


def _named(name: str) -> tuple[str, str | None]:
    """Patient and eye, where the name ends in an eye; else the whole name, and None."""
    path = PurePosixPath(name)
    match = EYED.fullmatch(path.stem)
    return (match["patient"], EYES[match["eye"].lower()]) if match else (name, None)


def _person(row: dict[str, str], where: str, unknown: list[str]) -> dict[str, Any]:
    """Age and sex, where the row has them."""
    known: dict[str, Any] = {}
    for key, value in row.items():
        age = read_age(value, where, unknown) if key.endswith("age") else None
        known |= {} if age is None else {"age": int(age)}
        if key.endswith(("sex", "gender")) and value:
            sex = {"0": "M", "1": "F", "m": "M", "f": "F"}.get(value[0].lower())
            known |= {"sex": sex} if sex else {}
    return known


def _stem(name: str) -> str:
    return PurePosixPath(name.lower()).stem


LAYOUTS: dict[str, Callable[[Pictures], Found]] = {
    "messidor2": messidor2,
    "idrid": idrid,
    "aptos2019": aptos2019,
    "papila": papila,
    "jsiec": class_folders,
    "retina": class_folders,
    "odir": odir,
    "srahim": srahim,
}


def find_photographs(
    pictures: Pictures, layout: str, labels: Path | None, negative: str | None
) -> Found:
    """Photographs of a published layout, or of ``folders``: one's own.

    Raises:
        InputError: not the layout, or ``--labels`` beside a published one, which has its own.
    """
    if layout == "folders":
        photographs = own(pictures, labels, negative)
    else:
        for name, given in (("labels", labels), ("negative", negative)):
            require(
                given is None,
                f"fundus: --{name} must be left out for --layout {layout}, which has labels of its "
                "own.",
            )
        photographs = LAYOUTS[layout](pictures)
        check_once((eye.place.name for eye in photographs.eyes), photographs.rows)
    photographs.notes += age_note(photographs.unknown_ages, layout)
    return photographs
