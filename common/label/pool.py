"""Images as a model's encoder sees them, kept on the disk beside the model's hash."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from common.checks import InputError
from common.deploy import Prediction
from common.files import replacing
from common.label.answers import chosen, score_names, scores
from common.label.labels import Sample
from common.label.models import Model

__all__ = ["Pool", "embedded", "read_pool"]

CHUNK = 64  # images between two writes

Row = tuple[NDArray[np.float32], NDArray[np.float32], str]  # embedding, scores, stamp


@dataclass
class Pool:
    """Images, embedded.

    Attributes:
        ids: ``N`` of the studies.
        h: ``(N, F)`` float32.
        scores: ``(N, classes)`` float32, or ``(N, 0)`` of a model without them.
        stamps: ``N``, of the files' times and sizes.
        left_out: ids of images that the model cannot read, with their stamps.
    """

    ids: list[str]
    h: NDArray[np.float32]
    scores: NDArray[np.float32]
    stamps: list[str]
    left_out: dict[str, str] = field(default_factory=dict)

    def only(self, ids: Sequence[str]) -> "Pool":
        """Return the rows of those of `ids` that it has, in that order."""
        place = {name: row for row, name in enumerate(self.ids)}
        rows = [place[name] for name in ids if name in place]
        names, stamps = [self.ids[row] for row in rows], [self.stamps[row] for row in rows]
        return Pool(names, self.h[rows], self.scores[rows], stamps, self.left_out)

    def lacks(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return those of the images that were not looked at yet, or changed since."""
        known = {**self.left_out, **dict(zip(self.ids, self.stamps))}
        return [one for one in samples if known.get(one.id) != _stamp(one.path)]


def embedded(model: Model, samples: Sequence[Sample]) -> Pool:
    """Embed the images that are not embedded yet, and return all of them.

    The archive is ``embeddings/<hash of the weights>.npz`` in the model's work folder. It is
    written every 64 images, so that a proposal can be made meanwhile. Images that the model cannot
    read are left out: they are not for it.

    Raises:
        InputError: there is no model.
    """
    pool = read_pool(model)
    rows = {name: (pool.h[i], pool.scores[i], pool.stamps[i]) for i, name in enumerate(pool.ids)}
    left_out = dict(pool.left_out)
    todo = pool.lacks(samples)
    for start in range(0, len(todo), CHUNK):
        some = todo[start : start + CHUNK]
        stamps = {sample.id: _stamp(sample.path) for sample in some}
        found = {
            name: (one.h, said)
            for name, one, said in _embed(model, some)
            if one.h is not None and bool(np.isfinite(one.h).all() and np.isfinite(said).all())
        }
        for name, stamp in stamps.items():
            if name in found:
                rows[name] = (*found[name], stamp)
            else:
                left_out[name] = stamp
        _write(model, rows, left_out)
    return read_pool(model).only([sample.id for sample in samples])


def read_pool(model: Model) -> Pool:
    """Read what was embedded with the newest model; nothing of a damaged archive, or of none."""
    path = _path(model)
    nothing = Pool([], np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32), [])
    if not model.available or not path.is_file():
        return nothing
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            ids, stamps = archive["id"].tolist(), archive["stamp"].tolist()
            left_out = dict(zip(archive["left_out"].tolist(), archive["left_out_stamp"].tolist()))
            pool = Pool(ids, archive["h"], archive["scores"], stamps, left_out)
    except (OSError, ValueError, LookupError, EOFError, BadZipFile, zlib.error, TypeError):
        return nothing
    return pool if _is_whole(pool, model) else nothing


def _is_whole(pool: Pool, model: Model) -> bool:
    """Whether the arrays of an archive fit together and to the model."""
    arrays = pool.h, pool.scores
    rows = len(pool.ids)
    return (
        len(set(pool.ids)) == rows == len(pool.stamps)
        and all(isinstance(name, str) for name in (*pool.ids, *pool.stamps))
        and all(a.ndim == 2 and a.dtype.kind == "f" and len(a) == rows for a in arrays)
        and all(bool(np.isfinite(array).all()) for array in arrays)
        and pool.scores.shape[1] in (0, len(score_names(model)))
    )


def _embed(
    model: Model, samples: Sequence[Sample]
) -> Iterator[tuple[str, Prediction, NDArray[np.float32]]]:
    """The id, the image spoken of and the scores of each sample that the model can read."""
    with model.lock:
        predictor = model.predictor()
        files = {str(one.path): one.id for one in samples if not one.path.is_dir()}
        found: dict[str, list[Prediction]] = {}
        for one in predictor.stream(list(files)) if files else ():
            if one.paths:
                found.setdefault(files.get(str(one.paths[0]), ""), []).append(one)
        for sample in (one for one in samples if one.path.is_dir()):
            found[sample.id] = list(predictor.stream([str(sample.path)]))
    for name, predictions in found.items():
        try:
            one = chosen(predictions)
        except InputError:
            continue
        ranked: list[Mapping[str, float]] = scores(model, one).get("prediction", [])
        yield name, one, np.array([each["score"] for each in ranked], np.float32)


def _write(model: Model, rows: Mapping[str, Row], left_out: Mapping[str, str]) -> None:
    kept = list(rows.values())
    with replacing(_path(model)) as partial, partial.open("wb") as file:
        np.savez(
            file,
            id=np.array(list(rows), np.str_),
            h=np.stack([row[0] for row in kept]) if kept else np.zeros((0, 0), np.float32),
            scores=np.stack([row[1] for row in kept]) if kept else np.zeros((0, 0), np.float32),
            stamp=np.array([row[2] for row in kept], np.str_),
            left_out=np.array(list(left_out), np.str_),
            left_out_stamp=np.array(list(left_out.values()), np.str_),
        )


def _path(model: Model) -> Path:
    return model.work / "embeddings" / f"{model.key or 'none'}.npz"


def _stamp(path: Path) -> str:
    facts = path.stat()
    return f"{facts.st_mtime_ns}-{facts.st_size}"
