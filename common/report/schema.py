"""The one schema between a dataclass and its JSON file, for whoever writes it and whoever reads it.

A dataclass is the schema: its fields' types are those below or other dataclasses. `to_json` turns
one into text and `from_json` back; a file that breaks a rule ends in one line with file and key.
Keys that a dataclass does not know are passed over, and a field at its default is not written.
"""

import json
import math
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from common.checks import InputError, require

__all__ = [
    "CURE", "Edges", "Ends", "Number", "Positive", "Share", "Text", "Unknown", "from_json",
    "number",
    "read_arrays", "read_json", "refuse", "to_json",
]  # fmt: skip

CURE = "Run the bundle's evaluate.json again to rewrite it."
_RULES = {
    "int_type": "an integer",
    "string_type": "a text",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "an object",
    "dataclass_type": "an object",
    "missing": "there, or null",
}
_SCHEMAS: dict[Any, TypeAdapter[Any]] = {}

T = TypeVar("T")


def number(low: float, high: float) -> WrapValidator:
    """A validator of numbers in [low, high]."""
    return must_be(f"a number in [{low:g}, {high:g}]", low, high)


def must_be(rule: str, low: float = -math.inf, high: float = math.inf) -> WrapValidator:
    """A validator whose every mistake is told as `rule`; numbers lie in [low, high]."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            checked = handler(tuple(value) if isinstance(value, list) else value)
        except ValidationError:
            raise PydanticCustomError("rule", "{rule}", {"rule": rule}) from None
        if isinstance(checked, float) and not (math.isfinite(checked) and low <= checked <= high):
            raise PydanticCustomError("rule", "{rule}", {"rule": rule})
        return checked

    return WrapValidator(check)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def _increasing(edges: tuple[float, ...]) -> tuple[float, ...]:
    if len(edges) < 2 or not all(low < high for low, high in pairwise(edges)):
        raise ValueError
    return edges


Unknown = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: float(value) if math.isfinite(value) else None),
]
Number = Annotated[float, must_be("a number")]
Positive = Annotated[float, number(0, math.inf)]
Share = Annotated[float, number(0, 1)]
Ends = Annotated[tuple[Unknown, Unknown], must_be("a list of 2 numbers")]
Text = Annotated[str, AfterValidator(_not_blank), must_be("a text")]
Edges = Annotated[
    tuple[float, ...],
    AfterValidator(_increasing),
    must_be("two or more increasing numbers"),
]


def refuse(key: str, rule: str) -> None:
    """Say, in the ``__post_init__`` of a dataclass, that its field `key` breaks a rule."""
    raise PydanticCustomError("field", "{rule}", {"key": key, "rule": rule})


def _schema(of: Any) -> TypeAdapter[Any]:
    if of not in _SCHEMAS:
        _SCHEMAS[of] = TypeAdapter(of)
    return _SCHEMAS[of]


def to_json(value: Any) -> dict[str, Any]:
    """Return a dataclass as JSON objects; `from_json` would accept them."""
    content: dict[str, Any] = _schema(type(value)).dump_python(
        value, mode="json", exclude_defaults=True
    )
    return content


def from_json(of: type[T], values: Mapping[str, Any], path: Path) -> T:
    """Return the dataclass `of` that JSON objects hold.

    Args:
        of: the dataclass.
        values: a JSON object.
        path: the file it came from, for messages.

    Raises:
        InputError: a key is missing or breaks its rule.
    """
    try:
        result: T = _schema(of).validate_json(json.dumps(values), strict=True)
        return result
    except ValidationError as error:
        problem = _told(of, values, error)
    raise InputError(f"{path}: {problem}. {CURE}")


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object in `path`.

    Raises:
        InputError: the file is missing, unreadable, not JSON, or not an object.
    """
    require(path.is_file(), f"{path}: must be a file, got nothing there. {CURE}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        reason = str(error).replace("\n", " ")
        raise InputError(f"{path}: must be a JSON file, got {reason}. {CURE}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold a JSON object, got {_brief(values)}. {CURE}")
    return values


def read_arrays(path: Path, axes: Mapping[str, int] | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file by name.

    Args:
        path: the file.
        axes: number of axes of the arrays that it must hold.

    Raises:
        InputError: the file is missing, damaged, holds pickles, or lacks an array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).replace("\n", " ")
        raise InputError(
            f"{path}: must be an npz file without pickles: {reason}. {CURE}"
        ) from error
    for name, count in (axes or {}).items():
        shapes = ", ".join(f"{key} {array.shape}" for key, array in sorted(arrays.items()))
        require(
            name in arrays and arrays[name].ndim == count,
            f"{path}: must hold an array {name!r} of {count} axes, got {shapes}. {CURE}",
        )
    return arrays


def _told(of: type[Any], values: Mapping[str, Any], error: ValidationError) -> str:
    """The first mistake as "key must be rule, got value"; what is missing comes last."""
    first = sorted(error.errors(), key=lambda each: each["type"] == "missing")[0]
    place, got = list(first["loc"]), _brief(first["input"])
    if first["type"] == "missing":
        got, first = "no such key", _of_null(of, values, place) or first
    if first["type"] == "field":
        place.append(first["ctx"]["key"])
        got = "something else"
    rule = _RULES.get(first["type"], first["msg"])
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return f"{key[1:]} must be {rule}, got {got}"


def _of_null(of: type[Any], values: Mapping[str, Any], place: list[int | str]) -> Any:
    """What is wrong with null at a place where a key is missing: the rule of that key."""
    changed = json.loads(json.dumps(values))
    inside = changed
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = None
    try:
        _schema(of).validate_json(json.dumps(changed), strict=True)
    except ValidationError as error:
        return next((each for each in error.errors() if list(each["loc"]) == place), None)
    return None


def _brief(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."
