"""``/review``: the page on which images are labelled, and what it asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import HTMLResponse, Response
from monailabel.interfaces.utils.app import app_instance

from common.checks import InputError, require
from common.label.answers import answer, explained
from common.label.labels import target_of
from common.label.models import Model
from common.label.pictures import overlay, picture
from common.label.pool import read_pool
from common.label.server.app import LabelApp
from common.label.server.overview import overview
from common.label.training import last_result

__all__ = ["router"]

PAGE = Path(__file__).parents[1] / "review.html"
router = APIRouter(prefix="/review", tags=["Review"])


def _model(app: LabelApp, name: str) -> Model:
    require(name in app.models, f"model: must be one of {', '.join(app.models)}.")
    return app.models[name]


@router.get("", response_class=HTMLResponse)
def page() -> HTMLResponse:
    """Return the page."""
    rules = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    headers = {"Content-Security-Policy": rules, "Cache-Control": "no-store"}
    return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=headers)


@router.get("/about")
def about() -> dict[str, Any]:
    """Return the bundles: what their labels are, how many images and patients there are."""
    app: LabelApp = app_instance()
    known = overview(app)
    return {
        "bundles": [
            {**_about(app, model), "patients": known["bundles"][name]["patients"]}
            for name, model in app.models.items()
        ],
        "unread": known["unread"],
    }


@router.post("/next")
def following(asked: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    """Return the next image, why it was chosen and what the model says of it.

    Args:
        asked: "model"; "strategy"; "skip", images not to propose; "image", to have that one again.
    """
    app: LabelApp = app_instance()
    model = _model(app, str(asked.get("model") or next(iter(app.models))))
    _embed_new(app, model)
    again = str(asked.get("image") or "")
    same: dict[str, Any] = {"id": again, "why": ""}
    chosen = same if again else app.next_sample({**asked, "model": model.name})
    told = _about(app, model)
    if not chosen:
        return {**told, "image": None}
    sample = app.datastore().sample(chosen["id"])
    known: Mapping[str, Any] = sample.label or {}
    return {
        **told,
        "image": sample.id,
        "why": chosen["why"],
        "said": _said(model, sample.path),
        "label": known.get("age") if model.regression else _class_of(model, known),
    }


@router.post("/label")
def label(asked: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    """Save a label: "image", "model", and "label" (a class) or "age"."""
    app: LabelApp = app_instance()
    model = _model(app, str(asked.get("model", "")))
    told: dict[str, Any] = {key: asked[key] for key in ("label", "age") if key in asked}
    app.save(str(asked.get("image", "")), {**told, "bundle": model.name})
    return _about(app, model)


@router.get("/picture")
def shown(image: str, model: str, map: bool = False, slice: int = -1) -> Response:
    """Return an image as PNG; with ``map``, where in it the score comes from."""
    app: LabelApp = app_instance()
    bundle, sample = _model(app, model), app.datastore().sample(image)
    drawn = overlay(explained(bundle, sample.path)) if map else None
    drawn = drawn or picture(sample.path, slice if slice >= 0 else None)
    return Response(drawn, media_type="image/png", headers={"Cache-Control": "no-store"})


def _about(app: LabelApp, model: Model) -> dict[str, Any]:
    samples, made = app.datastore().samples(model.below), last_result(model)
    return {
        "model": model.name,
        "title": model.name.replace("_", " "),
        "classes": [] if model.regression or model.no_labels else model.choices,
        "note": model.no_labels,
        "value": model.choices[0] if model.regression else "",
        "maps": model.available and model.kind != "embedding",
        "labelled": sum(target_of(one, model) is not None for one in samples),
        "images": len(samples),
        "warnings": made.get("warnings", []) if made.get("model") == model.key else [],
    }


def _class_of(model: Model, label: Mapping[str, Any]) -> str | None:
    return model.class_named(label.get("label")) or None


def _said(model: Model, path: Path) -> dict[str, Any]:
    """What the model says; why it says nothing."""
    if not model.available:
        return {"reason": "There is no model yet, so there is no score."}
    try:
        return answer(model, path)
    except InputError as error:
        return {"reason": str(error)}


def _embed_new(app: LabelApp, model: Model) -> None:
    """Embed images that came since the last time, in a process of its own."""
    if model.available and read_pool(model).lacks(app.datastore().samples(model.below)):
        from monailabel.utils.async_tasks.utils import processes

        if not processes("scoring"):
            app.async_scoring("embeddings")
