"""What the source calls its files and patients stays on the user's machine: numbers go out.

Every origin of a plan has a number, in the order of the SHA-256 of its name, so that the number
tells nothing about the name. Reasons for leaving a file out say "file 17". A key file, written only
on request and never into the target, leads back: one row for each prepared image and each file left
out.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from common.checks import InputError, require
from common.data import seeded_order
from common.data.image_store import ENDING
from common.data.manifest import PARTS
from common.files import leads_below, replacing
from common.text import cell, plain
from data_prep.machinery.plan import Item, Origin, Plan
from data_prep.machinery.split import Entry

__all__ = ["HEADER", "Names", "check_key", "digest", "hide", "write_key"]

HEADER = ("file", "prepared", "pseudonym", "source", "patient")
PLACE = "\0"  # stands in a reason where the number goes; no reason holds this character
SHORTEST = 4  # characters from which a name is hidden anywhere in a text; shorter may be a word


class Names:
    """The numbers of a plan's origins.

    Args:
        plan: the work.

    Attributes:
        origins: by name; also those that planning left out.
        numbers: by name, from 1.
    """

    def __init__(self, plan: Plan) -> None:
        self.origins: dict[str, Origin] = {}
        for line in plan.skipped:
            path = (plan.root or Path()) / line["file"]
            self.origins[line["file"]] = Origin(line["file"], (path,))
        for item in plan.items:
            self.origins |= {origin.name: origin for origin in item.origins}
        order = seeded_order(self.origins, seed=0)
        self.numbers = {name: number for number, name in enumerate(order, start=1)}

    def of(self, item: Item) -> dict[str, int]:
        """Numbers of the origins of one item."""
        return {origin.name: self.numbers[origin.name] for origin in item.origins}

    def skipped(self, name: str, reason: str) -> dict[str, str]:
        """What the manifest says of an origin that is left out."""
        return hide(self.origins[name], self.numbers[name], reason)


def hide(origin: Origin, number: int, reason: str) -> dict[str, str]:
    """Write the number of an origin for its name, wherever its reason has the name.

    Returns:
        ``file``, ``reason`` and ``state``, by which a later run sees whether the file has changed.
    """
    inside = PurePosixPath(origin.name.rsplit(": ", 1)[-1])  # the name of an archive's member
    names = {origin.name, origin.patient}
    paths = [*map(PurePath, origin.paths), inside]
    names |= {part for path in paths for part in (str(path), path.name)}
    names |= {plain(name) for name in names}  # as an `InputError` quotes them
    for name in sorted(names, key=len, reverse=True):
        if len(name) >= SHORTEST:
            reason = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", PLACE, reason)
        elif name:
            reason = re.sub(rf"^{re.escape(name)}(?=: )", PLACE, reason)
    alias = f"file {number}"
    reason = reason if reason.startswith(PLACE) else f"{PLACE}: {reason}"
    reason = reason.replace(PLACE, alias)
    return {"file": alias, "reason": reason, "state": digest([origin.state()])[:16]}


def digest(texts: Iterable[Any]) -> str:
    """SHA-256 of texts, also of names that are not UTF-8."""
    joined = "\0".join(map(str, texts))
    return hashlib.sha256(joined.encode(errors="surrogateescape")).hexdigest()


def check_key(key: Path, source: Path, target: Path) -> None:
    """Refuse a key file that would travel with the data, or replace something else."""
    for folder, name in ((target, "--target"), (source, "--source")):
        require(
            not leads_below(key, folder),
            f"{key}: --key must lie outside {name}, got a file inside it. It names patients: keep "
            "it apart, on the machine that holds the source.",
        )
    # these never raise; to read a pipe would wait for ever
    new = os.path.isfile(key) or not os.path.lexists(key)  # noqa: PTH113
    usable = os.path.isdir(key.parent) and new  # noqa: PTH112
    require(
        usable and len(os.fsencode(key.name)) < 200,
        f"{key}: --key must be a file in a folder that exists, with a name of at most 200 bytes, "
        "got none. Check the path.",
    )
    if os.path.lexists(key):
        try:
            with key.open(encoding="utf-8") as file:
                first = file.readline().rstrip("\n")
        except (OSError, UnicodeDecodeError):
            first = ""
        require(
            first == ",".join(HEADER),
            f"{key}: --key must be a new file or an earlier key, got another file. Choose another "
            "name.",
        )


def write_key(key: Path, names: Names, manifest: dict[str, Any]) -> None:
    """Write the key file: which file and patient of the source each prepared image is of.

    Args:
        key: the CSV; only its owner may read it.
        names: of the plan.
        manifest: as the run wrote it; empty where it wrote none, then files have no image.
    """
    by_number = {number: names.origins[name] for name, number in names.numbers.items()}
    rows = list(_rows(by_number, manifest))
    used = {row[0] for row in rows}
    for number, origin in by_number.items():
        if f"file {number}" not in used:
            rows.append([f"file {number}", "", "", origin.name, origin.patient])
    try:
        with replacing(key) as partial:
            partial.touch(mode=0o600)
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(HEADER)
                writer.writerows([cell(text) for text in row] for row in rows)
    except InputError as error:
        raise InputError(f"--key: {error}") from None


def _rows(by_number: dict[int, Origin], manifest: dict[str, Any]) -> Iterable[list[str]]:
    origins = manifest.get("origins", {})
    entries = [entry for part in PARTS for entry in manifest.get(part, [])]
    place_of = _places(entries)
    for entry in entries:
        images = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
        numbered = origins.get(images[0])
        row = entry.get("index")
        place = place_of.get((images[0], row), row)
        number = numbered[place] if isinstance(numbered, list) else numbered
        if number is not None:
            origin = by_number[number]
            known = [str(entry["patient"]), origin.name, origin.patient]
            ending = "" if row is None else f"[{row}]"
            yield from ([f"file {number}", image + ending, *known] for image in images)


def _places(entries: Iterable[Entry]) -> dict[tuple[str, int], int]:
    """The place of each image in its archive: the index of its entry is a block, no place."""
    blocks: dict[str, set[int]] = {}
    for entry in entries:
        if str(entry["image"]).endswith(ENDING):
            blocks.setdefault(entry["image"], set()).add(entry["index"])
    return {
        (path, block): place
        for path, found in blocks.items()
        for place, block in enumerate(sorted(found))
    }
