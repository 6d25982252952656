"""The web server: which routes there are, and what is refused.

MONAI Label's own routes are served as far as `KEPT` names them. Not served: what takes weights or
archives from outside (``PUT /model``, ``/session``), reads files of the server by path, or belongs
to other viewers (``/proxy``, ``/ohif``, ``/wsi``, ``/logs``). Answers and uploads go through ours.

Refused: an upload that is no image (415 or 422) or larger than `LARGEST` (413), a name that leads
out of the studies, a page of another site (its Origin), another host name (against DNS rebinding).
Every refusal is one sentence, ``{"detail": ...}``; no log line names a file.
"""

import json
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from monailabel.endpoints import activelearning, datastore, info, model, scoring, train
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask
from starlette.middleware.trustedhost import TrustedHostMiddleware

from common.checks import InputError, require
from common.label.labels import suffix_of
from common.label.server import review, running
from common.label.server.app import LabelApp
from common.label.server.settings import quieten

__all__ = ["web_app"]

_LOG = logging.getLogger("common.label")

LARGEST = 2**30  # bytes of an upload
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom", ".nii", "")
KEPT = (
    (info.router, "GET", "/info/"),
    (model.router, "GET", "/model/info/{model}"),
    (train.router, "DELETE", "/train/"),
    (scoring.router, "GET", "/scoring/"),
    (activelearning.router, "POST", "/activelearning/{strategy}"),
    (datastore.router, "GET", "/datastore/"),
    (datastore.router, "GET", "/datastore/image"),
    (datastore.router, "GET", "/datastore/image/info"),
    (datastore.router, "GET", "/datastore/label"),
    (datastore.router, "GET", "/datastore/label/info"),
    (datastore.router, "DELETE", "/datastore/label"),
)


def web_app(host: str) -> FastAPI:
    """Return the server's application.

    Args:
        host: address it is started at; requests must name it, or this machine.
    """
    app = FastAPI(title="Labels of whole images", lifespan=_begin, docs_url=None, redoc_url=None)
    names = [] if host in ("0.0.0.0", "::") else [host, "localhost", "127.0.0.1", "[::1]"]
    if names:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=sorted(set(names)))
    app.middleware("http")(_from_here)
    app.exception_handler(InputError)(_refused)
    app.exception_handler(MONAILabelException)(_refused)
    app.exception_handler(RequestValidationError)(_incomplete)
    app.get("/", include_in_schema=False)(begin)
    app.post("/infer/{model}")(infer)
    app.put("/datastore/image")(add_image)
    app.put("/datastore/label")(save_label)
    app.include_router(review.router)
    app.include_router(running.router)
    app.router.routes += [_route(*kept) for kept in KEPT]
    return app


def _route(router: APIRouter, method: str, path: str) -> APIRoute:
    """Return a route of MONAI Label's."""
    routes = (one for one in router.routes if isinstance(one, APIRoute) and one.path == path)
    return next(one for one in routes if method in (one.methods or ()))


@asynccontextmanager
async def _begin(_: FastAPI) -> AsyncIterator[None]:
    quieten()
    app: LabelApp = app_instance()
    app.server_mode(True)
    app.on_init_complete()
    yield
    for method in ("train", "scoring"):  # else their processes would outlive the server
        AsyncTask.stop(method)


def begin() -> RedirectResponse:
    """Send a browser to the page; a list of routes would be drawn by scripts of another site."""
    return RedirectResponse("/review")


def infer(
    model: str,
    image: str = "",
    params: Annotated[str, Form()] = "{}",
    file: UploadFile | None = None,
) -> dict[str, Any]:
    """Say what a bundle says of an image of the studies, or of one that is sent along.

    ``params`` is a JSON object: "embedding": true for the representation as well.
    """
    app: LabelApp = app_instance()
    require(model in app.models, f"model: must be one of {', '.join(app.models)}.")
    wanted = {"embedding": bool(_object(params).get("embedding", False))}
    if file is None:
        place = str(app.datastore().sample(image).path)
        return dict(app.infer({"model": model, "image": place, **wanted})["params"])
    with TemporaryDirectory() as folder:
        place = str(_received(file, Path(folder)))
        return dict(app.infer({"model": model, "image": place, **wanted})["params"])


