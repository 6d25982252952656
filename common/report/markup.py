"""Markup without a library: elements, escaped text, sections."""

import re
from collections.abc import Sequence
from html import escape

_INTERVAL = re.compile(r"\d+\.\d+(–\d+\.\d+)? %|\d+\.\d+–\d+\.\d+")


def text(value: object) -> str:
    """Escape `value` for use as text or inside a quoted attribute."""
    return escape(str(value), quote=True)


def element(name: str, *children: str, **attributes: object) -> str:
    """Return an element; attribute values are escaped, children are markup already.

    >>> element("p", "a &lt; b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def paragraph(words: str, kind: str = "text") -> str:
    """Return a paragraph of plain `words`; `kind` is its class: text, verdict, note or warning."""
    unbroken = _INTERVAL.sub(r'<span class="unbroken">\g<0></span>', text(words))
    return element("p", unbroken, class_=kind)


def section(identifier: str, heading: str, *children: str) -> str:
    """Return a titled section of markup."""
    return element("section", element("h2", text(heading)), *children, id=identifier)


def swatch(colour: str, name: str) -> str:
    """Return `name` after a dot of its colour."""
    dot = element("span", "", class_="dot", style=f"background:{colour}")
    return element("span", dot, text(name), class_="swatch")


def figure_table(corner: str, heads: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> str:
    """Return a table of figures.

    Args:
        corner: heading of the first column, plain text.
        heads: of the other columns, plain text.
        rows: the first cell, as markup, and the others, as plain text.
    """
    first = element("tr", *(element("th", text(head), scope="col") for head in (corner, *heads)))
    body = [
        element(
            "tr", element("th", name, scope="row"), *(element("td", text(cell)) for cell in cells)
        )
        for name, cells in rows
    ]
    table = element("table", element("thead", first), element("tbody", *body), class_="figures")
    return element("div", table, class_="scroll")
