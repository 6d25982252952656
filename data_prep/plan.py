"""What a source wants done: items, how to convert one, how to split the result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from data_prep.files import Output
from data_prep.split import Entry

__all__ = ["Item", "Plan"]


@dataclass(frozen=True)
class Item:
    """One unit of work: a patient or a file.

    Args:
        key: unique, names the record; must not identify a patient.
        name: what the list of skipped files calls it.
        payload: given to the plan's `convert`; picklable.
        stamp: changes when the input changes, e.g. its size.
    """

    key: str
    name: str
    payload: Any
    stamp: str = ""


@dataclass(frozen=True)
class Plan:
    """What a source wants done.

    Args:
        source: one sentence, recorded.
        licence: of the data, recorded.
        arguments: those that decide the output (not folders, not workers), recorded.
        items: the work, in the order of the manifest.
        convert: ``(payload, output) -> entries``; a module-level function, so picklable; raises
            `InputError` for an input that cannot be used.
        split: entries to parts.
        skipped: files already found unusable.
        extra: further keys of the manifest.
        merge_copies: count patients who share an exact image as one; each entry has one image.
        notes: lines for the user, printed before the work: which class is 0, what is left out.
        summarise: parts to further keys of the manifest, for what is known once all is done.
    """

    source: str
    licence: str
    arguments: dict[str, Any]
    items: list[Item]
    convert: Callable[[Any, Output], list[Entry]]
    split: Callable[[list[Entry]], dict[str, list[Entry]]]
    skipped: list[dict[str, str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    merge_copies: bool = False
    notes: list[str] = field(default_factory=list)
    summarise: Callable[[dict[str, list[Entry]]], dict[str, Any]] | None = None
