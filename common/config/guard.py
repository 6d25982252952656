"""What a bundle's configuration calls first: typos are errors, and errors are one line.

MONAI accepts an override or overlay key that exists nowhere without a word (``--epoch 1`` for
``--epochs 1``), and ends any error with two pages of traceback. Every bundle's ``initialize``
section therefore starts with `guard`.
"""

import errno
import json
import re
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.bundle import ConfigParser

from common.checks import InputError

__all__ = ["guard", "unknown_keys"]

_RUN_ARGUMENTS = (
    "run_id",
    "init_id",
    "final_id",
    "meta_file",
    "config_file",
    "logging_file",
    "tracking",
    "args_file",
)
_TRACKING_ARGUMENTS = (
    "output_dir",
    "tracking_uri",
    "experiment_name",
    "run_name",
    "save_execute_config",
)


def guard(arguments: Sequence[str] | None = None) -> None:
    """Refuse unknown keys of ``python -m monai.bundle run`` and shorten the errors that follow.

    Args:
        arguments: the command line after the program's name; this process's unless given. Anything
            but a bundle's ``run`` passes.

    Raises:
        InputError: an override or overlay names a key that nothing in the configuration uses.
    """
    sys.excepthook = _one_line
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] != "run":
        return
    given = _options(words[1:])
    if "args_file" in given:
        given = ConfigParser.load_config_file(given["args_file"]) | given
    files = _files(given.get("config_file", "configs/train.json"))
    known = _RUN_ARGUMENTS + (_TRACKING_ARGUMENTS if "tracking" in given else ())
    overrides = {key: value for key, value in given.items() if key not in known}
    layers = [(str(path), ConfigParser.load_config_file(path)) for path in files]
    for name, key, close in unknown_keys([*layers, ("the command line", overrides)]):
        cure = f"Did you mean {close[0]!r}?" if close else "See the keys of the first file."
        raise InputError(f"{name}: {key!r} is not a key of this configuration. {cure}")


def unknown_keys(
    layers: Sequence[tuple[str, Mapping[str, Any]]],
) -> list[tuple[str, str, list[str]]]:
    """Find keys of later layers that neither the first layer has nor anything refers to.

    Args:
        layers: (name, content) of the first file, its overlays and the overrides, in order.

    Returns:
        (name of the layer, key, similar keys that exist) of every unknown key.
    """
    base = set(layers[0][1])
    text = "\n".join(json.dumps(content, default=str) for _, content in layers)
    used = set(re.findall(r"@([A-Za-z_]\w*)", text)) | {"initialize", "run", "finalize", "_desc_"}
    unknown = []
    for name, content in layers[1:]:
        for key in content:
            top = re.split("#|::", key.lstrip("+"))[0]
            if top not in base | used:
                unknown.append((name, key, get_close_matches(top, sorted(base))))
    return unknown


def _options(words: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for index, word in enumerate(words):
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            following = words[index + 1] if index + 1 < len(words) else ""
            options[key.replace("-", "_")] = value if equals else following  # as Fire does
    return options


def _files(value: str | Sequence[str]) -> list[Path]:
    if isinstance(value, str):
        value = re.findall(r"[^\[\]'\",\s][^\[\]'\",]*", value)
    return [Path(name.strip()) for name in value]


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            print(f"error: {cause}", file=sys.stderr)
            return
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            print("error: the disk is full. Free some space and resume.", file=sys.stderr)
            return
        cause = cause.__cause__ or cause.__context__
    sys.__excepthook__(kind, error, trace)
