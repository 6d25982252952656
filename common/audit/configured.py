"""Read a set of transformations from a configuration: of a bundle, an overlay or a training.

Kinds of views are found below ``network``: every block that has both a "policy" and a "transform".
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from common.audit.sets import ChannelPolicy, Crops, TransformationSet, ViewKind, chooser_of
from common.checks import InputError, require
from common.config import RECORD, read_record
from common.deploy import load_weights
from common.deploy.loading import folder_of
from common.files import read_json
from common.methods import Method
from common.networks import ImageClassifier
from common.policies import Uniform

__all__ = ["base_of", "read_transforms"]

ANCHORED = ("common.methods.OneViewSimCLR", "common.methods.LearnedTransforms")
CROPS = "common.methods.TrainableCrop"
STARTS = ("imports", "initialize", "run", "finalize")  # what is done, not what is built
CURE = "Give a bundle's folder, whole."
OF_EVERY_BUNDLE = {"train", "evaluate", "inference", "metadata", "multi_gpu_train", "audit"}


def read_transforms(spec: str | Path, size: int | None = None) -> TransformationSet:
    """Read the set of a bundle, of an overlay, or of a training.

    Args:
        spec: a bundle's name or folder, an overlay (its JSON file in a bundle, or one that holds
            "bundle"), or the folder of a run; with ``+`` and names or files of overlays behind it,
            such as ``fundus_photo_dino+augmentation_strong``.
        size: of the images in pixels, for settings that depend on it; the configuration's own
            unless given.

    Raises:
        InputError: none of these, or a configuration that transforms nothing.
    """
    first, *overlays = str(spec).split("+")
    path = Path(first)
    if (path / RECORD).is_file():
        return _of_run(path, size)
    if path.suffix == ".json":
        folder, overlays = _bundle_of(path), [str(path), *overlays]
    else:
        require(
            path.suffix not in (".pt", ".pth", ".ckpt"),
            f"{path.name}: must be a bundle, an overlay or the folder of a run: a model file holds "
            "the encoder without its transformations. Give the run's folder.",
        )
        folder = folder_of(first)
    config = _layered(folder, overlays)
    name = "+".join([folder.resolve().name, *(Path(one).stem for one in overlays)])
    return _of_config(name, "overlay" if overlays else "bundle", folder, config, size)


def base_of(bundle: str) -> dict[str, Any]:
    """Return the train.json of a bundle."""
    return _layered(folder_of(bundle), [])


def _bundle_of(path: Path) -> Path:
    content = read_json(path, "Give an overlay of a bundle.")
    if (path.parent / "train.json").is_file():
        return path.parent.parent
    require(
        isinstance(content.get("bundle"), str),
        f'{path.name}: must lie in the configs of a bundle or hold "bundle", got neither. Write '
        f"BUNDLE+{path.name}.",
    )
    return folder_of(content["bundle"])


def _layered(folder: Path, overlays: Sequence[str]) -> dict[str, Any]:
    train = folder / "configs" / "train.json"
    base, paths = read_json(train, CURE), [train]
    for overlay in overlays:
        beside = folder / "configs" / f"{overlay}.json"
        paths.append(Path(overlay) if overlay.endswith(".json") else beside)
        require(
            paths[-1].is_file(),
            f"--transforms {folder.name}+{overlay}: must name an overlay of the bundle or its "
            f"file, got no such file. The bundle has: {', '.join(_overlays(folder))}.",
        )
        read_json(paths[-1], f"Name an overlay of {folder.name}, or its file.")
    config: dict[str, Any] = ConfigParser.load_config_files([str(path) for path in paths])
    for path in paths[1:]:
        unread = _unread(read_json(path, CURE), base, config)
        require(
            not unread,
            f"{path.name}: must be an overlay of the transformations of {folder.name}, got keys "
            f"that its training does not read: {', '.join(unread[:6])}. Name an overlay of "
            f"{folder.name}.",
        )
    return config


def _overlays(folder: Path) -> list[str]:
    """Names of the files in a bundle's configs but those that every bundle has."""
    names = (path.stem for path in (folder / "configs").glob("*.json"))
    return sorted(set(names) - OF_EVERY_BUNDLE)


def _unread(
    overlay: Mapping[str, Any], base: Mapping[str, Any], config: Mapping[str, Any]
) -> list[str]:
    """Keys of an overlay that nothing leads to from what train.json builds."""
    read = set(base) - set(STARTS)
    waiting = list(read)
    while waiting:
        for key in re.findall(r"@(\w+)", json.dumps(config.get(waiting.pop()))):
            if key in config and key not in read:
                read.add(key)
                waiting.append(key)
    free = {*read, *STARTS, "_desc_", "bundle", "optional", *overlay.get("optional", ())}
    return [key for key in overlay if key.lstrip("+").split("#")[0] not in free]


def _of_run(folder: Path, size: int | None) -> TransformationSet:
    """Return the set of a training, with its network M as it was trained."""
    record = read_record(folder / RECORD)
    bundle = folder_of(record["bundle"])
    config = {**_layered(bundle, []), **record["config"]}
    made = _of_config(f"{record['strategy']}, seed {record['seed']}", "run", bundle, config, size)
    if all(kind.chooser not in ("untrained", "crops") for kind in made.kinds):
        return made
    here = {**config, "pretrained": "", "device": "cpu"}
    network = _parser(bundle, here, size).get_parsed_content("network")
    snapshots = sorted(
        folder.glob("network_epoch=*.pt"), key=lambda path: int(path.stem.split("=")[1])
    )
    require(bool(snapshots), f"{folder.name}: must hold a snapshot of M, got none. Train on.")
    load_weights(snapshots[-1], network)
    kinds = _built(_parser(bundle, config, size), config, network)
    return TransformationSet(**{**vars(made), "kinds": tuple(kinds)})


