"""What the benchmarks on Kermany's films share: extracting them, and their labels for data_prep."""

import csv
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Row = Mapping[str, str]


def films(source: Path) -> list[dict[str, str]]:
    """Rows of ``labels.csv``: file, split, label, subtype, patient."""
    with (source / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def extracted(source: Path, columns: Callable[[Row], Row]) -> Iterator[list[str]]:
    """Extract the films and write a table of them; the words that data_prep is given for both.

    Args:
        source: folder of ``images.zip`` and ``labels.csv``.
        columns: of a row of ``labels.csv``, what the table says of that film.
    """
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(source / "images.zip") as archive:
            archive.extractall(folder)
        rows = [dict(columns(row)) for row in films(source)]
        table = Path(folder) / "labels.csv"
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        yield ["--source", folder, "--labels", str(table)]
