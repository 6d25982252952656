"""One-line errors: what is wrong, the rule, the cure.

Every public function of this package reports a bad input with `InputError`, whose text stands
alone: ``<Class or file>: <argument> must be <rule>, got <value>. <cure>``.
"""

__all__ = ["InputError", "require"]


class InputError(ValueError):
    """A bad input, told in one line that names the file or argument, the rule and the cure."""


def require(condition: bool, message: str) -> None:
    """Raise `InputError` with `message` unless `condition` holds.

    Args:
        condition: the rule, already evaluated.
        message: one line: file or argument, rule, value, cure.

    >>> require(0.1 > 0, "InfoNCE: temperature must be positive, got 0.1.")
    """
    if not condition:
        raise InputError(message)
