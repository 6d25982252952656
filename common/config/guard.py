"""What a bundle's configuration calls first: wrong dials are errors, and errors are one line.

MONAI accepts an override or overlay key that exists nowhere without a word (``--epoch 1`` for
``--epochs 1``), builds with any value, and ends any error with two pages of traceback. Every
bundle's ``initialize`` section therefore starts with `guard`.
"""

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from common.checks import InputError, require
from common.config.endings import end_in_one_line
from common.config.keys import read_keys, same, unknown_arguments, unknown_keys
from common.config.limits import Limit, as_text
from common.config.parser import current_files, current_parser

__all__ = ["check", "guard"]

Layers = Sequence[tuple[str, dict[str, Any]]]

_AFTER = ("evaluate.json", "export_ramp.json")  # they read what a training was told
_REPLACEABLE = {"_desc_", "initialize", "run", "finalize", "optional", "limits"}


def guard() -> None:
    """Refuse, before anything is built or written, a configuration that says what nothing does.

    Looks at the merged configuration, however the workflow was started:

    - the first file is a bundle's train.json or inference.json, and ``bundle_root`` that bundle;
    - no key is misspelt: each is one of the first file or something refers to it, and in a block
      each is an argument of what the block builds;
    - each dial keeps its rule of ``limits`` (`common.config.limits`);
    - what an overlay or override sets is read by something that runs, and no later file undoes it,
      unless the overlay lists it under ``optional``.

    Run by ``python -m monai.bundle`` it also makes errors, Ctrl-C and SIGTERM end in one line.

    Raises:
        InputError: one of these does not hold.
    """
    parser = current_parser()
    if parser is not None:
        config: dict[str, Any] = parser.get()
        end_in_one_line(config)
        check(config, current_files())


