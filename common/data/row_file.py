"""Many entries in a file of columns, which every process of a machine reads by the same map.

The file is Arrow's own (IPC, also called Feather 2), not compressed, in batches of `ROWS` rows. A
column is in memory as it lies on the disk, so nothing is decoded and no process has a copy; Parquet
would have to be decoded by each. ``pandas.read_feather`` and every Arrow library read it.

A column's metadata say what its values were: ``kind`` is one of `KINDS`, and ``absent`` is "none"
where an entry without a value has the key with None, else such an entry has no key.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

__all__ = ["KINDS", "ROWS", "write_rows"]

ROWS = 2**16  # of a batch
KINDS = ("text", "integer", "number", "truth", "texts", "hex", "json")
SMALLEST_HEX = 32  # characters from which digests are kept as bytes
INTEGERS = range(-(2**63), 2**63)

Entry = dict[str, Any]


def write_rows(path: str | Path, entries: Sequence[Entry]) -> None:
    """Write entries as columns; the same entries give the same bytes.

    Args:
        path: the file.
        entries: what JSON can hold. Integers and floats in one column become floats; values that
            no column can hold together are written as JSON.
    """
    import pyarrow as pa

    columns = {name: _kind(name, found, entries) for name, found in sorted(_found(entries).items())}
    schema = pa.schema([_field(name, kind, entries) for name, kind in columns.items()])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for start in range(0, len(entries), ROWS):
            some = entries[start : start + ROWS]
            arrays = [
                pa.array(_stored(some, name, columns[name]), schema.field(name).type)
                for name in columns
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _found(entries: Iterable[Entry]) -> dict[str, Counter[type]]:
    """How often a value of each type is in each column."""
    found: dict[str, Counter[type]] = {}
    for entry in entries:
        for name, value in entry.items():
            types = found.get(name)
            if types is None:
                types = found[name] = Counter()
            types[type(value)] += 1
    return found


def _kind(name: str, found: Counter[type], entries: Sequence[Entry]) -> str:
    """What a column is: JSON for values of several kinds, or some None and some left out."""
    types = set(found) - {NoneType}
    if found[NoneType] and found.total() < len(entries):
        return "json"
    if types <= {str}:
        return "hex" if _are_digests(name, entries) else "text"
    if types == {bool}:
        return "truth"
    numbers = (entry[name] for entry in entries if type(entry.get(name)) is int)
    if types <= {int, float} and all(number in INTEGERS for number in numbers):
        return "integer" if types == {int} else "number"
    lists = (entry[name] for entry in entries if entry.get(name) is not None)
    if types == {list} and all(type(item) is str for values in lists for item in values):
        return "texts"
    return "json"


def _are_digests(name: str, entries: Sequence[Entry]) -> bool:
    """Whether all values are hexadecimal, in lower case, and of one length."""
    lengths = {len(entry[name]) for entry in entries if entry.get(name) is not None}
    if len(lengths) != 1 or min(lengths) < SMALLEST_HEX or min(lengths) % 2:
        return False
    return all(
        entry.get(name) is None or not entry[name].strip("0123456789abcdef") for entry in entries
    )


def _field(name: str, kind: str, entries: Sequence[Entry]) -> Any:
    import pyarrow as pa

    types = {
        **{"text": pa.string(), "json": pa.string(), "texts": pa.list_(pa.string())},
        **{"integer": pa.int64(), "number": pa.float64(), "truth": pa.bool_()},
    }
    if kind == "hex":
        length = next(len(entry[name]) for entry in entries if entry.get(name) is not None)
        types["hex"] = pa.binary(length // 2)
    nothing = kind != "json" and any(name in e and e[name] is None for e in entries)
    return pa.field(
        name, types[kind], metadata={"kind": kind, "absent": "none" if nothing else "left out"}
    )


def _stored(entries: Iterable[Entry], name: str, kind: str) -> list[Any]:
    """The values of a column as Arrow takes them, None where there is none."""
    if kind == "json":
        return [
            json.dumps(entry[name], sort_keys=True, ensure_ascii=False) if name in entry else None
            for entry in entries
        ]
    values = [entry.get(name) for entry in entries]
    if kind == "hex":
        return [None if value is None else bytes.fromhex(value) for value in values]
    return values
