"""Priors as data: a table of embeddings, one row for each image of a part.

A table is an ``.npz`` file with "image", the keys of the images (N,), and "embedding" (N, P). The
key of an image is its path in the manifest (of several channels, the first), and for a row of a
stack, or a slice of a volume, its number behind it: ``images/3.png``, ``training.npy[3]``. Any
model may have made it; `common.deploy.write_prior` writes one from an encoder of this project. It
may hold "data", the `common.data.fingerprint` of the images it was made from: names alone would let
the table of other images with the same names pass.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.manifest import MANIFEST, fingerprint
from common.data.rows import Rows
from common.files import replacing

__all__ = ["image_key", "median_distance", "read_prior", "save_prior", "with_prior"]

_NAMED = 3  # images an error names
_DRAWN = 1000  # rows of a table that its median distance is computed from


def image_key(entry: Mapping[str, Any], root: str | Path = "") -> str:
    """Return the key of an entry of a manifest.

    Args:
        entry: with "image" and, in a stack, "index"; of a slice of a volume, "slice".
        root: folder of the manifest, for absolute paths as `load_datalist` gives them.

    >>> image_key({"image": "training.npy", "index": 3})
    'training.npy[3]'
    """
    image = entry["image"]
    path = Path(image if isinstance(image, str) else image[0])
    if path.is_absolute():
        path = path.relative_to(Path(root).resolve())
    number = int(entry.get("index", entry.get("slice", -1)))
    return path.as_posix() + (f"[{number}]" if number >= 0 else "")


def image_keys(rows: Rows) -> Any:
    """Return the keys of all entries, as an Arrow array of texts."""
    import pyarrow as pa

    if rows.kind("image") == "text" and not {"index", "slice"} & set(rows.columns):
        return rows.array("image")
    bare = rows.below("")
    return pa.array((image_key(entry) for entry in bare), pa.string())


def with_prior(
    data: Sequence[Mapping[str, Any]], dataset_dir: str | Path, path: str | Path = ""
) -> Sequence[dict[str, Any]]:
    """Give each entry of a datalist "image_key" and, from a table, "prior" (P,) float32.

    Args:
        data: entries of one part, as `load_datalist` gives them; left unchanged.
        dataset_dir: folder of the manifest.
        path: the table; "" adds the keys alone.

    Raises:
        InputError: see `read_prior`.
    """
    if isinstance(data, Rows):
        keys = image_keys(data)
        prior = {"prior": read_prior(path, keys.to_pylist(), dataset_dir)} if str(path) else {}
        return data.with_values(image_key=keys, **prior)
    keys = [image_key(entry, dataset_dir) for entry in data]
    entries = [{**entry, "image_key": key} for entry, key in zip(data, keys)]
    if not str(path):
        return entries
    rows = read_prior(path, keys, dataset_dir)
    return [{**entry, "prior": row} for entry, row in zip(entries, rows)]


def read_prior(
    path: str | Path, keys: Sequence[str], dataset_dir: str | Path = ""
) -> npt.NDArray[np.float32]:
    """Read a table in the order of `keys`.

    Args:
        path: the ``.npz`` file.
        keys: of all images of the part that is read, see `image_key`.
        dataset_dir: folder of their manifest; a table that says of which data it is must be of it.

    Returns:
        (N, P), finite.

    Raises:
        InputError: no such file, not a table, one of other data, an image twice, NaN, or images
            that are missing from the table or from the part, of which the first are named.
    """
    names, embedding, data = _load(Path(path))
    place = {name: row for row, name in enumerate(names)}
    twice = [name for row, name in enumerate(names) if place[name] != row]
    require(
        not twice, f"{path}: every image must be listed once, got {_some(twice)} more than once."
    )
    cure = "Write the table again from the same part of this data set."
    known = bool(data and str(dataset_dir)) and (Path(dataset_dir) / MANIFEST).is_file()
    now = fingerprint(dataset_dir) if known else data
    require(data == now, f"{path}: must be of the data {now}, got a table of {data}. {cure}")
    missing = [key for key in keys if key not in place]
    require(
        not missing,
        f"{path}: must hold every image of the data, lacks {len(missing)} of {len(keys)}: "
        f"{_some(missing)}. {cure}",
    )
    extra = sorted(set(place) - set(keys))
    require(
        not extra,
        f"{path}: must hold no image but those of the data, has {len(extra)} more: {_some(extra)}. "
        f"{cure}",
    )
    bad = [name for name, row in zip(names, embedding) if not np.isfinite(row).all()]
    require(
        not bad,
        f"{path}: embedding must be finite, got NaN or infinite for {len(bad)}: {_some(bad)}.",
    )
    return np.ascontiguousarray(embedding[[place[key] for key in keys]], np.float32)


def save_prior(
    path: str | Path, keys: Sequence[str], embedding: npt.NDArray[Any], data: str = ""
) -> None:
    """Write a table, whole or not at all.

    Args:
        path: the ``.npz`` file; its folder is made when needed.
        keys: of the images, see `image_key`.
        embedding: (N, P).
        data: `common.data.fingerprint` of the images; "" where it is not known.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            image=np.asarray(keys),
            embedding=np.asarray(embedding, np.float32),
            data=np.asarray(data),
        )


def median_distance(path: str | Path) -> float:
    """Return the median Euclidean distance between rows of a table: a width for its kernel.

    Of more than 1,000 rows, 1,000 evenly spaced ones are compared.

    Raises:
        InputError: not a table, or one whose rows are mostly alike.
    """
    embedding = _load(Path(path))[1].astype(np.float64)
    rows = embedding[np.linspace(0, len(embedding) - 1, min(len(embedding), _DRAWN)).astype(int)]
    squares = np.square(rows).sum(axis=1)
    products = squares[:, None] + squares - 2 * rows @ rows.T
    apart = np.sqrt(products[np.triu_indices(len(rows), 1)].clip(min=0))
    median = float(np.median(apart)) if apart.size else 0.0
    require(
        0 < median < np.inf,
        f"{path}: embedding must tell images apart, got a median distance of {median}. Train the "
        "model that wrote it for longer, or set sigma.",
    )
    return median


def _load(path: Path) -> tuple[list[str], npt.NDArray[Any], str]:
    """Keys, rows, and the fingerprint of the data, "" where the table does not say."""
    require(
        path.is_file(),
        f"{path}: must be a table of priors, got no such file. Write one first (see the bundle's "
        "README), or name another prior_file.",
    )
    try:
        with np.load(path, allow_pickle=False) as table:
            names, embedding = table["image"], table["embedding"]
            data = str(table["data"]) if "data" in table else ""
    except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
        raise InputError(
            f"{path}: must be an .npz file with image (N,) and embedding (N, P), got an error "
            f"({type(error).__name__})."
        ) from None
    require(
        names.ndim == 1
        and names.dtype.kind == "U"
        and embedding.ndim == 2
        and len(embedding) == len(names)
        and embedding.dtype.kind in "fiu",
        f"{path}: must hold image (N,) texts and embedding (N, P) numbers, got {names.dtype} "
        f"{names.shape} and {embedding.dtype} {embedding.shape}.",
    )
    return [str(name) for name in names], embedding, data


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_NAMED]) + (", …" if len(listed) > _NAMED else "")
