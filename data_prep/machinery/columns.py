"""Columns of a table of labels: by other names, kept as groups, or a finding each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.checks import require
from common.data.tables import Line, number
from data_prep.machinery.classes import is_unlabelled, name_classes

__all__ = ["Columns"]

MOST_GROUPS = 50  # values of a column that is kept: with more it may be a name, a date or a number
RESERVED = (
    *("image", "label", "patient", "index", "slice", "fold", "part", "split", "origin", "mask"),
    *("age", "site", "bias", "copy", "name"),
)
PRESENT, ABSENT = "present", "absent"


@dataclass(frozen=True)
class Columns:
    """How a table of labels calls its columns, and which others are kept.

    Args:
        named: of "image", "label", "patient", "split", "age", "site" and "bias" to the table's own
            name.
        groups: columns whose values, at most 50, go into the manifest as they are spelt.
        findings: columns of 1 and 0, which go into the manifest as numbers, -1 where they say
            nothing; without a column for the label it is whether one of them is 1.
        overlap: accept patients in two parts of the split.
    """

    named: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    overlap: bool = False

    def wanted(self) -> list[str | tuple[str, ...]]:
        """Return what the header must hold: names in lower case, or a choice of two."""
        image, label = self.named.get("image"), self.named.get("label", "label")
        given = [name for role, name in self.named.items() if role not in ("image", "label")]
        labels = [] if self.findings and "label" not in self.named else [label]
        rest = [name.lower() for name in (*labels, *given, *self.groups, *self.findings)]
        return [("image", "file") if image is None else image.lower(), *rest]

    def kept(self, lines: Sequence[Line], where: str) -> list[dict[str, str | int]]:
        """Read groups and findings, and give the other columns the names that are used here.

        Args:
            lines: of the table; changed.
            where: name of the table.

        Returns:
            What is kept of each row.

        Raises:
            InputError: a column with a meaning of its own, more than 50 groups, or a finding that
                is neither 1 nor 0.
        """
        kept: list[dict[str, str | int]] = [{} for _ in lines]
        for name in (name.lower() for name in self.groups):
            _check_free(name, "--groups")
            values = _group(lines, name, where)
            for line, row in zip(lines, kept):
                value = values[line[name]]
                row |= {name: value} if value else {}
        for name in (name.lower() for name in self.findings):
            _check_free(name, "--findings")
            for line, row in zip(lines, kept):
                row[name.replace(" ", "_")] = _finding(line, name)
        for line, row in zip(lines, kept):
            signs = {row[name.lower().replace(" ", "_")] for name in self.findings}
            line.update({role: line[name.lower()] for role, name in self.named.items()})
            if self.findings and "label" not in self.named:
                line["label"] = PRESENT if 1 in signs else ABSENT if signs == {0} else ""
        return kept


def _check_free(name: str, option: str) -> None:
    require(
        name not in RESERVED,
        f"{option}: {name} must be a column of another name than {', '.join(RESERVED)}, which have "
        "a meaning of their own. Rename it.",
    )


def _group(lines: Sequence[Line], name: str, where: str) -> dict[str, str]:
    """What each text of a column is kept as; "" where it says nothing."""
    values = name_classes([line[name] for line in lines], f"{where}: {name}")
    require(
        len(values.names) <= MOST_GROUPS,
        f"{where}: {name} must have at most {MOST_GROUPS} values to be kept as a group, got "
        f"{len(values.names)}. A column of names or numbers is none.",
    )
    return {text: values.names[k] if k >= 0 else "" for text, k in values.numbers.items()}


def _finding(line: Line, name: str) -> int:
    value = number(line[name])
    require(
        value in (0, 1) or is_unlabelled(line[name]),
        f"{line.where}: {name} must be 1, 0 or empty, got something else. Correct the row.",
    )
    return int(value) if value in (0, 1) else -1
