"""Which class is which number: the healthy one is 0, and it is always said.

Texts that are equal but for capitals, blanks or, for numbers, their spelling (``0``, ``0.0``,
``00``) are one class. Words for "no value" (`tables.is_missing`), negative numbers and
999, 9999, ... are "not labelled", -1. Whole numbers from 0 keep their value (grades), and so does 1
alone; other classes are numbered in sorted order. The class called normal, healthy, control, no
finding, negative, absent or the like comes first (benign, where there is none such), or the one
that ``--negative`` names.

Folder names are labels only where the source says so: every image lies in one class folder, and
either the user asks for it, or just one of the 2 to 10 folders has the name of a healthy class, or
the same folders lie in each of train, val and test. Else they may be patients (control_01,
control_02, ...), devices or anything.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from common.checks import InputError, require
from common.data.healthy import healthiness, healthy_class
from common.data.tables import number, says_nothing

__all__ = [
    "SPLITS",
    "Classes",
    "folder_names",
    "is_unlabelled",
    "name_classes",
    "number_names",
]

SPLITS = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
MAX_CLASSES = 10  # most folders that are taken for classes without being asked to
LONGEST = 100  # characters of a class name
SENTINELS = (999, 9999, 99999)
GRADES = 1000  # whole numbers below this keep their value as class numbers


@dataclass(frozen=True)
class Classes:
    """The classes of a column.

    Args:
        names: by number.
        numbers: every text that was met to its class, -1 for "not labelled".
        notes: lines for the user: which class is 0, and what was counted as not labelled.
    """

    names: list[str]
    numbers: dict[str, int]
    notes: list[str]


def name_classes(texts: Sequence[str], where: str, negative: str | None = None) -> Classes:
    """Number the classes of a column.

    Args:
        texts: one an image.
        where: what an error calls the column, such as "labels.csv: label".
        negative: the class that is to be 0; by default the one with a name of the healthy.

    Raises:
        InputError: a name that is no text one can print, a fraction, or no class is `negative`.

    >>> name_classes(["Covid", "normal", "NORMAL", "n/a", "NORMAL"], "label").names
    ['NORMAL', 'Covid']
    """
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    left_out: Counter[str] = Counter()
    signs = {"+", "-"} <= set(texts)  # + and - are test results, so - is no missing value
    unlabelled = {
        text for text in set(texts) if is_unlabelled(text) and not (signs and text == "-")
    }
    for text, count in Counter(texts).items():
        if text in unlabelled:
            left_out[text or "empty"] += count
        else:
            spellings[_key(text, where)][_spaced(text)] += count
    shown = {
        key: min(counts, key=lambda name: (-counts[name], name))
        for key, counts in spellings.items()
    }
    order, note = _ordered(list(shown), shown, where, negative)
    place = {key: index for index, key in enumerate(order)}
    notes = [note] if note else []
    if left_out:
        listed = ", ".join(f"{count} {text}" for text, count in sorted(left_out.items())[:5])
        notes.append(f"{where}: {left_out.total()} not labelled ({listed})")
    numbers = {t: -1 if t in unlabelled else place[_key(t, where)] for t in set(texts)}
    return Classes([shown.get(key, key) for key in order], numbers, notes)


def number_names(names: Iterable[str]) -> dict[str, int]:
    """Number distinct names, of sites for instance, in sorted order; whole numbers as numbers.

    >>> number_names(["10", "9"])
    {'9': 0, '10': 1}
    """
    distinct = set(names)
    if all(name.isascii() and name.isdecimal() for name in distinct):
        ordered = sorted(distinct, key=lambda name: (int(name), name))
    else:
        ordered = sorted(distinct)
    return {name: index for index, name in enumerate(ordered)}


def folder_names(
    paths: Sequence[PurePath], asked: bool = False
) -> tuple[list[str], list[str | None], str]:
    """Read classes and parts from the folders that hold the images.

    Args:
        paths: relative to the source.
        asked: whether the user says that folders are classes.

    Returns:
        The folder of each image, or "" for all where folders are no labels; its part ("training",
        "validation" or "test"), where all have one; and why folders are no labels, or "".

    Raises:
        InputError: `asked`, and the folders cannot be classes.
    """
    folders = [list(path.parts[:-1]) for path in paths]
    wrapped = 0
    while all(len(folder) > wrapped + 1 for folder in folders) and (
        len({folder[wrapped] for folder in folders}) == 1
        and folders[0][wrapped].lower() not in SPLITS
    ):
        wrapped += 1
    inside = [folder[wrapped:] for folder in folders]
    parts = [_part_of(folder) for folder in inside]
    classes = [[name for name in folder if name.lower() not in SPLITS] for folder in inside]
    reason = _no_classes(classes, parts, asked)
    outside = parts.count(None)
    require(
        not (asked and 0 < outside < len(parts)),
        f"--labels folders: every image must lie in one of train, val and test, or none, got "
        f"{outside} of {len(parts)} outside them. Move those, or give a CSV with image, label and "
        "split.",
    )
    nested = any(len(folder) > 1 for folder in classes)
    cure = ", or --patient-folders of data_prep folders if the inner folders are patients"
    require(
        not (reason and asked),
        f"--labels folders: every image must lie in the folder of its class, got {reason}. Give a "
        f"CSV with image and label instead{cure if nested else ''}.",
    )
    given: list[str | None] = parts if all(parts) else [None] * len(parts)
    return [""] * len(paths) if reason else [names[0] for names in classes], given, reason


def _no_classes(classes: list[list[str]], parts: list[str | None], asked: bool) -> str:
    """Why folders are no labels; "" where they are."""
    astray = sum(len(names) != 1 for names in classes)
    if astray:
        return f"{astray} of {len(classes)} images not in exactly one"
    names = {folder[0] for folder in classes}
    if len(names) < 2:
        return "one folder alone"
    if asked:
        return ""
    if len(names) > MAX_CLASSES:
        return f"{len(names)} folders"
    distinct = sorted({_spaced(name).casefold() for name in names})
    if healthy_class(distinct) is not None:
        return ""
    in_part = defaultdict(set)
    for folder, part in zip(classes, parts):
        in_part[part].add(folder[0])
    if (
        None not in in_part
        and len(in_part) > 1
        and all(names == names_there for names_there in in_part.values())
    ):
        return ""
    several = "several" if any(healthiness(name) for name in distinct) else "none"
    return f"{len(names)} folders, {several} of them named normal, healthy, control or the like"


def _part_of(folder: list[str]) -> str | None:
    parts = [SPLITS[name.lower()] for name in folder if name.lower() in SPLITS]
    return parts[0] if len(parts) == 1 else None


def is_unlabelled(text: str) -> bool:
    """Whether a label says nothing: a word for "no value", a negative number, 999 or 9999."""
    return says_nothing(text) or number(text) in SENTINELS


def _spaced(text: str) -> str:
    """A text in composed Unicode, as tables have it, with single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _key(text: str, where: str) -> str:
    """What two spellings of one class share."""
    plain = _spaced(text)
    require(
        len(plain) <= LONGEST and all(c.isprintable() or c == "\xa0" for c in text.strip()),
        f"{where} must be a name of at most {LONGEST} printable characters, got "
        f"{ascii(text)[:60]} ({len(text)} characters). Correct it.",
    )
    require(
        not re.fullmatch(r"#[A-Z0/]+[!?]", plain),
        f"{where} must be a class, got {plain}, an error of a spreadsheet. Correct it.",
    )
    value = number(plain)
    if value is None:
        return plain.casefold()
    require(
        value.is_integer(),
        f"{where} must be a class, a name or a whole number, got {plain}. Sort measurements into "
        "classes first.",
    )
    return str(int(value))


