"""What an evaluation leaves in ``model.json``, read back whole or refused."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from common.checks import InputError

__all__ = ["not_as_written", "read_recorded"]

Kept = TypeVar("Kept")


def read_recorded(
    kind: type[Kept], record: Mapping[str, Any] | None, name: str, where: str
) -> Kept | None:
    """Return what a record holds; None where a model has none.

    Args:
        kind: a dataclass.
        record: its fields.
        name: key of ``model.json``, for the message.
        where: the file, for the message.

    Raises:
        InputError: something else.
    """
    if record is None or record == {}:
        return None
    try:
        return TypeAdapter(kind).validate_python(record)
    except ValidationError:
        raise not_as_written(name, where) from None


def not_as_written(name: str, where: str) -> InputError:
    """Return the error of a part of ``model.json`` that no evaluation wrote."""
    return InputError(
        f"{where}: {name} must be what an evaluation wrote, got something else. Evaluate the run "
        "again."
    )
