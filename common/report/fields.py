"""Typed reading of JSON objects, each mistake told in one line with its file and key."""

import json
import math
from pathlib import Path
from typing import Any, TypeGuard

from common.checks import InputError, require

CURE = "Run the bundle's evaluate.json again to rewrite it."


class Fields:
    """A JSON object whose values are asked for by key and type.

    Args:
        path: the file the object came from, for messages.
        values: the object itself.
        prefix: path of keys to the object inside the file, for messages, e.g. ``"interval."``.
    """

    def __init__(self, path: Path, values: dict[str, Any], prefix: str = "") -> None:
        self.path, self.values, self.prefix = path, values, prefix

    @classmethod
    def load(cls, path: Path) -> "Fields":
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
        return cls(path, values)

    def _fail(self, key: str, rule: str) -> InputError:
        got = _brief(self.values[key]) if key in self.values else "no such key"
        return InputError(f"{self.path}: {self.prefix}{key} must be {rule}, got {got}. {CURE}")

    def has(self, key: str) -> bool:
        """Return whether `key` is present and not null."""
        return self.values.get(key) is not None

    def text(self, key: str) -> str:
        """Return a string that is not blank."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._fail(key, "a text")
        return value

    def integer(self, key: str) -> int:
        """Return an integer."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._fail(key, "an integer")
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number in [low, high]."""
        value = self.values.get(key)
        number = float(value) if _is_number(value) else math.nan
        if not low <= number <= high:
            bounded = math.isfinite(low) or math.isfinite(high)
            raise self._fail(key, f"a number in [{low:g}, {high:g}]" if bounded else "a number")
        return number

    def numbers(self, key: str, length: int | None = None) -> tuple[float, ...]:
        """Return a list of numbers; null and NaN entries become NaN ("not known")."""
        value = self.values.get(key)
        count = "" if length is None else f"{length} "
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise self._fail(key, f"a list of {count}numbers")
        if not all(entry is None or isinstance(entry, int | float) for entry in value):
            raise self._fail(key, f"a list of {count}numbers")
        return tuple(math.nan if entry is None else float(entry) for entry in value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self._fail(key, "a list of texts")
        return tuple(value)

    def table(self, key: str) -> dict[str, Any]:
        """Return an object as it is; absent or null counts as empty."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._fail(key, "an object")
        return value

    def inside(self, key: str) -> "Fields":
        """Return the object under `key`, to be asked in turn."""
        value = self.values.get(key)
        if not isinstance(value, dict):
            raise self._fail(key, "an object")
        return Fields(self.path, value, f"{self.prefix}{key}.")

    def items(self, key: str) -> list["Fields"]:
        """Return the objects in the list under `key`."""
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self._fail(key, "a list of objects")
        return [
            Fields(self.path, entry, f"{self.prefix}{key}[{index}].")
            for index, entry in enumerate(value)
        ]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