def _ordered(
    keys: list[str], shown: dict[str, str], where: str, negative: str | None
) -> tuple[list[str], str]:
    """The classes in order, class 0 first, and a line that says which that is."""
    if negative is not None:
        first = _key(negative, "--negative")
        if first not in keys:
            known = ", ".join(sorted(shown.values())) or "none"
            raise InputError(f"--negative must be a class of {where}: {known}; got {negative}.")
        rest = number_names(key for key in keys if key != first)
        return [first, *rest], f"{where}: class 0 is {shown[first]}, as --negative says"
    if keys and all(key.isascii() and key.isdecimal() for key in keys):
        values = {int(key) for key in keys}
        if (0 in values or values == {1}) and max(values) < GRADES:
            return [str(value) for value in range(max(values) + 1)], ""
        shown |= {key: key for key in keys}
    order = list(number_names(keys))
    for level in (2, 1):
        healthy = [key for key in order if healthiness(key) == level]
        if len(healthy) == 1:
            order = [*healthy, *(key for key in order if key != healthy[0])]
            return order, f"{where}: class 0 is {shown[healthy[0]]}, a name of the healthy one"
        if healthy:
            break
    if not order:
        return order, ""
    return order, (
        f"{where}: class 0 is {shown[order[0]]}, the first in order; if another is the healthy "
        "one, set --negative NAME"
    )
