"""What commands share: arguments whose errors are one line, and dials among them."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import NoReturn

from common.checks import InputError, require

__all__ = ["CommandParser", "read_dials"]


class CommandParser(ArgumentParser):
    """An argument parser whose errors are `InputError`, in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise."""
        raise InputError(f"{self.prog}: {message}. {self.prog} --help shows all.")


def read_dials(words: Sequence[str], command: str) -> dict[str, str]:
    """Read the dials of a bundle, what a parser's ``parse_known_args`` left over.

    Args:
        words: ``--dial value`` or ``--dial=value``.
        command: whose they are, for the message.

    Raises:
        InputError: a word that is no dial, or a dial without a value.

    >>> read_dials(["--epochs", "2", "--seed=1"], "train")
    {'epochs': '2', 'seed': '1'}
    """
    given, rest = {}, list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        require(
            word.startswith("--") and bool(equals or rest),
            f"{command}: dials must be written as --name value, got {word!r} "
            f"{'without a value' if word.startswith('--') else 'alone'}.",
        )
        given[name] = value if equals else rest.pop(0)
    return given
