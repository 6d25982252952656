"""What a key file tells of a prepared folder."""

import csv
from pathlib import Path

from common.data import read_manifest


def key_of(target: Path) -> Path:
    return target.with_name(f"{target.name}_key.csv")


def rows(target: Path) -> list[dict[str, str]]:
    with key_of(target).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def reasons(target: Path) -> dict[str, str]:
    """Reasons for leaving out, by the name in the source."""
    names = {row["file"]: row["source"] for row in rows(target)}
    return {names[line["file"]]: line["reason"] for line in read_manifest(target)["skipped"]}


def patients(target: Path) -> dict[str, str]:
    """Pseudonyms, by what the source calls the patient."""
    return {row["patient"]: row["pseudonym"] for row in rows(target) if row["pseudonym"]}
