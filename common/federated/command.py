"""``python -m common federated BUNDLE FOLDER [FOLDER ...] --output DIR``: try a federation out.

Each folder is what one hospital prepared (`data_prep`); its name is the client's. All run on this
machine, in turn, or with ``--nvflare`` as processes of NVFlare's simulator::

    DIR/federation.pt            the shared tensors after the last round
    DIR/federation.json          clients with their images, what is shared, metrics of each round
    DIR/<run>_seed<seed>_<client>/   each client's run, which ends with the federation's weights

What a client does with its run is what follows any training: ``configs/evaluate.json``.
"""

import ast
import json
import logging
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from monai.fl.utils.constants import ExtraItems
from torch import Tensor

from common.checks import require, require_name
from common.command_line import CommandParser, read_dials
from common.data import read_manifest
from common.deploy.loading import folder_of
from common.federated.algo import BundleAlgo
from common.federated.averaging import federated_averaging
from common.files import locked, replacing

__all__ = ["main"]

RECORD, WEIGHTS = "federation.json", "federation.pt"
INSTALL = "pip install 'monai-contrastive-bundles[federated]'"


def main(words: Sequence[str]) -> int:
    """Run a federation on this machine; return the exit code.

    Raises:
        InputError: no such bundle or folder, two folders of one name, or what a client refuses.
    """
    options, dials = _parser().parse_known_args(list(words))
    given = {k: _value(v) for k, v in read_dials(dials, "python -m common federated").items()}
    _check(options, given)
    places = _places(options.folders, options.output)
    _tell_why()
    with locked(options.output):
        history = _federate(options, given, places)
    for name, metrics in (history[-1] if history else {}).items():
        print(f"{name}: {', '.join(f'{metric} {_said(v)}' for metric, v in metrics.items())}")
    print(f"{options.output / WEIGHTS}: what {len(places)} clients learned together")
    return 0


def _federate(options: Namespace, dials: Mapping[str, Any], places: Mapping[str, Path]) -> Any:
    """Run all rounds, write what came out, and return the metrics of each round."""
    clients = {name: _client(options, dials, folder) for name, folder in places.items()}
    for name, client in clients.items():
        client.initialize({ExtraItems.CLIENT_NAME: name})
    first = next(iter(clients.values()))
    start = first.trainer.network.state_dict()
    if options.nvflare:
        from common.federated.flare import simulate

        history: list[Any] = []
        weights = simulate(clients, start, options.rounds, options.output)
    else:
        weights, history = federated_averaging(clients, start, options.rounds, evaluate=True)
        for client in clients.values():
            client.accept(weights)
    _write(options, clients, weights, history)
    return history


def _check(options: Namespace, dials: Mapping[str, Any]) -> None:
    """Refuse dials and overlays before a client is built, which takes seconds."""
    for name in ("rounds", "local_epochs"):
        given = getattr(options, name)
        require(given >= 1, f"--{name}: must be at least 1, got {given}.")
    require(
        "epochs" not in dials,
        "epochs: must not be given, it is --rounds times --local_epochs. Set these.",
    )
    require(
        "resume" not in dials,
        "resume: must not be given, a federation on one machine begins anew. Name a new --output.",
    )
    configs = folder_of(options.bundle) / "configs"
    for overlay in options.overlays:
        path = configs / f"{overlay}.json"
        require(path.is_file(), f"--overlays: must name overlays of the bundle, got no {path}.")
    require(
        not options.nvflare or find_spec("nvflare") is not None,
        f"--nvflare: must have NVFlare installed, got none. {INSTALL}, or leave the option out.",
    )


