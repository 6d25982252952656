"""Markup by Jinja2: every value is escaped, unless it is `Markup` already.

Templates lie in ``templates``. In them a line break, with the spaces after it, is nothing.
"""

import re
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup, escape

__all__ = [
    "Markup", "anchored", "block", "blocks", "bullets", "code", "ends", "facts", "figure",
    "figure_table", "folded", "heading", "legend", "linked", "long", "opened", "panel", "panels",
    "paragraph", "pictures", "render", "row_head", "said", "section", "swatch",
]  # fmt: skip

_UNBROKEN = re.compile(r"\d+(\.\d+)?(–\d+(\.\d+)?)? %|\d+\.\d+–\d+\.\d+")


class _Tight(Extension):
    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return re.sub(r"\n\s*", "", source)


def _unbroken(words: str) -> Markup:
    """Keep intervals and percentages on one line."""
    return Markup(_UNBROKEN.sub(r'<span class="unbroken">\g<0></span>', str(escape(words))))


_TEMPLATES = Environment(
    loader=PackageLoader(__package__),
    autoescape=True,
    undefined=StrictUndefined,
    extensions=[_Tight],
)
_TEMPLATES.filters |= {"unbroken": _unbroken, "px": "{:.1f}".format}
_PIECES: Any = _TEMPLATES.get_template("pieces.html").module


def render(template: str, **values: Any) -> Markup:
    """Fill in a template, named without its ending."""
    return Markup(_TEMPLATES.get_template(f"{template}.html").render(**values))


def heading(words: str) -> Markup:
    """Return a heading inside a section."""
    return Markup(_PIECES.heading(words))


def paragraph(words: str, kind: str = "text") -> Markup:
    """Return a paragraph; `kind` is its class: text, verdict, note or warning."""
    return Markup(_PIECES.paragraph(words, kind))


def bullets(lines: Sequence[str]) -> Markup:
    """Return a list."""
    return Markup(_PIECES.bullets(lines))


def code(text: str) -> Markup:
    """Return text as it is, such as JSON."""
    return Markup(_PIECES.code(text))


def section(identifier: str, title: str, *children: str) -> Markup:
    """Return a titled section."""
    return Markup(_PIECES.section(identifier, title, children))


def anchored(identifier: str, *children: str) -> Markup:
    """Return what a link can lead to."""
    return Markup(_PIECES.anchored(identifier, children))


def linked(words: str, target: str, link: str) -> Markup:
    """Return words and, behind them, a link to the place `target` of this page."""
    return Markup(_PIECES.linked(words, target, link))


def folded(title: str, *children: str) -> Markup:
    """Return what opens when its title is pressed; print shows it closed."""
    return Markup(_PIECES.folded(title, children))


def long(words: str) -> Markup:
    """Return words that a table may break into lines."""
    return Markup(_PIECES.long(words))


def opened(title: str, *children: str, opens: bool, kind: str = "part") -> Markup:
    """Return what opens or closes when its title is pressed; print shows it open.

    `kind` "whole" sets it apart as a chapter.
    """
    return Markup(_PIECES.opened(title, children, opens, kind))


def said(sentence: str) -> Markup:
    """Return a finding of a verdict."""
    return Markup(_PIECES.said(sentence))


def swatch(colour: str, name: str) -> Markup:
    """Return `name` after a dot of its colour."""
    return Markup(_PIECES.swatch(colour, name))


def legend(*swatches: str) -> Markup:
    """Return swatches in a line."""
    return Markup(_PIECES.legend(swatches))


def block(title: str, *children: str) -> Markup:
    """Return what belongs under one small title."""
    return Markup(_PIECES.block(title, children))


def blocks(*children: str, wide: int) -> Markup:
    """Return blocks that share rows, each at most `wide` panels or pictures long."""
    return Markup(_PIECES.blocks(children, wide))


def panels(*children: str, kind: str = "") -> Markup:
    """Return panels in rows; `kind` "halves" puts two in one."""
    return Markup(_PIECES.several(f"panels {kind}".strip(), children))


def pictures(*children: str, kind: str = "") -> Markup:
    """Return figures in rows; `kind` "maps" makes them larger, "even" few no larger than many."""
    return Markup(_PIECES.several(f"pictures {kind}".strip(), children))


def panel(
    chart: str, title: str = "", *, value: str = "", words: str = "", kind: str = "wide"
) -> Markup:
    """Return a chart with a title and a figure above it and words below."""
    return Markup(_PIECES.panel(chart, title, value, words, kind))


def figure(*shown: str, name: str, words: str = "", warning: str = "") -> Markup:
    """Return pictures, one below the other, with a caption."""
    return Markup(_PIECES.figure(shown, name, words, warning))


def ends(low: str, high: str) -> Markup:
    """Return what the two ends of a chart mean."""
    return Markup(_PIECES.ends(low, high))


def row_head(name: str, words: str = "") -> Markup:
    """Return the first cell of a row, with small words behind the name."""
    return Markup(_PIECES.row_head(name, words))


def figure_table(
    corner: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]
) -> Markup:
    """Return a table of figures.

    Args:
        corner: heading of the first column.
        heads: of the other columns.
        rows: the first cell and the others.
    """
    return Markup(_PIECES.figures(corner, list(heads), rows))


def facts(rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> Markup:
    """Return a table of names and, for each, values and who has them ("" for all)."""
    return Markup(_PIECES.facts(rows))
