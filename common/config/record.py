"""What a run was started with, written down once and read by whatever follows it.

A training writes its configuration into its folder when it starts (`run_record`, in ``run.json``);
an evaluation that deploys writes it on beside the weights (``models/model.json``). What comes later
reads it and does not have to be told: `as_trained` for an evaluation or a resumed training
(`common.config.deployed` for predictions). Whatever is given all the same and contradicts it is
refused.

Nothing here lists dials: a *dial* is a top-level key that holds plain data, or that ``sources``
names; everything is recorded but `MECHANICS`, which say where and how a run is run, never what
comes out of it.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from common.checks import InputError, require
from common.config.guard import check_limits
from common.config.package import PACKAGE, own_targets
from common.config.parser import config_folder, current_parser
from common.config.renamed import check_record
from common.files import read_json

__all__ = [
    "RECORD",
    "as_trained",
    "begin_run",
    "read_record",
    "run_record",
]

_LOG = logging.getLogger(__name__)

RECORD = "run.json"
PATHS = ("bundle_root", "dataset_dir", "output_dir", "ckpt_dir", "run_dir", "datasets")
MECHANICS = frozenset(
    (
        *PATHS,
        *("device", "rank", "world_size", "resume", "num_workers", "cache_rate", "jobs"),
        *("val_interval", "snapshot_interval", "tracker"),
        *("checkpoint_every", "log_interval", "timeout_minutes"),
    )
)
STRUCTURE = frozenset(
    (
        *("_desc_", "_meta_", "imports", "sources", "limits", "bundle"),
        *("initialize", "run", "finalize", "train", "validate"),
    )
)
EPOCHS = "epochs"
DATA = f"{PACKAGE}.data."  # a number that its functions read from the data is a dial
_KINDS = {
    **{"bundle": str, "strategy": str, "seed": int},
    **{"config": dict, "dials": dict, "changed": list},
}


def run_record() -> dict[str, Any]:
    """Return what the configuration that is being built says of the run, as JSON holds it.

    Returns:
        "config": the top-level keys as they are written, overlays and overrides applied;
        "dials": the values of the dials; "changed": the keys of "config" that differ from the
        bundle's own file. All are empty outside a configuration.
    """
    parser = current_parser()
    if parser is None:
        return {"config": {}, "dials": {}, "changed": []}
    written = _configuration(parser)
    own = _own_file(parser)
    return {
        "config": written,
        "dials": _dials(parser, written),
        "changed": sorted(key for key, value in written.items() if own.get(key) != value),
    }


def begin_run(run_dir: str | Path, resume: bool = False) -> None:
    """Before anything is read: continue the run in `run_dir` as it was started, or begin anew.

    Raises:
        InputError: without `resume`, the folder holds another run's weights; with it, a value that
            was given contradicts the run's (only more epochs are accepted).
    """
    folder = Path(run_dir)
    if resume:
        as_trained(folder, more_epochs=True)
        return
    weights = [*folder.glob("network_epoch=*.pt"), *folder.glob("checkpoint.pt")]
    require(
        not weights,
        f"{folder}: a new run must have a folder of its own, got one that holds a run "
        f"({weights[0].name if weights else ''}). Continue it with --resume True, which "
        "needs its checkpoint.pt, name this one with --run_suffix or --output_dir, or delete the "
        "folder.",
    )


def as_trained(run_dir: str | Path, chosen: Sequence[str] = (), more_epochs: bool = False) -> None:
    """Give every key the value that the run in `run_dir` was trained with.

    Args:
        run_dir: folder of the run; one without a record is left to whoever reads it next.
        chosen: dials that may be chosen anew, such as what an evaluation reads.
        more_epochs: a run that is resumed may be given more epochs than it had.

    Raises:
        InputError: a given value contradicts the record, which is damaged or another bundle's.
    """
    path, parser = Path(run_dir) / RECORD, current_parser()
    if parser is None or not path.is_file():
        return
    record = read_record(path, parser)
    free = {*chosen, *((EPOCHS,) if more_epochs and _gives_more(parser, record, path) else ())}
    names = [name for name in record["config"] if name not in free]
    _settle(parser, record["config"], names, path)


def read_record(path: str | Path, parser: ConfigParser | None = None) -> dict[str, Any]:
    """Read ``run.json`` or ``model.json``.

    Raises:
        InputError: it cannot be read, lacks what it must hold, is of another bundle, or was
            written before a dial was renamed.
    """
    cure = "Train or evaluate again, or copy the whole folder again."
    record: dict[str, Any] = own_targets(read_json(path, cure))
    wrong = [key for key, kind in _KINDS.items() if not isinstance(record.get(key), kind)]
    classes, preparation = record.get("classes") or [], record.get("preparation") or {}
    if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        wrong.append("classes")
    if not isinstance(preparation, dict):
        wrong.append("preparation")
    require(
        not wrong,
        f"{path}: must hold {', '.join(_KINDS)}, got none or another kind of {', '.join(wrong)}. "
        "Train or evaluate again, or copy the whole folder again.",
    )
    check_record(record["config"], path)
    bundle = record["bundle"] if parser is None else _config(parser).get("bundle", record["bundle"])
    require(
        record["bundle"] == bundle,
        f"{path}: must be of bundle {bundle!r}, got one of {record['bundle']!r}. Give the folder "
        "of this bundle.",
    )
    return record


def _config(parser: ConfigParser) -> dict[str, Any]:
    content: Any = parser.config  # which MONAI declares as something else
    return content if isinstance(content, dict) else {}


def _configuration(parser: ConfigParser) -> dict[str, Any]:
    left_out = MECHANICS | STRUCTURE
    written = {key: value for key, value in _config(parser).items() if key not in left_out}
    content: dict[str, Any] = json.loads(json.dumps(written, default=str))
    return content


def _dials(parser: ConfigParser, written: Mapping[str, Any]) -> dict[str, Any]:
    sources = _config(parser).get("sources", {})
    dials = {}
    for key, value in written.items():
        counted = isinstance(value, Mapping) and str(value.get("_target_")).startswith(DATA)
        if key in sources or _is_plain(value) or counted:
            resolved = parser.get_parsed_content(key)
            if _is_data(resolved) and (isinstance(resolved, int) or not counted):
                dials[key] = resolved
    return dials


def _is_plain(value: Any) -> bool:
    """Whether nothing in it is built or computed."""
    if isinstance(value, dict):
        return "_target_" not in value and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not (isinstance(value, str) and ("@" in value or value.startswith("$")))


def _is_data(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_data(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_data, value))
    return value is None or isinstance(value, bool | int | float | str)


def _own_file(parser: ConfigParser) -> dict[str, Any]:
    """The bundle's own first file, without overlays and overrides; empty where it is not found."""
    name = "train.json" if "train" in _config(parser) else "inference.json"
    beside_root = Path(str(_config(parser).get("bundle_root", "."))) / "configs"
    for folder in (config_folder(), beside_root):
        if folder is not None and (folder / name).is_file():
            content: dict[str, Any] = ConfigParser.load_config_file(folder / name)
            if content.get("bundle") == _config(parser).get("bundle"):
                return content
    return {}