def _parser(folder: Path, config: Mapping[str, Any], size: int | None) -> ConfigParser:
    sized = {"image_size": size} if size and "image_size" in config else {}
    return ConfigParser(deepcopy({**config, **sized, "bundle_root": str(folder)}))


def _of_config(
    name: str, source: str, folder: Path, config: dict[str, Any], size: int | None
) -> TransformationSet:
    parser = _parser(folder, config, size)
    try:
        kinds = _built(parser, config)
    except (RuntimeError, KeyError) as error:  # MONAI wraps what a component raises
        raise InputError(f"{name}: {_innermost(error)}") from None
    with_some = [path.stem for path in sorted((folder / "configs").glob("augmentation_*.json"))]
    others = f" Name an overlay of it: {', '.join(with_some)}." if with_some else ""
    require(bool(kinds), f"{name}: must transform its images, got a set that does not.{others}")
    own = parser.get_parsed_content("image_size") if "image_size" in config else None
    method = _block(config, "network")
    return TransformationSet(
        name=name,
        kinds=tuple(kinds),
        source=source,
        anchored=method.get("_target_") in ANCHORED,
        standardize=_standardizes(config),
        image_size=own if isinstance(own, int) else None,
        bundle=str(config.get("bundle", folder.name)),
        config=config,
    )


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())


def _standardizes(config: Mapping[str, Any]) -> bool:
    loader = config.get("train", {}).get("dataloader", {})
    collate = loader.get("collate_fn", {}) if isinstance(loader, dict) else {}
    return bool(isinstance(collate, dict) and collate.get("standardize") is True)


def _built(
    parser: ConfigParser, config: Mapping[str, Any], trained: Method | None = None
) -> list[ViewKind]:
    """Build the policies and transformations of all kinds of views.

    Args:
        parser: of `config`.
        config: overlays applied.
        trained: the method as it was trained, whose policy is then used.
    """
    if _block(config, "network").get("_target_") == CROPS:
        return [_crops(parser, trained)]
    kinds = []
    places = list(_places(config, "network"))
    for place in places:
        block = _block(config, place)
        transform = parser.get_parsed_content(f"{place}#transform")
        policy = parser.get_parsed_content(f"{place}#policy")
        count = parser.get_parsed_content(f"{place}#count") if "count" in block else 1
        if trained is not None and place == "network":
            policy = trained.policy
        chosen = getattr(policy, "n_parameters", transform.n_parameters)
        require(
            chosen == transform.n_parameters,
            f"{place}: its policy must choose {transform.n_parameters} parameters of "
            f"{', '.join(transform.order)}, got {chosen}. Change the overlay.",
        )
        chooser = chooser_of(policy)
        if chooser == "learned" and trained is None:
            policy, chooser = Uniform(transform.n_parameters), "untrained"
        name = "views" if len(places) == 1 else place.replace("_", " ").replace("#", " ")
        kinds.append(
            ViewKind(
                name=name,
                policy=policy.eval(),
                transform=transform,
                count=count,
                chooser=chooser,
                place=place,
            )
        )
    return kinds


def _crops(parser: ConfigParser, trained: Method | None) -> ViewKind:
    grid, channel = (parser.get_parsed_content(name) for name in ("grid", "channel"))
    chooser = "crops" if list(channel.parameters()) else "uniform"
    if trained is not None:
        classifier: ImageClassifier = trained.classifier
        channel = classifier.encoder.channel
    policy = ChannelPolicy(channel, len(grid)).eval()
    return ViewKind(
        name="views", policy=policy, transform=Crops(grid), chooser=chooser, place="channel"
    )


def _block(config: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The dictionary at a place such as "global_views#0", references followed."""
    value: Any = config
    for step in place.split("#"):
        value = value[int(step)] if isinstance(value, list) else value.get(step)
        while isinstance(value, str) and value.startswith("@") and value[1:] in config:
            value = config[value[1:]]
    return value if isinstance(value, dict) else {}


def _places(config: Mapping[str, Any], place: str) -> Iterator[str]:
    """Places of the blocks with both "policy" and "transform", in their order."""
    while isinstance(config.get(place), str):  # "@left" in the place of the network
        place = config[place][1:]
    block = _block(config, place)
    if block.get("policy") is not None and block.get("transform") is not None:
        names = [str(block[key])[1:] for key in ("policy", "transform")]
        if all(config.get(name, "") is not None for name in names):
            yield place
        return
    for key in ("methods", "global_views", "local_views"):
        members = block.get(key)
        at = f"{place}#{key}"
        if isinstance(members, str) and members.startswith("@"):
            at, members = members[1:], config.get(members[1:])
        for number, member in enumerate(members if isinstance(members, list) else []):
            named = isinstance(member, str) and member.startswith("@")
            yield from _places(config, member[1:] if named else f"{at}#{number}")
