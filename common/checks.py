"""One-line errors: what is wrong, the rule, the cure.

Every public function of this package reports a bad input with `InputError`, whose text stands
alone: ``<Class or file>: <argument> must be <rule>, got <value>. <cure>``.
"""

import re

from common.text import plain

__all__ = ["InputError", "require", "require_name"]

NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,199}")


class InputError(ValueError):
    """A bad input, told in one line that names the file or argument, the rule and the cure.

    What the line quotes cannot break it: line breaks, terminal sequences and the like are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


def require(condition: bool, message: str) -> None:
    """Raise `InputError` with `message` unless `condition` holds.

    Args:
        condition: the rule, already evaluated.
        message: one line: file or argument, rule, value, cure.

    >>> require(0.1 > 0, "InfoNCE: temperature must be positive, got 0.1.")
    """
    if not condition:
        raise InputError(message)


def require_name(text: str, what: str) -> str:
    """Return `text` if it can name a run, and so a folder, on any machine and nowhere else.

    Args:
        text: at most 200 letters, digits and ``. _ + -``, the first not a dot.
        what: what an error calls it, e.g. ``"strategy"``.

    >>> require_name("y_aware_sigma5.0", "strategy")
    'y_aware_sigma5.0'
    """
    require(
        isinstance(text, str) and NAME.fullmatch(text) is not None,
        f"{what} must be a name of at most 200 letters, digits and . _ + -, not starting with a "
        f"dot, got {str(text)[:80]!r}. It names a folder of the run.",
    )
    return text
