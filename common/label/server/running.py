"""What runs beside the server, and how far it is: trainings and embeddings."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Response
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask

from common.checks import require
from common.label.server.app import LabelApp
from common.label.server.overview import overview
from common.label.training import MONAI_LABELS, check_settings, epoch_of

__all__ = ["router"]

Settings = Annotated[dict[str, Any] | None, Body()]
router = APIRouter()
LARGEST = 50_000  # bytes of settings, which go through a command line


@router.get("/train/", tags=["Train"])
def training(response: Response, all: bool = False, check_if_running: bool = False) -> Any:
    """Say how far the newest training is, and what is known of patients and labels.

    Of none that was started yet, or that runs now, the status is 404, as MONAI Label's is.

    Args:
        response: its status.
        all: every training since the start.
        check_if_running: only one that runs.
    """
    app: LabelApp = app_instance()
    task, _ = AsyncTask.status("train", all, check_if_running)
    if task is None:
        response.status_code = 404
        return {"detail": "No training runs, or none was started yet.", **overview(app)}
    if isinstance(task, list):
        return task
    model = app.models[task["request"]["model"]]
    done, total = epoch_of(model) if task["status"] == "RUNNING" else (0, 0)
    return {**task, **({"epoch": done, "epochs": total} if total else {}), **overview(app)}


@router.post("/train/{model}", tags=["Train"])
def train(
    model: str, params: Settings = None, run_sync: bool = False, enqueue: bool = False
) -> Any:
    """Train a bundle on the labels, in a process of its own.

    Args:
        model: the bundle.
        params: dials of it, and "overlays"; "gpus", those to use, such as "0,1".
        run_sync: answer when it has ended.
        enqueue: begin after the training that runs, in place of 429.
    """
    app: LabelApp = app_instance()
    require(model in app.models, f"model: must be one of {', '.join(app.models)}.")
    given = params or {}
    require(not app.models[model].no_labels, app.models[model].no_labels)
    check_settings(app.models[model], given)
    gpus = given.get("gpus") or "all"
    require(
        isinstance(gpus, str) and re.fullmatch(r"[\w,.-]{1,200}", gpus) is not None,
        f'gpus: must be a text such as "all" or "0,1", got {str(gpus)[:40]!r}.',
    )
    sent = {key: given[key] for key in given if key not in MONAI_LABELS}
    sent |= {"overlays": given.get("overlays", []), "gpus": gpus}
    require(len(json.dumps(sent)) <= LARGEST, "the body: must be a few dials, got too much.")
    begun, _ = AsyncTask.run(
        "train", request={"model": model}, params=sent, force_sync=run_sync, enqueue=enqueue
    )
    if begun is None:
        raise HTTPException(
            429,
            "train: one training must run at a time, got a second. GET /train/ says how far the "
            "first is; with ?enqueue=true this one begins after it.",
        )
    return begun


@router.post("/scoring/{method}", tags=["Scoring"])
def score(method: str, params: Settings = None, run_sync: bool = False) -> Any:
    """Embed new images, in a process of its own; ``{"model": BUNDLE}`` for one bundle only."""
    app: LabelApp = app_instance()
    require(method == "embeddings", "method: must be embeddings, got another.")
    wanted = app.scored(params or {})
    begun, _ = AsyncTask.run(
        "scoring", request={"method": method}, params={"model": wanted}, force_sync=run_sync
    )
    if begun is None:
        raise HTTPException(
            429,
            "scoring: one must run at a time, got a second. GET /scoring/ says how far it is; it "
            "is begun at the start and after a training by itself.",
        )
    return begun
