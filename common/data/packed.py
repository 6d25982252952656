"""Entries of many files in two arrays, which processes that read share.

Whatever looks at a Python object writes its count of references, so that a forked process soon has
a copy of its own of every page that a long list fills.
"""

import pickle
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

__all__ = ["FEW", "packed"]

FEW = 1000  # of so few a list costs nothing

Entry = dict[str, Any]


def packed(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the same entries, packed where they are many and name files.

    What is taken out of it is a copy.
    """
    files = all(isinstance(entry["image"], str | list) for entry in entries)
    return _Packed(entries) if len(entries) > FEW and files else entries


class _Packed(Sequence[Entry]):
    def __init__(self, entries: Sequence[Entry]) -> None:
        pieces = [pickle.dumps(entry, pickle.HIGHEST_PROTOCOL) for entry in entries]
        self._ends = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        self._bytes = np.frombuffer(b"".join(pieces), np.uint8)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        place = range(len(self))[index]
        start, end = self._ends[place : place + 2]
        return dict(pickle.loads(self._bytes[start:end].data))
