"""``python -m common federated BUNDLE FOLDER [FOLDER ...] --output DIR``: try a federation out.

Each folder is what one hospital prepared (`data_prep`); its name is the client's. All run on this
machine, in turn, or with ``--nvflare`` as processes of NVFlare's simulator::

    DIR/federation.pt            the shared tensors after the last round
    DIR/federation.json          clients with their images, what is shared, metrics of each round
    DIR/<run>_seed<seed>_<client>/   each client's run, which ends with the federation's weights

What a client does with its run is what follows any training: ``configs/evaluate.json``.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.fl.utils.constants import ExtraItems
from torch import Tensor

from common.checks import require
from common.command_line import CommandParser, read_dials
from common.deploy.loading import folder_of
from common.federated.algo import BundleAlgo
from common.federated.averaging import federated_averaging
from common.files import replacing

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Run a federation on this machine; return the exit code.

    Raises:
        InputError: no such bundle or folder, two folders of one name, or what a client refuses.
    """
    options, dials = _parser().parse_known_args(list(words))
    places = {folder.name: folder for folder in options.folders}
    require(
        len(places) == len(options.folders),
        "folders: must have names of their own, by which clients are called, got some twice.",
    )
    require(
        len(places) >= 2,
        "folders: must be of two hospitals at least, got one. Train it by python -m common train.",
    )
    for folder in options.folders:
        require(folder.is_dir(), f"{folder}: must be a folder that data_prep wrote, got none.")
    given = {k: _value(v) for k, v in read_dials(dials, "python -m common federated").items()}
    require(
        "epochs" not in given,
        "epochs: must not be given, it is --rounds times --local_epochs. Set these.",
    )
    clients = {name: _client(options, given, folder) for name, folder in places.items()}
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
    print(f"{options.output / 'federation.pt'}: {len(weights)} tensors of {len(clients)} clients")
    return 0


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
        "metrics": history,
    }
    with replacing(options.output / "federation.json") as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n")
    with replacing(options.output / "federation.pt") as partial:
        torch.save(dict(weights), partial)


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
        "--nvflare", action="store_true", help="in NVFlare's simulator (pip install nvflare)"
    )
    return parser


def _value(word: str) -> Any:
    """A number or word of JSON as such, as on MONAI's command line; else the text."""
    try:
        return json.loads(word)
    except ValueError:
        return word
