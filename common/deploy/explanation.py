"""Why a model says what it says of an image: maps of saliency, and the nearest known images.

``common.load(BUNDLE).explain(path)`` returns an `Explanation` for each image; `write_explanations`
and ``python -m common explain`` make a page of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.checks import require
from common.deploy.prediction import Prediction
from common.deploy.saliency import METHODS, saliency
from common.report.explanation import Explained, Map, Neighbour, write_page
from common.text import cell

if TYPE_CHECKING:
    from common.deploy.predictor import Predictor

__all__ = ["METHODS", "Explanation", "explanations", "fits_a_page", "write_explanations"]

NEAREST = 5
MOST = 20  # images of a page

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Near:
    """A known image: its prediction, how alike the encoder finds it (cosine), and its pixels."""

    prediction: Prediction
    likeness: float
    image: Floats


@dataclass(frozen=True)
class Explanation:
    """What an output for one image depends on.

    Attributes:
        prediction: what is said of the image; with a reason, and nothing else, where it was not
            read.
        output: name of the value explained.
        unit: of the maps: "log-odds", or "" for a number such as years.
        image: ``(C, *spatial)`` as the network saw it.
        maps: ``(*spatial)`` by method; see `common.deploy.saliency`.
        near: known images, the most alike first.
    """

    prediction: Prediction
    output: str
    unit: str
    image: Floats
    maps: dict[str, Floats]
    near: Sequence[Near] = ()


def explanations(
    predictor: "Predictor", paths: Any, methods: Sequence[str] = (), among: Any = None
) -> Iterator[Explanation]:
    """Yield the explanation of each file; of the slices of a volume, of the one with most of it.

    Args:
        predictor: with a fitted head.
        paths: as `Predictor.predict` takes them.
        methods: of `METHODS`; `common.deploy.saliency.default_methods` unless given.
        among: known images, likewise, to find the nearest of; None for none.

    Raises:
        InputError: no model, an unknown method, or none of `among` can be read.
    """
    known = _known(predictor, among) if among is not None else []
    files = predictor.files(paths)
    for index in range(len(files)):
        entries = files[index]
        read = [entry for entry in entries if "reason" not in entry]
        if not read:
            yield _left_out(entries[0])
            continue
        x = torch.stack([torch.as_tensor(entry["image"]) for entry in read])
        predictions = predictor.said_of(read, x)
        output = _output(predictions)
        row = int(np.argmax([list(one.values.values())[output] for one in predictions]))
        one = predictions[row]
        image = x[row : row + 1].to(predictor.device)
        maps = saliency(predictor.network, image, output, methods)
        unit = "" if predictor.model.regression else "log-odds"
        near = _nearest(predictor, one, known)
        yield Explanation(one, list(one.values)[output], unit, _array(x[row]), maps, near)


def write_explanations(explained: Sequence[Explanation], output: str | Path, title: str) -> Path:
    """Write ``explanations.html`` into a folder.

    Args:
        explained: at most 20 that were read.
        output: the folder, made where it is missing.
        title: of the page.

    Returns:
        The page.
    """
    fits_a_page(len(explained))
    return write_page([_told(one) for one in explained], Path(output) / "explanations.html", title)


def fits_a_page(images: int) -> None:
    """Refuse more images than a page holds.

    Raises:
        InputError: there are more.
    """
    require(
        images <= MOST, f"explain: a page holds at most {MOST} images, got {images}. Give fewer."
    )


def _output(predictions: Sequence[Prediction]) -> int:
    """The output to explain: the only one, or that of the class the images most likely show."""
    values = np.array([list(one.values.values()) for one in predictions])
    return int(values.max(axis=0).argmax())


def _left_out(entry: dict[str, Any]) -> Explanation:
    missing = Prediction(str(entry["name"]), reason=str(entry["reason"]))
    return Explanation(missing, "", "", np.zeros((0, 0, 0), np.float32), {})


def _known(predictor: "Predictor", among: Any) -> list[Prediction]:
    predictions = [one for one in predictor.stream(among) if one.h is not None]
    require(bool(predictions), "explain: among must hold images that can be read, got none.")
    return predictions


def _nearest(predictor: "Predictor", one: Prediction, known: Sequence[Prediction]) -> list[Near]:
    """The known images whose embeddings point most nearly the same way, but for itself."""
    if not known or one.h is None:
        return []
    h = np.stack([each.h for each in known if each.h is not None]).astype(np.float64)
    own = one.h.astype(np.float64)
    length = np.linalg.norm(h, axis=1) * np.linalg.norm(own)
    likeness = h @ own / np.maximum(length, 1e-12)
    near: list[Near] = []
    for row in np.argsort(-likeness, kind="stable"):
        each = known[row]
        if not one.paths or _place(each) != _place(one):
            near.append(Near(each, float(likeness[row]), _read(predictor, each)))
        if len(near) == NEAREST:
            break
    return near


def _place(one: Prediction) -> Any:
    return tuple(path.resolve() for path in one.paths), one.slice, one.index


def _read(predictor: "Predictor", one: Prediction) -> Floats:
    """The pixels of a known image once more; none where it was an array."""
    if one.paths:
        paths = [str(path) for path in one.paths]
        entry: dict[str, Any] = {"image": paths[0] if len(paths) == 1 else paths, "name": one.file}
        entry |= {"index": one.index} if one.index >= 0 else {}
        for loaded in predictor.dataset.of([entry])[0]:
            if "reason" not in loaded and int(loaded.get("slice", -1)) == one.slice:
                return _array(loaded["image"])
    return np.zeros((0, 0, 0), np.float32)


def _array(image: Any) -> Floats:
    return np.asarray(torch.as_tensor(image).float().cpu(), dtype=np.float32)


def _told(one: Explanation) -> Explained:
    said = [
        f"{name.replace('_', ' ')} {_number(name, value)}"
        for name, value in one.prediction.values.items()
    ]
    for name, value in one.prediction.columns.items():
        if value != "":
            shown = f"{value:.3g}" if isinstance(value, float) else str(value)
            said.append(f"{name.replace('_', ' ')}: {shown}")
    return Explained(
        _name(one.prediction),
        said,
        one.prediction.reason,
        one.output.replace("_", " "),
        one.image,
        [Map(method, values, one.unit) for method, values in one.maps.items()],
        [Neighbour(_name(n.prediction), f"likeness {n.likeness:.3f}", n.image) for n in one.near],
    )


def _number(name: str, value: float) -> str:
    return f"{value:.3f}" if name.startswith("probability") else f"{value:.4g}"


def _name(one: Prediction) -> str:
    return cell(one.file) + (f", slice {one.slice}" if one.slice >= 0 else "")
