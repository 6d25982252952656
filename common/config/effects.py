"""What an overlay or override sets to no effect: nothing reads it, or a later file undoes it.

What reads what is followed through the references of the configuration, from what runs: training
and validation, ``run``, and the evaluation that follows. An overlay lists under ``optional`` what
it sets though it may be unread or undone, such as a dial of the loss beside a choice of encoder.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from common.checks import require
from common.config.keys import read_keys, same
from common.config.limits import Limit, as_text
from common.config.renamed import OVERLAYS

__all__ = [
    "Layers",
    "check_overlay",
    "effective",
    "layer_of",
    "layered",
    "overlays_beside",
    "refers",
    "undone",
    "unread",
]

Layers = Sequence[tuple[str, dict[str, Any]]]

_AFTER = ("evaluate.json", "export_submission.json")  # they read what a training was told
_REPLACEABLE = {"_desc_", "initialize", "run", "finalize", "optional", "limits"}


def layered(files: Sequence[Path]) -> Layers:
    """Return (name, content) of each file, in order.

    Raises:
        InputError: an overlay is called by its old name.
    """
    for path in files:
        check_overlay(path)
    return [(str(path), ConfigParser.load_config_file(path)) for path in files]


def check_overlay(path: Path) -> None:
    """Refuse an overlay that is called by its old name."""
    require(
        path.is_file() or path.stem not in OVERLAYS,
        f"{path}: must be an overlay of the bundle, got an old name. It is "
        f"{OVERLAYS.get(path.stem)}.json now.",
    )


def effective(files: Sequence[Path], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `settings` that something reads in the configuration that `files` make.

    For a comparison that gives the same settings to several overlays.
    """
    config = {**ConfigParser.load_config_files([str(path) for path in files]), **settings}
    left_out = {key for key, _ in unread(config, layered(files))}
    return {key: value for key, value in settings.items() if key not in left_out}


def undone(layers: Layers) -> Iterator[str]:
    """Yield a line for each key of a file that a later file replaces."""
    for index, (name, content) in enumerate(layers[1:], start=2):
        mine = {key for key in content if not key.startswith("+")}
        mine -= {*_REPLACEABLE, *content.get("optional", ())}
        for other, later in layers[index:]:
            for key in mine:
                parts_of_whole = any(key.startswith(f"{whole}#") for whole in later)
                if parts_of_whole or not same(later.get(key, content[key]), content[key]):
                    yield (
                        f"{name}: {key!r} has no effect, for {other} after it sets the same. "
                        "Leave one of the two out, or change their order."
                    )


def unread(config: Mapping[str, Any], layers: Layers) -> Iterator[tuple[str, str]]:
    """Yield (key, line) of all that differs from the first file and is read by nothing.

    What is switched off (0, "", null, false) may be unread.

    Args:
        config: overlays and overrides applied.
        layers: what it was made of; see `layered`.
    """
    if not layers:
        return
    base, first = layers[0][1], Path(layers[0][0])
    optional = {key for content in overlays_beside(first) for key in _optional(content, config)}
    given = [
        key
        for key, value in config.items()
        if value and key not in optional and not same(value, base.get(key))
    ]
    limits = {dial: Limit.parse(rule) for dial, rule in config.get("limits", {}).items()}
    for dial in [key for key in given if key in limits and not limits[key].reads(config)]:
        yield (
            dial,
            f"{dial}: has no effect here, for it is read only if {limits[dial].condition}, got "
            f"{as_text(config[dial])}. Leave it out, or change that.",
        )
    read = _read_by_all(config, layers)
    for key in given:
        if key not in read and (key in base or not refers(config, key)):
            yield (
                key,
                f"{layer_of(key, layers)}: {key!r} has no effect in this combination, for nothing "
                "that runs reads it. Leave it out, or give the files that go with it.",
            )


def _read_by_all(config: Mapping[str, Any], layers: Layers) -> set[str]:
    """The keys that count as read: by what runs now or afterwards, and by inference alone."""
    base, first = layers[0][1], Path(layers[0][0])
    later = [_content(first.with_name(name)) for name in _AFTER]
    inference = _content(first.with_name("inference.json"))
    deployed = read_keys(inference) | _of_the_model([inference, *later])
    read = _read(config, [*later, *(content for _, content in layers)])
    return read | (deployed - _read(base, later)) | _of_replaced(config, layers)


def _of_the_model(contents: Sequence[Mapping[str, Any]]) -> set[str]:
    """The dials that are read of a trained model, as ``@model['image_size']``."""
    return set(re.findall(r"@model\['(\w+)'\]", json.dumps(contents)))


def _of_replaced(config: Mapping[str, Any], layers: Layers) -> set[str]:
    """What blocks read that an override replaces by another class, so that it may be unread now."""
    blocks = [
        block
        for _, content in layers
        for key, block in content.items()
        if isinstance(block, Mapping) and _target(config.get(key)) not in _targets(key, layers)
    ]
    return set(re.findall(r"@(\w+)", repr(blocks)))


def _targets(key: str, layers: Layers) -> list[str]:
    return [_target(content.get(key)) for _, content in layers]


def _target(block: Any) -> str:
    return str(block.get("_target_", "")) if isinstance(block, Mapping) else ""


def _read(config: Mapping[str, Any], others: Sequence[dict[str, Any]]) -> set[str]:
    """What `config` reads in its own run and in those of other files."""
    whole = {key: value for content in others for key, value in content.items()} | dict(config)
    whole["_runs"] = [content.get("run", []) for content in others]
    return read_keys(whole, "_runs")


def overlays_beside(first: Path) -> list[dict[str, Any]]:
    """Return the contents of all overlays in the folder of the first file."""
    others = ("metadata.json", "train.json", "inference.json", first.name)
    return [_content(path) for path in first.parent.glob("*.json") if path.name not in others]


def refers(content: Mapping[str, Any], key: str) -> bool:
    """Whether anything in `content` refers to the key."""
    return re.search(rf"@{key}\b", repr(content)) is not None


def layer_of(key: str, layers: Layers) -> str:
    """Return the last file that has the key, or the beginning of a nested one; else who typed."""
    for name, content in reversed(layers[1:]):
        own = {str(own).lstrip("+").replace("::", "#") for own in content}
        if any(key == known or key.startswith(f"{known}#") for known in own):
            return name
    return "the command line"


def _optional(content: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """What an overlay sets though it may be unread or undone, where it is set so."""
    parts = {key.split("#")[0] for key in content if "#" in key}
    return [
        key
        for key in content.get("optional", ())
        if key in parts or (key in content and same(content[key], config.get(key)))
    ]


def _content(path: Path) -> dict[str, Any]:
    """A file beside those that were given; empty where it is missing or broken."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
