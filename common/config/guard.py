"""What a bundle's configuration calls first: wrong dials are errors, and errors are one line.

MONAI accepts an override or overlay key that exists nowhere without a word (``--epoch 1`` for
``--epochs 1``), builds with any value, and ends any error with two pages of traceback. Every
bundle's ``initialize`` section therefore starts with `guard`.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from common.checks import InputError, require
from common.config.effects import (
    Layers,
    layer_of,
    layered,
    overlays_beside,
    refers,
    undone,
    unread,
)
from common.config.endings import end_in_one_line
from common.config.keys import same, unknown_arguments, unknown_keys
from common.config.limits import Limit, as_text
from common.config.parser import current_files, current_parser, dropped
from common.config.renamed import check_targets, new_name

__all__ = ["check", "check_limits", "guard"]


def guard() -> None:
    """Refuse, before anything is built or written, a configuration that says what nothing does.

    Looks at the merged configuration, however the workflow was started:

    - the first file is a bundle's train.json or inference.json, and ``bundle_root`` that bundle;
    - no key is misspelt: each is one of the first file or something refers to it, and in a block
      each is an argument of what the block builds;
    - each dial keeps its rule of ``limits`` (`common.config.limits`);
    - no override is None, which MONAI leaves out without a word;
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
        for key in dropped():
            _check_dropped(key, parser)


def _check_dropped(key: str, parser: ConfigParser) -> None:
    """Refuse a None that MONAI's command line leaves out, where the value is another."""
    if re.split("#|::", key)[0] in parser:
        require(
            parser.get(key, ...) is None,
            f"{key}: None does not get through MONAI's command line. Write --{key} '$None'.",
        )


