"""Sex and diagnosis of a person, as tables write them."""

from common.data.healthy import healthiness
from common.data.tables import canonical
from data_prep.machinery.classes import is_unlabelled

__all__ = ["CONTROL", "SEXES", "read_diagnosis", "read_sex"]

SEXES = ["female", "male"]  # by number
CONTROL = "control"  # every name of the healthy


def read_sex(text: str) -> int:
    """Return the number of a sex in `SEXES`; -1 for numbers, whose meaning differs, and others.

    >>> [read_sex(text) for text in ("F", "male", "1", "")]
    [0, 1, -1, -1]
    """
    spellings = [(name, name[0]) for name in SEXES]
    return next((k for k, words in enumerate(spellings) if text.strip().lower() in words), -1)


def read_diagnosis(text: str) -> str:
    """Return `CONTROL`, another diagnosis in small letters, or "" where the text says nothing.

    >>> [read_diagnosis(text) for text in ("Healthy", "ASD", "0", "not available")]
    ['control', 'asd', 'control', '']
    """
    text = text.lower()
    if is_unlabelled(text):
        return ""
    return CONTROL if healthiness(text) == 2 else canonical(text)
