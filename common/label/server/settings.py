"""What the server and the processes it starts are told, through the environment.

MONAI Label reads its settings when it is imported, and starts a process for each training
and scoring, which reads them again.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import common
from common.checks import require
from common.files import read_json, replacing

__all__ = ["OURS", "Options", "are_classes", "prepare", "quieten", "remembered", "require_folder"]

APP = Path(__file__).parent
STAND_INS = APP.parent / "stand_ins"
ROOT = Path(common.__file__).parents[1]
OURS = ("labels", ".label")  # folders of the studies that hold no images
CLASSES = "classes.json"  # in the work folder
LONGEST = 100  # letters of a class


@dataclass(frozen=True)
class Options:
    """How the server is started.

    Attributes:
        studies: folder of the images.
        bundles: names or folders of bundles, each with the folder below `studies` that is for it.
        work: where embeddings, training sets and models trained here lie.
        classes: names of the classes, by the bundle's name in its train.json.
        host: address.
        port: of it.
        dicomweb: address of an archive whose series are fetched into the studies; "" for none.
        query: attributes that those series must have.
        folders: whether a sub-folder is a patient; see `common.label.patients`.
    """

    studies: Path
    bundles: Mapping[str, str]
    work: Path
    classes: Mapping[str, list[str]]
    host: str = "127.0.0.1"
    port: int = 8000
    dicomweb: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    folders: bool = True


def require_folder(studies: str) -> None:
    """Refuse a DICOMweb archive in place of a folder.

    Raises:
        InputError: it is one.
    """
    require(
        not studies.startswith(("http:", "https:")),
        "studies: must be a folder, in which the labels are kept, got the address of an archive. "
        "Give a folder, and the archive as --dicomweb.",
    )


def are_classes(names: Any) -> bool:
    """Whether names can be those of classes: two or more texts that a person can tell apart."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    apart = {name.strip().casefold() for name in names}
    seen = all(name.isprintable() and 0 < len(name.strip()) <= LONGEST for name in names)
    return seen and len(apart) == len(names) > 1


def remembered(options: Options) -> Options:
    """Return the options with the classes of earlier starts where none are given now.

    They lie in the work folder, which gets those that are given. A label is of a class by its name,
    and a number stands for it by its place: so what was given once stays, in its order.

    Raises:
        InputError: a damaged record, others than those remembered, or it cannot be written.
    """
    path = options.work / CLASSES
    cure = f"Correct it, or remove it and give --{CLASSES.partition('.')[0]}."
    kept = read_json(path, cure) if path.is_file() else {}
    require(
        all(are_classes(names) for names in kept.values()),
        f"{path}: must hold two or more different classes of each bundle. {cure}",
    )
    for name, names in options.classes.items():
        known = kept.get(name, names)
        require(
            known == names,
            f"label: --classes of {name} must be {','.join(known)}, as at an earlier start, got "
            f"{','.join(names)}. Leave them out, or change them in {path}; labels of names that "
            "are gone then count as none.",
        )
    chosen = {**kept, **options.classes}
    if chosen != kept:
        with replacing(path) as partial:
            partial.write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")
    return replace(options, classes=chosen)


def prepare(options: Options) -> None:
    """Set the environment that MONAI Label reads, for this process and those it starts."""
    conf = {
        "bundles": json.dumps(dict(options.bundles)),
        "classes": json.dumps({name: list(names) for name, names in options.classes.items()}),
        "work": str(options.work),
        "folders": json.dumps(options.folders),
    }
    os.environ |= {
        "MONAI_LABEL_APP_DIR": str(APP),
        "MONAI_LABEL_STUDIES": str(options.studies),
        "MONAI_LABEL_APP_CONF": json.dumps(conf),
        "MONAI_LABEL_SERVER_PORT": str(options.port),
        "MONAI_LABEL_SESSIONS": "false",  # they unpack archives that were uploaded
        "MONAI_LABEL_TASKS_BATCH_INFER": "false",
        "MONAI_LABEL_DATASTORE_AUTO_RELOAD": "false",
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",  # `LabelApp` says when
        "MONAI_ZOO_SOURCE": "local",  # else it asks GitHub at the start
    }
    missing = [] if find_spec("pydicom_seg") else [str(STAND_INS)]
    paths = [str(ROOT), *missing, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    if missing:
        sys.path.append(missing[0])


def quieten() -> None:
    """Keep log lines back that hold names of files, and so of patients.

    MONAI Label's hold them; of what the web server logs when an answer breaks off, the kind of the
    error is left.
    """
    for name in ("monailabel", "task_train", "task_scoring", "task_batch_infer", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in ("uvicorn.error", "asyncio"):
        logging.getLogger(name).addFilter(_without_text)


def _without_text(record: logging.LogRecord) -> bool:
    if record.exc_info:
        kind = record.exc_info[0]
        record.msg, record.args = f"a request failed: {kind.__name__ if kind else 'error'}", ()
        record.exc_info = record.exc_text = None
    return True