def check(config: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Refuse a merged configuration; see `guard`.

    Args:
        config: overlays and overrides applied.
        files: what it was made of, train.json or inference.json first; empty where that is not
            known, so that `config` itself stands for the first file.

    Raises:
        InputError: see `guard`.
    """
    layers = layered(files)
    check_first(layers)
    _check_places(config)
    _check_strategy(config, layers)
    _check_title(config, layers)
    check_targets(config, "the configuration")
    _check_keys(config, layers)
    for line in undone(layers):
        raise InputError(line)
    check_limits(config, layers[0][1] if layers else config)
    for _, line in unread(config, layers):
        raise InputError(line)


def check_first(layers: Layers) -> None:
    """Refuse an overlay in the place of the first file."""
    for name, content in layers[:1]:
        require(
            "limits" in content,
            f"{name}: must follow train.json or inference.json, got it first. Give --config_file "
            f"\"['{Path(name).with_name('train.json')}','{name}']\".",
        )


def _check_places(config: Mapping[str, Any]) -> None:
    for place in ("dataset_dir", "output_dir", "ckpt_dir", "run_dir"):
        path = config.get(place, ".")
        require(
            isinstance(path, str | Path) and str(path) != "",
            f"{place}: must be the path of a folder, got {as_text(path)}. Write it as ./NAME.",
        )
    if any("common.distributed.join" in str(step) for step in config.get("initialize", [])):
        require(
            "RANK" in os.environ,
            "multi_gpu_train.json: must be started by torchrun, or by what gives RANK and "
            "WORLD_SIZE. Leave the file out, or start with torchrun --nproc_per_node=2 -m "
            "monai.bundle run.",
        )
        batch, ranks = config.get("batch_size"), int(os.environ.get("WORLD_SIZE", "1"))
        require(
            not isinstance(batch, int) or batch % ranks == 0,
            f"batch_size: must be a multiple of the {ranks} processes that share it, got {batch}. "
            f"Give {max(ranks, int(batch or 0) // ranks * ranks)}.",
        )
    below = [key for key in ("output_dir", "ckpt_dir") if "@bundle_root" in str(config.get(key))]
    if "bundle" in config and below:
        path = Path(str(config.get("bundle_root"))) / "configs" / "train.json"
        of_folder = json.loads(path.read_text()).get("bundle") if path.is_file() else None
        require(
            of_folder == config["bundle"],
            f"bundle_root: must be the folder of bundle {config['bundle']!r}, below which results "
            f"are written, got {as_text(config.get('bundle_root'))}. Give --bundle_root, or both "
            "--output_dir and --ckpt_dir.",
        )


def _check_strategy(config: Mapping[str, Any], layers: Layers) -> None:
    """The name of a strategy does not make it: its overlay does."""
    strategy = config.get("strategy")
    named = [content["strategy"] for _, content in layers if "strategy" in content]
    if not named or named[-1] == strategy:
        return
    base = layers[0][1]
    for path in sorted(Path(layers[0][0]).parent.glob("strategy_*.json")):
        content = {"network": base.get("network"), **json.loads(path.read_text())}
        set_by_it = content.keys() & config.keys() - {"_desc_", "optional", "title"}
        blocks = set_by_it - base.get("sources", {}).keys()  # a dial may be given anew
        others = [key for key in blocks or set_by_it if not same(config[key], content[key])]
        may = content.get("optional", ())  # by another overlay, but not as if there was none
        made = all(key in may and not same(config[key], base.get(key)) for key in others)
        require(
            content.get("strategy") != strategy or made,
            f"strategy: {strategy!r} must come with the overlay that makes it, {path.name}, got "
            f"its name alone. Leave --strategy out, and give --overlays {path.stem}, or the file "
            "after train.json.",
        )


def _check_title(config: Mapping[str, Any], layers: Layers) -> None:
    """A title says what a strategy is called, so whoever gives another strategy gives both."""
    named = [content for _, content in layers if "title" in content]
    for content in named[-1:]:
        alike = [config.get(key) == content[key] for key in ("strategy", "title")]
        require(
            alike[0] or not alike[1],
            f"title: must say what strategy {as_text(config.get('strategy'))} is called, got "
            f"{as_text(content['title'])}, which is {as_text(content['strategy'])}. Give --title.",
        )


def _check_keys(config: Mapping[str, Any], layers: Layers) -> None:
    base = layers[0][1] if layers else config
    require(
        config.get("bundle") == base.get("bundle"),
        f"bundle: must be {as_text(base.get('bundle'))}, as in the first file, got "
        f"{as_text(config.get('bundle'))}. Leave it out, or give that bundle's files alone.",
    )
    for key, value in config.items():
        built = value is None or not isinstance(value, int | float | str) or str(value)[:1] in "$@%"
        require(
            built or not isinstance(base.get(key), Mapping),
            f"{key}: must be a block of the configuration, got {as_text(value)}. Leave it out; "
            "overlays choose it.",
        )
    overlays = overlays_beside(Path(layers[0][0])) if layers else []
    unknown = [
        (key, cure)
        for key, cure in unknown_keys(config, base)
        if not any(key in c and refers(c, key) for c in overlays)  # `unread` tells of those
    ]
    trained = _trained(layers)
    for key, cure in [*unknown, *unknown_arguments(config)]:
        name = layer_of(key, layers)
        if key in trained:
            cure = "Leave it out: it is read from the model, as it was trained."
        if key == "overlays":
            cure = "Name overlays in --config_file: \"['configs/train.json','configs/NAME.json']\"."
        raise InputError(f"{name}: {key!r} is not a key of this configuration. {cure}")


def _trained(layers: Layers) -> set[str]:
    """The keys of the training beside an inference.json, which needs none of them."""
    first = Path(layers[0][0]) if layers else Path()
    path = first.with_name("train.json") if first.name == "inference.json" else first
    return set(json.loads(path.read_text())) if path != first and path.is_file() else set()


def check_limits(config: Mapping[str, Any], base: Mapping[str, Any]) -> None:
    """Refuse a dial that breaks its rule of ``limits``.

    Args:
        config: overlays and overrides applied.
        base: the first file, which has the defaults.
    """
    for dial, rule in config.get("limits", {}).items():
        limit = Limit.parse(rule)
        value = config.get(dial)
        built = isinstance(value, Mapping) and "_target_" in value
        if dial not in config or built or not limit.reads(config):
            continue
        if isinstance(value, str) and value.startswith(("$", "@")):
            value = _evaluated(dial, config)
        require(
            limit.allows(value),
            f"{dial}: must be {limit.words_for_rule}, got {as_text(value)}.{_typed(value)}"
            f"{_default(dial, base)}{_renamed(dial, config)}",
        )


def _evaluated(dial: str, config: Mapping[str, Any]) -> Any:
    try:
        return ConfigParser(deepcopy(dict(config))).get_parsed_content(dial)
    except Exception as error:
        raise InputError(
            f"{dial}: must be a value or an expression that can be evaluated, got "
            f"{as_text(config[dial])}: {str(error).splitlines()[0]}."
        ) from error


def _typed(value: Any) -> str:
    """What to type where somebody typed JSON's words, which MONAI's command line takes for text."""
    words = {"true": "True", "false": "False", "null": "'$None'", "none": "'$None'"}
    word = words.get(value.lower()) if isinstance(value, str) else None
    return f" On a command line write {word}." if word else ""


def _renamed(dial: str, config: Mapping[str, Any]) -> str:
    """Where to put what this name meant before."""
    new = new_name(dial, config)
    return f" What was called {dial} before is {new} now." if new else ""


def _default(dial: str, base: Mapping[str, Any]) -> str:
    value = base.get(dial, "$")
    return "" if str(value).startswith(("$", "@")) else f" The default is {as_text(value)}."
