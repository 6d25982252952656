"""Which keys of a configuration exist, which arguments they may hold, and which of them are read.

All of it is read off the text: nothing is built.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pydoc import locate
from typing import Any, get_args

from monai.bundle import ComponentLocator, ReferenceResolver

from common.config.renamed import new_name

__all__ = ["applied", "followed", "read_keys", "same", "unknown_arguments", "unknown_keys"]

_ROOTS = ("initialize", "run", "finalize", "train", "validate")
_ALWAYS = {  # what MONAI reads, and what a bundle of this collection says of itself
    *("_desc_", "_meta_", "imports", "initialize", "run", "finalize"),
    *("sources", "limits", "bundle", "bundle_root", "dataset_dir", "output_dir", "ckpt_dir"),
    *("device", "strategy", "title", "optional"),
}
_BESIDE = {
    "_desc_",
    "initialize",
    "run",
    "finalize",
    "optional",
    "limits",
    "+limits",
    "+initialize",
}
_TRACKING = {"tracking_uri", "experiment_name", "run_name", "save_execute_config", "is_not_rank0"}
_OF_A_BLOCK = {"_target_", "_mode_", "_desc_", "_disabled_", "_requires_"}


def _close_to(key: str, known: Any) -> str:
    """Return the cure of a key that is none: its new name, or the nearest of `known`."""
    if new := new_name(key, known):
        return f"It is {new!r} now."
    close = get_close_matches(key, sorted(known))
    return f"Did you mean {close[0]!r}?" if close else "See the keys of the first file."


def read_keys(config: Mapping[str, Any], *roots: str) -> set[str]:
    """Return the top-level keys that something reads, directly or through others.

    Args:
        config: a whole configuration.
        roots: sections that count beside training, validation, ``initialize`` and ``run``.
    """
    return followed(config, *_ROOTS, *roots) | _ALWAYS


def followed(config: Mapping[str, Any], *roots: str) -> set[str]:
    """Return the top-level keys that `roots` refer to, directly or through others, and `roots`."""
    read: set[str] = set()
    waiting = [key for key in roots if key in config]
    while waiting:
        key = waiting.pop()
        if key not in read:
            read.add(key)
            references = ReferenceResolver.find_refs_in_config(config=config[key], id=key)
            waiting += {ref.split("::")[0] for ref in references} & set(config)
    return read


def same(one: Any, other: Any) -> bool:
    """Whether two values are written alike; MONAI rewrites ``#`` in references as ``::``."""
    first, second = (
        json.dumps(value, default=str, sort_keys=True).replace("#", "::") for value in (one, other)
    )
    return first == second


def applied(content: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether an overlay is part of a merged configuration, which has all that it sets."""
    mine = {key for key in content if not re.search("#|::", key) and key not in _BESIDE}
    return all(
        key in config and same(content[key], config[key]) for key in mine or {"run"} & set(content)
    )


def unknown_keys(config: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, cure) of what `config` adds to `base` and nothing reads.

    A new key counts as known where something refers to it. Keys within plain dicts, such as
    ``train#trainer``, are looked at too; those of a block with a ``_target_`` are arguments, see
    `unknown_arguments`.

    Args:
        config: overlays and overrides applied.
        base: the first file, which has every dial.
    """
    referred = set(re.findall(r"@([A-Za-z_]\w*)", repr(config)))
    tracked = _TRACKING if "is_not_rank0" in config else set()
    for key in config:
        if key not in {*base, *referred, *_ALWAYS, *tracked}:
            yield key, _close_to(key, base)
    for key in set(config) & set(base) - {"sources", "limits", "_meta_"}:
        for path, known in _added(config[key], base[key], key):
            if path.replace("#", "::") not in repr(config).replace("#", "::"):
                yield path, _close_to(path.rpartition("#")[2], known)


def unknown_arguments(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (nested key, cure) of each argument that what a block builds does not have."""
    locator = ComponentLocator()
    for path, block in _blocks(config, ""):
        target = str(block["_target_"])
        known = _arguments(target, locator)
        for key in block if known else ():
            if key not in known | _OF_A_BLOCK:
                name, close = target.rpartition(".")[2], get_close_matches(key, sorted(known))
                takes = f"{name} takes {', '.join(sorted(known))}."
                yield f"{path}#{key}", f"Did you mean {close[0]!r}?" if close else takes


def _added(new: Any, old: Any, path: str) -> Iterator[tuple[str, set[str]]]:
    plain = isinstance(new, Mapping) and isinstance(old, Mapping)
    if plain and old and "_target_" not in {*new, *old}:
        for key, value in new.items():
            if key in old:
                yield from _added(value, old[key], f"{path}#{key}")
            elif key != "_desc_":
                yield f"{path}#{key}", set(map(str, old))


def _blocks(content: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    pairs = content.items() if isinstance(content, Mapping) else enumerate(content)
    for key, value in pairs:
        if isinstance(value, Mapping | list):
            inner = f"{path}#{key}" if path else str(key)
            if isinstance(value, Mapping) and "_target_" in value:
                yield inner, value
            yield from _blocks(value, inner)


def _arguments(target: str, locator: ComponentLocator) -> set[str]:
    """The names of a target's arguments; empty where it takes any, or is not found."""
    name = target if "." in target else f"{locator.get_component_module_name(target)}.{target}"
    try:
        parameters = inspect.signature(locate(name)).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return set()
    known: set[str] = set()
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            if not (unpacked := get_args(parameter.annotation)):  # of Unpack[a TypedDict]
                return set()
            known |= set(unpacked[0].__annotations__)
        else:
            known.add(parameter.name)
    return known
