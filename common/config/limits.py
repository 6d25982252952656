"""What a dial may be: one line of plain words beside its value, in the configuration itself.

``limits`` is a dict beside ``sources``, dial -> rule::

    "epochs": "int >= 1"                     "temperature": "float > 0"
    "label_fraction": "float > 0, <= 1"      "amp": "bool"
    "repulsion": "all | threshold | exponential"
    "channels": "list of int >= 1"           "mean": "list of 3 float"
    "crop_scale": "list of 2 float > 0, <= 1, ascending"
    "channel_images": "int >= 1 | null"      "lr_steps": "list of int >= 1, ascending | []"
    "age_group": "float >= 0 if regularizer is not null"

A rule is a kind (``bool``, ``int``, ``float``, ``text``, ``name``, ``device``, ``null``) or words
of which one is chosen, then bounds, then what else is allowed (``| null``, ``| []``), then the
condition under which anything reads the dial at all:

- an ``int`` is a ``float``; a ``bool`` is neither, nor is text that looks like a number; a
  ``float`` is finite;
- a ``name`` becomes part of a file's name: letters, digits and ``_ . + = -``;
- a list has at least one item, or as many as the rule says;
- ``if DIAL is VALUE or VALUE`` (``is not``): VALUE is a word, a number, ``null``, or the class a
  block is built from, such as ``if policy is TransformationNetwork``.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Limit", "as_text"]

_BOUND = r"(>=|<=|>|<) (-?\d+(?:\.\d+)?(?:e-?\d+)?)"
_NUMBER = re.compile(rf"(int|float)((?: {_BOUND})?(?:, {_BOUND})*)")
_LIST = re.compile(r"list of (?:(\d+) )?(.+?)(, ascending)?")
_CONDITION = re.compile(r"(\w+) is (not )?(.+)")
_WORD = re.compile(r"[A-Za-z]\w*")
_NAME = re.compile(r"[\w.+=-]*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
}


@dataclass(frozen=True)
class Limit:
    """A parsed rule; see the module for the grammar.

    >>> Limit.parse("list of 2 float > 0, <= 1, ascending").allows([0.2, 1])
    True
    >>> Limit.parse("int >= 1").allows(True)
    False
    """

    rule: str
    kind: str
    words: tuple[str, ...] = ()
    bounds: tuple[tuple[str, float], ...] = ()
    many: bool = False
    count: int = 0
    ascending: bool = False
    extra: tuple[Any, ...] = ()
    reader: tuple[str, bool, tuple[str, ...]] | None = None

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Read a rule.

        Raises:
            ValueError: `text` is not one.
        """
        rule, _, condition = text.partition(" if ")
        parts = rule.split(" | ")
        extra: list[Any] = [json.loads(part) for part in parts[1:] if part in ("null", "[]")]
        words = [part for part in parts if part not in ("null", "[]") or part == rule]
        listed = _LIST.fullmatch(" | ".join(words))
        item = listed[2] if listed else " | ".join(words)
        number = _NUMBER.fullmatch(item)
        choice = item.split(" | ")
        words_only = len(choice) > 1 and all(map(_WORD.fullmatch, choice))
        if not (number or words_only or item in ("bool", "text", "name", "device", "null")):
            raise ValueError(f"{text!r} is not a rule of common.config.limits.")
        return cls(
            rule=rule,
            kind=number[1] if number else item if len(choice) == 1 else "word",
            words=tuple(choice) if len(choice) > 1 else (),
            bounds=tuple((op, float(v)) for op, v in re.findall(_BOUND, item)) if number else (),
            many=listed is not None,
            count=int(listed[1] or 0) if listed else 0,
            ascending=bool(listed and listed[3]),
            extra=tuple(extra),
            reader=_condition(condition, text),
        )

    def allows(self, value: Any) -> bool:
        """Whether `value` is of the kind and within the bounds."""
        if any(value is other or value == other == [] for other in self.extra):
            return True
        if not self.many:
            return self._item(value)
        if not isinstance(value, list | tuple) or not value:
            return False
        sized = not self.count or len(value) == self.count
        ordered = not self.ascending or list(value) == sorted(value, key=_sortable)
        return sized and ordered and all(map(self._item, value))

    def reads(self, config: Mapping[str, Any]) -> bool:
        """Whether anything reads the dial in `config`, that is, whether the condition holds."""
        if self.reader is None:
            return True
        dial, wanted, values = self.reader
        value = config.get(dial)
        while isinstance(value, str) and value.startswith("@") and value[1:] in config:
            value = config[value[1:]]
        return (_as_condition(value) in values) == wanted

    @property
    def words_for_rule(self) -> str:
        """The rule as an error says it."""
        plain = {
            "bool": "True or False",
            "name": "letters, digits and _ . + = -, as text",
            "device": "a device of this machine, such as cpu or cuda:0",
        }
        return plain.get(self.rule, self.rule)

    @property
    def condition(self) -> str:
        """The condition in words; "" where there is none."""
        if self.reader is None:
            return ""
        dial, wanted, values = self.reader
        return f"{dial} is {'' if wanted else 'not '}{' or '.join(values)}"

    def _item(self, value: Any) -> bool:
        if self.kind in ("int", "float"):
            whole = isinstance(value, int) and not isinstance(value, bool)
            real = isinstance(value, float) and math.isfinite(value) and self.kind == "float"
            return (whole or real) and all(_COMPARE[op](value, bound) for op, bound in self.bounds)
        if self.kind == "device":
            return is_device(value)
        if self.kind in ("bool", "null"):
            return value is None if self.kind == "null" else isinstance(value, bool)
        if not isinstance(value, str):
            return False
        if self.kind == "name":
            return _NAME.fullmatch(value) is not None and ".." not in value
        return self.kind == "text" or value in self.words


def as_text(value: Any) -> str:
    """Write a value as JSON would, at most 60 characters of it."""
    text = json.dumps(value, default=str, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _condition(text: str, rule: str) -> tuple[str, bool, tuple[str, ...]] | None:
    if not text:
        return None
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(f"{rule!r}: a condition is 'if DIAL is [not] VALUE or VALUE'.")
    return match[1], not match[2], tuple(match[3].split(" or "))


def _as_condition(value: Any) -> str:
    if isinstance(value, Mapping) and "_target_" in value:
        return str(value["_target_"]).rpartition(".")[2]
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _sortable(value: Any) -> float:
    return value if isinstance(value, int | float) else math.inf


def is_device(value: Any) -> bool:
    """Whether it names a device of this machine."""
    if not isinstance(value, str | torch.device):
        return False
    try:
        torch.empty(0, device=value)
    except (RuntimeError, AssertionError, ValueError):
        return False
    return torch.device(value).type != "meta"