def _places(folders: Sequence[Path], output: Path) -> dict[str, Path]:
    """The folders by their clients' names, with images each, and an output without any run."""
    places = {require_name(folder.absolute().name, "folders"): folder for folder in folders}
    require(
        len(places) == len(folders),
        "folders: must have names of their own, by which clients are called, got some twice.",
    )
    require(
        len(places) >= 2,
        "folders: must be of two hospitals at least, got one. Train it by python -m common train.",
    )
    for folder in folders:
        require(folder.is_dir(), f"{folder}: must be a folder that data_prep wrote, got none.")
        require(
            bool(read_manifest(folder)["training"]),
            f"{folder}: must hold images to train on, got none. Leave it out.",
        )
    runs = [path for name in places for path in output.glob(f"*_{name}/*.pt")]
    require(
        not runs and not (output / RECORD).exists(),
        f"--output: must be without an earlier federation, got {output}, which holds one. Name "
        "another folder, or delete it.",
    )
    return places


def _tell_why() -> None:
    """Let this project's code say what it has to say, such as why a figure is missing."""
    logger = logging.getLogger("common")
    logger.setLevel(logging.INFO)
    if not logging.getLogger().handlers and not logger.handlers:
        logger.addHandler(logging.StreamHandler())


def _said(value: Any) -> str:
    return "none" if not math.isfinite(value) else f"{value:.4g}"


def _client(options: Namespace, dials: Mapping[str, Any], data: Path) -> BundleAlgo:
    folder = folder_of(options.bundle).resolve()  # NVFlare's clients start elsewhere
    epochs = options.rounds * options.local_epochs
    return BundleAlgo(
        str(folder),
        local_epochs=options.local_epochs,
        config_train_filename=[f"configs/{name}.json" for name in ("train", *options.overlays)],
        train_kwargs={
            "dataset_dir": str(data.resolve()),
            "output_dir": str(options.output.resolve()),
            "ckpt_dir": str(options.output.resolve() / "models"),
            "epochs": epochs,
            **dials,
        },
        keep=options.keep,
        batch_statistics=options.batch_statistics,
    )


def _write(
    options: Namespace,
    clients: Mapping[str, BundleAlgo],
    weights: Mapping[str, Tensor],
    history: Sequence[Any],
) -> None:
    about = {
        "bundle": folder_of(options.bundle).name,
        "rounds": options.rounds,
        "local_epochs": options.local_epochs,
        "keep": options.keep,
        "batch_statistics": options.batch_statistics,
        "images": {name: client.trainer.images for name, client in clients.items()},
        "shared": list(weights),
        "metrics": [{name: finite(told) for name, told in each.items()} for each in history],
    }
    with replacing(options.output / RECORD) as partial:
        partial.write_text(json.dumps(about, indent=1, allow_nan=False) + "\n")
    with replacing(options.output / WEIGHTS) as partial:
        torch.save(dict(weights), partial)


def finite(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics with None where one could not be computed: JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _parser() -> ArgumentParser:
    parser = CommandParser(
        "python -m common federated",
        description="Pre-train a bundle on the data of several hospitals, of which only weights "
        "are exchanged: all on this machine, to try it out.",
        epilog="All other options are dials of the bundle, as in python -m common train. How "
        "hospitals run a federation: docs/federated.md. Research use only; not a medical device.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="name of a bundle, or its folder")
    parser.add_argument("folders", nargs="+", type=Path, help="what each hospital prepared")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--rounds", type=int, default=10, help="how often weights are averaged")
    parser.add_argument("--local_epochs", type=int, default=1, help="epochs of a round")
    parser.add_argument(
        "--keep", nargs="*", default=[], help="parts of the method that stay at a client"
    )
    parser.add_argument(
        "--batch_statistics",
        default="shared",
        choices=("shared", "kept"),
        help="running statistics of batch normalisation",
    )
    parser.add_argument(
        "--overlays", nargs="+", default=[], metavar="NAME", help="to lay over train.json, by name"
    )
    parser.add_argument(
        "--nvflare",
        action="store_true",
        help=f"in NVFlare's simulator ({INSTALL})",
    )
    return parser


def _value(word: str) -> Any:
    """What a word says in JSON or Python, as on MONAI's command line; else the text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(word)
        except (ValueError, SyntaxError):
            continue
    return word
