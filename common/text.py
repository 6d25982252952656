"""Text from outside (file names, tables, headers), made harmless for screens and spreadsheets."""

import unicodedata

__all__ = ["cell", "plain"]

UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, bidi and zero-width marks, lone surrogates
FORMULA = tuple("=+-@＝＋－＠")  # a spreadsheet computes what starts with these


def plain(text: str) -> str:
    r"""Write every character that cannot be seen as its escape, so that the text is one line.

    Line breaks, terminal (ANSI) sequences, marks that turn the direction of writing, and bytes of a
    file name that are not UTF-8 become ``\n``, ``\x1b``, ``\u202e``, ``\udcff``.

    >>> plain("film\x1b[2J\n.png")
    'film\\x1b[2J\\n.png'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in UNSEEN else char
        for char in text
    )


def cell(text: str) -> str:
    """`plain`, and with an apostrophe before what a spreadsheet would take for a formula.

    >>> cell("=HYPERLINK(A1)"), cell("film.png")
    ("'=HYPERLINK(A1)", 'film.png')
    """
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULA) else text
