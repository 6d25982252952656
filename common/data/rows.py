"""The entries of a file of columns (`common.data.row_file`), each made when it is asked for.

::

    file ──memory map, one for all processes──▶ columns ──one row──▶ {"image": ..., "label": ...}

`Rows` are a sequence of entries like a list of them, for whoever walks over them or takes one.
Whoever needs a whole column asks for it, of a list too: `counted`, `coded`, `numbers`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from common.checks import InputError
from common.data.row_file import KINDS

__all__ = ["Rows", "coded", "counted", "numbers"]

PATHS = ("image", "mask")  # columns that name files below the folder of the manifest
CURE = "Copy the folder again, or prepare the data again with python -m data_prep."

Entry = dict[str, Any]
Places = npt.NDArray[np.int64]
DECODE: dict[str, Callable[[Any], Any]] = {"hex": bytes.hex, "json": json.loads}


class Rows(Sequence[Entry]):
    """Entries of a file of columns.

    Pickled, they are a path: a worker process maps the file again.

    Args:
        path: the file.
        chosen: numbers of the rows that count, in ascending order; None for all.
        root: folder that is put before the paths of images and masks; "" for none.
        added: columns by name, of numbers or rows of numbers (an array) or of texts (Arrow's),
            each as long as the rows that count; they replace those of the file.

    Raises:
        InputError: the file is missing, is damaged, or is none of `write_rows`.
    """

    def __init__(
        self,
        path: str | Path,
        chosen: Places | None = None,
        root: str = "",
        added: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.root = root
        self._chosen = chosen
        self._added = dict(added or {})
        self._batches: list[Any] = []
        self._starts: Places = np.zeros(1, np.int64)
        self._open()

    def _open(self) -> None:
        import pyarrow as pa

        with _told(self.path):
            reader = pa.ipc.open_file(pa.memory_map(str(self.path)))
            self._batches = [reader.get_batch(n) for n in range(reader.num_record_batches)]
            self._schema = reader.schema
            marks = [field.metadata or {} for field in self._schema]
            self._kinds = {
                field.name: mark.get(b"kind", b"").decode()
                for field, mark in zip(self._schema, marks)
            }
            if not set(self._kinds.values()) <= set(KINDS):
                raise pa.ArrowInvalid("its columns have no kind")
        self._none = [mark.get(b"absent") == b"none" for mark in marks]
        self._starts = np.cumsum([0, *(len(batch) for batch in self._batches)])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map out."""
        return {"path": self.path, "root": self.root, "chosen": self._chosen, "added": self._added}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the file again."""
        self.__init__(**state)  # type: ignore[misc]  # the same object, made again

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; not every entry has each."""
        return tuple(dict.fromkeys([*self._kinds, *self._added]))

    def kind(self, name: str) -> str:
        """Return the kind of a column of the file; "" where there is none."""
        return str(self._kinds.get(name, ""))

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._chosen) if self._chosen is not None else int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        """Return one entry, or some as `Rows`; those in another order as a list."""
        if isinstance(index, slice):
            places = np.arange(len(self))[index]
            ordered = len(places) < 2 or places[1] > places[0]
            return self.take(places) if ordered else [self[int(place)] for place in places]
        position = range(len(self))[index]
        place = position if self._chosen is None else int(self._chosen[position])
        number = int(np.searchsorted(self._starts, place, "right")) - 1
        batch, row = self._batches[number], place - int(self._starts[number])
        values = [column[row].as_py() for column in batch.columns]
        return self._entry(values, position)

    def __iter__(self) -> Iterator[Entry]:
        position = 0
        for batch in self._counting():
            for values in zip(*(column.to_pylist() for column in batch.columns)):
                yield self._entry(values, position)
                position += 1

    def __eq__(self, other: object) -> bool:
        """Whether the entries are the same, of a list too."""
        if not isinstance(other, Sequence) or len(other) != len(self):
            return False
        return all(mine == its for mine, its in zip(self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def take(self, places: Places) -> "Rows":
        """Return some of the entries, by their numbers in ascending order."""
        chosen = places if self._chosen is None else self._chosen[places]
        added = {
            name: values[places] if isinstance(values, np.ndarray) else values.take(places)
            for name, values in self._added.items()
        }
        return Rows(self.path, chosen, self.root, added)

    def with_values(self, **added: Any) -> "Rows":
        """Return the entries with further columns, or others; see ``added``."""
        return Rows(self.path, self._chosen, self.root, {**self._added, **added})

    def below(self, root: str) -> "Rows":
        """Return the entries with paths below the folder `root`."""
        return Rows(self.path, self._chosen, root, self._added)

    def array(self, name: str) -> Any:
        """Return a column as the file has it, an Arrow array of strings, numbers, ...; or added.

        Paths are relative to the folder of the manifest. A column that no entry has is of nulls.
        """
        import pyarrow as pa

        if name in self._added:
            return self._added[name]
        if name not in self._kinds:
            return pa.nulls(len(self))
        chunks = [batch.column(name) for batch in self._counting()]
        return pa.chunked_array(chunks, self._schema.field(name).type)

    def decoded(self, name: str, values: Sequence[Any]) -> list[Any]:
        """Return values of a column as entries have them."""
        decode = DECODE.get(self._kinds.get(name, ""))
        if decode is None or name in self._added:
            return list(values)
        return [None if value is None else decode(value) for value in values]

    def _counting(self) -> Iterator[Any]:
        """The rows that count, batch by batch."""
        for number, batch in enumerate(self._batches):
            if self._chosen is None:
                yield batch
                continue
            low, high = np.searchsorted(self._chosen, self._starts[number : number + 2])
            yield batch.take(self._chosen[low:high] - self._starts[number])

    def _entry(self, values: Sequence[Any], position: int) -> Entry:
        entry: Entry = {}
        for (name, kind), value, none in zip(self._kinds.items(), values, self._none):
            if value is not None:
                decode = DECODE.get(kind)
                entry[name] = value if decode is None else decode(value)
            elif none:
                entry[name] = None
        for name in PATHS if self.root else ():
            if name in entry:
                entry[name] = _below(self.root, entry[name])
        for name, column in self._added.items():
            value = column[position]
            entry[name] = value if getattr(value, "ndim", 0) else _plain(value)
        return entry


def counted(entries: Sequence[Mapping[str, Any]], name: str) -> list[tuple[Any, int]]:
    """Return the values of a column, each with how often it is there; None where there is none.

    Of a list, equal values may be told more than once.
    """
    if not isinstance(entries, Rows):
        values = [entry.get(name) for entry in entries]
        try:
            return list(Counter(values).items())
        except TypeError:  # rows of numbers
            return [(value, 1) for value in values]
    array = entries.array(name)
    if isinstance(array, np.ndarray):
        if array.ndim > 1:
            return [(row, 1) for row in array]
        found, counts = np.unique(array, return_counts=True)
        return list(zip(found.tolist(), counts.tolist()))
    pairs = array.value_counts()
    values = entries.decoded(name, pairs.field("values").to_pylist())
    return list(zip(values, pairs.field("counts").to_pylist()))


def coded(entries: Sequence[Mapping[str, Any]], name: str) -> tuple[Places, list[str]]:
    """Return the number of each entry's value, as text, and the values by number."""
    if not isinstance(entries, Rows):
        number: dict[str, int] = {}
        codes = [number.setdefault(str(entry[name]), len(number)) for entry in entries]
        return np.array(codes, np.int64), list(number)
    array = entries.array(name)
    if not len(array):
        return np.zeros(0, np.int64), []
    encoded = array.dictionary_encode().unify_dictionaries()
    indices = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    names = entries.decoded(name, encoded.chunk(0).dictionary.to_pylist())
    return indices.astype(np.int64), [str(value) for value in names]


def numbers(entries: Sequence[Mapping[str, Any]], name: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers, (N,), NaN where an entry has none."""
    if isinstance(entries, Rows):
        array = entries.array(name)
        values = array if isinstance(array, np.ndarray) else array.to_numpy()
        return np.asarray(values, np.float64)
    values = [entry.get(name) for entry in entries]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _below(root: str, value: Any) -> Any:
    if isinstance(value, str):
        return f"{root}/{value}"
    return [_below(root, item) for item in value]


def _plain(value: Any) -> Any:
    return value.as_py() if hasattr(value, "as_py") else value.item()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """One line for a file that cannot be mapped, and for a package that is not there."""
    try:
        import pyarrow as pa
    except ImportError:
        raise InputError(
            f"{path}: the manifest of many images needs the package pyarrow, got none. "
            "pip install pyarrow."
        ) from None
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: must exist, got no such file. {CURE}") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: must be a whole Arrow file, got an error ({reason}). {CURE}"
        ) from None
