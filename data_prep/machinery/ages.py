"""Ages of a table, in years; codes for "unknown" are counted."""

import re
from collections import Counter

from common.checks import require
from common.data.tables import is_missing, number

__all__ = ["age_note", "read_age"]

OLDEST_AGE = 90  # stands for 90 and above, as HIPAA's safe harbour asks
MOST_AGE = 120  # years; beyond, and below 0, are codes for "unknown"
LONGEST_CODE = 9999  # codes above it are not printed: they may be dates


def read_age(text: str, where: str, unknown: list[str] | None = None) -> float | None:
    """Read years, at most 90; None where they are not known.

    Args:
        text: a number, DICOM's ``045Y``, or ``>89`` and ``90+``.
        where: what an error calls the row.
        unknown: gets the text of numbers below 0 or above 120, which are codes such as -9999.

    Raises:
        InputError: neither a number nor a word for "no value".

    >>> read_age("61,5", "row"), read_age("95", "row"), read_age("-9999", "row")
    (61.5, 90, None)
    """
    if is_missing(text):
        return None
    coded = re.fullmatch(r"(?:>=?\s*)?(\d{1,3}) ?(?:\+|y|Y)?", text.strip(), re.ASCII)
    value = float(coded[1]) if coded else number(text)
    require(
        value is not None,
        f"{where}: age must be a number of years, got something else. Correct it, or leave it "
        "empty.",
    )
    if value is None or not 0 <= value <= MOST_AGE:
        if unknown is not None:
            unknown.append(text)
        return None
    return min(value, OLDEST_AGE)


def age_note(unknown: list[str], where: str) -> list[str]:
    """Return a line that counts the ages that are codes, or nothing."""
    if not unknown:
        return []
    # a date of birth, written as a number, is no code to print
    words = (text if abs(number(text) or 0) <= LONGEST_CODE else "larger" for text in unknown)
    codes = ", ".join(f"{count} {text}" for text, count in Counter(words).most_common(5))
    return [f"{where}: {len(unknown)} ages are unknown, not in 0..{MOST_AGE} years ({codes})"]
