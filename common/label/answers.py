"""What a model says of an image, as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.checks import InputError, require
from common.deploy import Explanation, Prediction
from common.deploy.saliency import METHODS, default_methods
from common.label.models import Model

__all__ = ["answer", "chosen", "explained", "score_names", "scores"]


def answer(model: Model, path: Path, *, embedding: bool = False) -> dict[str, Any]:
    """Say what the newest model of a bundle says of one image.

    Args:
        model: of the bundle.
        path: an image, a volume, or the folder of a DICOM series. Of several slices the one is
            chosen that shows most of any class.
        embedding: return the encoder's representation as well.

    Returns:
        "prediction" (``{"idx", "label", "score"}`` for each class), "values" (by name) or
        "embedding", as `Model.kind` says; "familiarity" (per cent) and "warning", where the model
        knows its training images; "slice", where the file has several; "model".

    Raises:
        InputError: no model, or no image that it can read.
    """
    with model.lock:
        predictor = model.predictor()
        predictions = list(predictor.stream([str(path)]))
    one = chosen(predictions)
    said = scores(model, one)
    if (embedding or not said) and one.h is not None:
        said["embedding"] = [round(float(value), 6) for value in one.h]
    told = {key: value for key, value in one.columns.items() if value != ""}
    names = [each["label"] for each in said.get("prediction", ())]
    if "call" in told and len(names) == 2 and told["call"] not in names:
        told["call"] = names[0]  # a model of one finding calls the rest "normal"
    where = {"slice": one.slice} if one.slice >= 0 else {}
    return {**said, **told, **where, "model": model.key}


def chosen(predictions: Sequence[Prediction]) -> Prediction:
    """Return the image of a file to speak of: the only one, or the slice with most of any class.

    Raises:
        InputError: none of them was read; the reason of the first.
    """
    read = [one for one in predictions if not one.reason]
    if not read:
        reasons = [one.reason for one in predictions]
        raise InputError(reasons[0] if reasons else "the image: must hold an image, got none.")
    return max(read, key=lambda one: max(one.values.values(), default=0.0))


def scores(model: Model, one: Prediction) -> dict[str, Any]:
    """Return "prediction" or "values" of one image; nothing where the head was never fitted."""
    values = list(one.values.items())
    if not values:
        return {}
    if model.regression:
        return {"values": {name.removeprefix("predicted_"): value for name, value in values}}
    named = [(name.removeprefix("probability_"), float(value)) for name, value in values]
    if len(named) == 1:
        of = named[0][1]
        named = list(zip(score_names(model), (1 - of, of)))
    ranked = [{"idx": i, "label": name, "score": score} for i, (name, score) in enumerate(named)]
    return {"prediction": ranked}


def explained(model: Model, path: Path, method: str = "") -> Explanation:
    """Return where in an image the score comes from; of several slices in the one spoken of.

    Args:
        model: of the bundle.
        path: as `answer` takes it.
        method: of `common.deploy.saliency.METHODS`; the network's own map unless given.

    Raises:
        InputError: as `answer`, or another method.
    """
    require(
        method in ("", *METHODS),
        f"saliency: must be one of {', '.join(METHODS)}, got {method[:40]!r}.",
    )
    with model.lock:
        predictor = model.predictor()
        method = method or default_methods(predictor.network)[0]
        made = [one for one in predictor.explain([str(path)], [method]) if one.maps]
        if not made:
            chosen(list(predictor.stream([str(path)])))
            raise InputError("saliency: there is none of this image.")
        return max(made, key=lambda one: max(one.prediction.values.values()))


def score_names(model: Model) -> tuple[str, ...]:
    """Return what the model's scores are of, both of two classes: not always what is labelled."""
    names = model.learnt
    if len(names) > 2:
        return tuple(names)
    if len(model.choices) == 2 and model.choices[1] == names[-1]:
        return tuple(model.choices)
    return (names[0] if len(names) == 2 else f"no {names[0]}", names[-1])


def likeliest(said: Mapping[str, Any]) -> str:
    """Return the class with the highest score; "" without scores."""
    ranked = said.get("prediction") or []
    return str(max(ranked, key=lambda each: each["score"])["label"]) if ranked else ""
