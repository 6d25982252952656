"""Docstrings as the site shows them: examples and literal blocks become code.

The docstrings of this collection are Google's, with reStructuredText's ``::`` before an indented
block, doctests in running text, and tables of ``===``; Markdown has other marks for the three.
"""

import re
from typing import Any

from griffe import Extension, Object

TABLE = re.compile(r"^(=+ +=+.*)$")


class Docstrings(Extension):
    """Rewrite every docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Put Markdown in place of what Markdown does not know."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """Return `text` with its doctests, literal blocks and tables as fenced code."""
    lines = text.expandtabs().splitlines()
    out: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        end = _end_of_block(lines, at)
        if end > at:
            out += _fenced(lines[at:end], "pycon" if ">>>" in line else "text")
            at = end
            continue
        out.append(re.sub(r"(?<=\S)::$", ":", line) if line.strip() != "::" else "")
        at += 1
        if line.rstrip().endswith("::"):
            at = _literal(lines, at, out)
    return "\n".join(out)


def _end_of_block(lines: list[str], at: int) -> int:
    """Line behind a doctest or a table that starts at `at`; `at` where none does."""
    if lines[at].lstrip().startswith(">>>"):
        while at < len(lines) and lines[at].strip():
            at += 1
    elif TABLE.match(lines[at]):
        last = max(i for i in range(at, len(lines)) if TABLE.match(lines[i]))
        at = last + 1
    return at


def _literal(lines: list[str], at: int, out: list[str]) -> int:
    """Append the indented block behind ``::`` as code; return the line behind it."""
    start = at
    while at < len(lines) and not lines[at].strip():
        at += 1
    indent = len(lines[start - 1]) - len(lines[start - 1].lstrip())
    end = at
    while end < len(lines) and (
        not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent
    ):
        end += 1
    block = lines[at:end]
    while block and not block[-1].strip():
        block.pop()
    if block:
        out += _fenced(block, "text")
    return end


def _fenced(block: list[str], language: str) -> list[str]:
    """Return `block` without its common indentation, fenced, an empty line around it."""
    indent = min(len(line) - len(line.lstrip()) for line in block if line.strip())
    return ["", f"```{language}", *(line[indent:] for line in block), "```", ""]
