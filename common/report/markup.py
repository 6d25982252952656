"""Markup without a library: elements, escaped text, sections."""

import re
from html import escape

_INTERVAL = re.compile(r"\d+\.\d+–\d+\.\d+")


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