def _given(parser: ConfigParser, own: Mapping[str, Any], name: str) -> bool:
    """Whether the person who started this gave `name`, in an overlay or on the command line."""
    words = (word[2:] for word in sys.argv[1:] if word.startswith("--"))
    typed = any(re.split("[#=]|::", word)[0] == name for word in words)
    return typed or name not in own or _config(parser)[name] != own[name]


def _gives_more(parser: ConfigParser, record: Mapping[str, Any], path: Path) -> bool:
    now, before = _config(parser).get(EPOCHS), record["config"].get(EPOCHS)
    if not (isinstance(now, int) and isinstance(before, int)) or not _given(
        parser, _own_file(parser), EPOCHS
    ):
        return False
    require(
        now >= before,
        f"{path}: {EPOCHS} must be at least the run's {before}, got {now}. A run is continued with "
        "as many or more.",
    )
    return True


def _settle(
    parser: ConfigParser, recorded: Mapping[str, Any], names: Sequence[str], path: Path
) -> None:
    """Take over what was not given; refuse what was and differs."""
    own, taken = _own_file(parser), {}
    _check_told(parser, {name: recorded[name] for name in names}, path)
    for name in names:
        now = _config(parser).get(name)
        if name not in _config(parser) or now == recorded[name]:
            continue
        if _given(parser, own, name):
            where, trained, given = _difference(name, recorded[name], now)
            raise InputError(
                f"{path}: {where} must be as trained, {trained!r}, got {given!r}. Leave it out, or "
                "train with it."
            )
        taken[name] = recorded[name]
    if taken:
        _replace(parser, taken)
        _LOG.info("%s: as trained: %s", path, ", ".join(sorted(taken)))


def _check_told(parser: ConfigParser, recorded: Mapping[str, Any], path: Path) -> None:
    """Refuse a record whose dials no run can have had."""
    known = {name: value for name, value in recorded.items() if name in _config(parser)}
    try:
        check_limits({**_config(parser), **known}, {})
    except InputError as error:
        raise InputError(f"{path}: {error} Train again, or copy the folder again.") from None


def _difference(name: str, trained: Any, given: Any) -> tuple[str, Any, Any]:
    """The first place inside `name` where the two differ."""
    if isinstance(trained, dict) and isinstance(given, dict):
        for key in [*trained, *given]:
            if trained.get(key) != given.get(key):
                return _difference(f"{name}#{key}", trained.get(key), given.get(key))
    return name, trained, given


def _replace(parser: ConfigParser, values: Mapping[str, Any]) -> None:
    """Change the configuration while its ``initialize`` section is being built."""
    resolved = parser.ref_resolver.resolved_content
    done = {key: value for key, value in resolved.items() if key.startswith("initialize")}
    for key, value in values.items():
        _config(parser)[key] = value
    parser.parse(reset=True)
    parser.ref_resolver.resolved_content.update(done)