def check(config: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Refuse a merged configuration; see `guard`.

    Args:
        config: overlays and overrides applied.
        files: what it was made of, train.json or inference.json first; empty where that is not
            known, so that `config` itself stands for the first file.

    Raises:
        InputError: see `guard`.
    """
    layers = [(str(path), ConfigParser.load_config_file(path)) for path in files]
    base = layers[0][1] if layers else config
    overlays = _overlays(Path(layers[0][0])) if layers else []
    _check_first(layers)
    _check_places(config)
    unknown = [
        (key, cure)
        for key, cure in unknown_keys(config, base)
        if not any(key in c and _refers(c, key) for c in overlays)  # unread rather than misspelt
    ]
    for key, cure in [*unknown, *unknown_arguments(config)]:
        name = _layer(key, layers)
        raise InputError(f"{name}: {key!r} is not a key of this configuration. {cure}")
    _check_order(layers)
    optional = {key for content in overlays for key in _optional(content, config)}
    _check_limits(config, base, optional)
    if layers:
        _check_effects(config, layers, optional)


def _check_first(layers: Layers) -> None:
    for name, content in layers[:1]:
        require(
            "limits" in content,
            f"{name}: must follow train.json or inference.json, got it first. Give --config_file "
            f"\"['{Path(name).with_name('train.json')}','{name}']\".",
        )


def _check_places(config: Mapping[str, Any]) -> None:
    if any("init_process_group" in str(step) for step in config.get("initialize", [])):
        require(
            "RANK" in os.environ,
            "multi_gpu_train.json: must be started by torchrun. Leave the file out, or start with "
            "torchrun --nproc_per_node=2 -m monai.bundle run.",
        )
    below = [key for key in ("output_dir", "ckpt_dir") if "@bundle_root" in str(config.get(key))]
    if "bundle" in config and below:
        path = Path(str(config.get("bundle_root"))) / "configs" / "train.json"
        found = json.loads(path.read_text()).get("bundle") if path.is_file() else None
        require(
            found == config["bundle"],
            f"bundle_root: must be the folder of bundle {config['bundle']!r}, below which results "
            f"are written, got {as_text(config.get('bundle_root'))}. Give --bundle_root, or both "
            "--output_dir and --ckpt_dir.",
        )


def _check_order(layers: Layers) -> None:
    for index, (name, content) in enumerate(layers[1:], start=2):
        mine = {key for key in content if not key.startswith("+")}
        mine -= {*_REPLACEABLE, *content.get("optional", ())}
        for other, later in layers[index:]:
            for key in mine:
                undone = not same(later.get(key, content[key]), content[key]) or any(
                    key.startswith(f"{whole}#") for whole in later
                )
                require(
                    not undone,
                    f"{name}: {key!r} has no effect, for {other} after it sets the same. Leave one "
                    "of the two out, or change their order.",
                )


def _check_limits(
    config: Mapping[str, Any], base: Mapping[str, Any], optional: Collection[str]
) -> None:
    for dial, rule in config.get("limits", {}).items():
        limit = Limit.parse(rule)
        value = config.get(dial)
        if dial not in config or (isinstance(value, Mapping) and "_target_" in value):
            continue
        if not limit.reads(config):
            require(
                not value or same(value, base.get(dial)) or dial in optional,
                f"{dial}: has no effect here, for it is read only if {limit.condition}, got "
                f"{as_text(value)}. Leave it out, or change that.",
            )
            continue
        if isinstance(value, str) and value.startswith(("$", "@")):
            value = _evaluated(dial, config)
        require(
            limit.allows(value),
            f"{dial}: must be {limit.rule}, got {as_text(value)}.{_default(dial, base)}",
        )


def _check_effects(config: Mapping[str, Any], layers: Layers, optional: Collection[str]) -> None:
    base = layers[0][1]
    later = [_content(Path(layers[0][0]).with_name(name)) for name in _AFTER]
    read = _read(config, [*later, *(content for _, content in layers)])
    deployed = read_keys(_content(Path(layers[0][0]).with_name("inference.json")))
    kept = deployed - _read(base, later)  # recorded for inference, which alone reads them
    moot = _of_replaced(config, layers)
    for key, value in config.items():
        fine = key in read | kept | moot or key in optional
        fine = fine or not value or same(value, base.get(key))
        require(
            fine or (key not in base and _refers(config, key)),
            f"{_layer(key, layers)}: {key!r} has no effect in this combination, for nothing that "
            "runs reads it. Leave it out, or give the files that go with it.",
        )


def _of_replaced(config: Mapping[str, Any], layers: Layers) -> set[str]:
    """What the blocks read that an override replaces by another class: whoever does that knows."""
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


def _overlays(first: Path) -> list[dict[str, Any]]:
    """The contents of all overlays that lie beside the first file."""
    others = ("metadata.json", "train.json", "inference.json", first.name)
    return [_content(path) for path in first.parent.glob("*.json") if path.name not in others]


def _optional(content: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """What an overlay sets though it may be unread or undone, where it is set so."""
    parts = {key.split("#")[0] for key in content if "#" in key}
    return [
        key
        for key in content.get("optional", ())
        if key in parts or (key in content and same(content[key], config.get(key)))
    ]


def _refers(content: Mapping[str, Any], key: str) -> bool:
    return re.search(rf"@{key}\b", repr(content)) is not None


def _content(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _evaluated(dial: str, config: Mapping[str, Any]) -> Any:
    try:
        return ConfigParser(deepcopy(dict(config))).get_parsed_content(dial)
    except Exception as error:
        raise InputError(
            f"{dial}: must be a value or an expression that can be evaluated, got "
            f"{as_text(config[dial])}: {str(error).splitlines()[0]}."
        ) from error


def _default(dial: str, base: Mapping[str, Any]) -> str:
    value = base.get(dial, "$")
    return "" if str(value).startswith(("$", "@")) else f" The default is {as_text(value)}."


def _layer(key: str, layers: Layers) -> str:
    """The last file that has the key, or the beginning of a nested one; else the command line."""
    for name, content in reversed(layers[1:]):
        own = {str(own).lstrip("+").replace("::", "#") for own in content}
        if any(key == known or key.startswith(f"{known}#") for known in own):
            return name
    return "the command line"