def add_image(
    file: UploadFile, image: str = "", params: Annotated[str, Form()] = "{}"
) -> dict[str, str]:
    """Take an image into the studies; it is read before."""
    app: LabelApp = app_instance()
    with TemporaryDirectory() as folder:
        received = _received(file, Path(folder))
        sent = Path(str(file.filename)).name
        name = image or sent[: len(sent) - len(suffix_of(sent))]
        return {"image": app.datastore().add_image(name, str(received), {})}


def save_label(
    image: str, label: UploadFile, tag: str = "final", params: Annotated[str, Form()] = "{}"
) -> dict[str, str]:
    """Save the label of an image: a JSON file."""
    app: LabelApp = app_instance()
    require(tag == "final", "tag: must be final, got another.")
    content = label.file.read(100_001)
    require(len(content) <= 100_000, "label: must be a small JSON file, got a large one.")
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(
            'label: must be a JSON file such as {"label": "normal"}, got something else.'
        ) from None
    app.save(image, told)
    return {"image": image, "label": image}


def _object(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError):
        content = None
    require(isinstance(content, dict), "params: must be a JSON object, got something else.")
    return dict(content)


def _received(file: UploadFile, folder: Path) -> Path:
    """Write an upload to a file whose name tells nothing of the one that was sent."""
    suffix = suffix_of(Path(str(file.filename or "")).name).lower()
    require(
        suffix in ENDINGS or suffix == ".nii.gz",
        "the upload: must be PNG, JPEG, TIFF, DICOM or NIfTI, by its name, got another file.",
    )
    place = folder / f"upload{suffix}"
    with place.open("wb") as target:
        shutil.copyfileobj(file.file, target)
    require(place.stat().st_size <= LARGEST, "the upload: must be at most 1 GiB, got more.")
    return place


async def _from_here(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Refuse pages of other sites, and bodies that are too large; say no more of what fails.

    An error that went further would be logged with its text, which may name a file.
    """
    origin, own = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc != own:
        return _told(403, "This server answers pages of its own only.")
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not length.isdecimal():
        return _told(411, "the request: must say its length, got none.")
    if int(length) > LARGEST:
        return _told(413, "the upload: must be at most 1 GiB, got more.")
    try:
        return await call_next(request)
    except Exception as error:
        return _failed(error)


def _refused(_: Request, error: Exception) -> JSONResponse:
    """Tell what was wrong, in one line."""
    text = str(getattr(error, "msg", "") or error)
    missing = "must be one of the studies" in text
    return _told(404 if missing else 422, text)


def _incomplete(_: Request, error: Exception) -> JSONResponse:
    """Tell what a request lacks, or what of it is of another kind."""
    first: dict[str, Any] = next(iter(getattr(error, "errors", dict)()), {})
    name = ".".join(str(part) for part in first.get("loc", ())[1:]) or "the body"
    if first.get("type") == "missing":
        return _told(422, f"{name}: must be given, got none. docs/label.md shows each request.")
    rule = str(first.get("msg", "")).removeprefix("Input should be ").partition(",")[0]
    rule = rule.replace("a valid dictionary", "a JSON object")
    if first.get("type") == "json_invalid":
        name, rule = "the body", "JSON"
    return _told(422, f"{name}: must be {rule}, got something else.")


def _failed(error: Exception) -> JSONResponse:
    """Say that it is our fault; the log has the kind of the error, and no text of it."""
    _LOG.error("a request failed: %s", type(error).__name__)
    return _told(500, "The server could not answer; its log has the kind of the error.")


def _told(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status_code=status)
