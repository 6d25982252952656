"""A bundle's federation under NVFlare: the client's loop, and the job of its simulator.

At a hospital NVFlare starts ``common/federated/flare_client.py --settings FILE``; the file holds
the arguments of `BundleAlgo`, and "client", its name. NVFlare's FedAvg averages at the server, by
the number of images that each client says it has.
"""

import json
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject
from torch import Tensor

from common.checks import InputError, require
from common.deploy import read_weights
from common.federated.algo import BundleAlgo
from common.files import read_json

__all__ = ["run_client", "simulate"]

CURE = "Write it as docs/federated.md shows."
JOB = "federation"


def run_client(settings: str | Path) -> None:
    """Train as often as the server asks, and send what is shared.

    Args:
        settings: JSON with the arguments of `BundleAlgo`, and "client", the name of this one.

    Raises:
        InputError: no such file, or what `BundleAlgo` refuses.
    """
    import nvflare.client as flare  # type: ignore[import-not-found]

    name, given = read_settings(Path(settings))
    algo = BundleAlgo(**{**given, "send_weight_diff": False})
    flare.init()
    algo.initialize({ExtraItems.CLIENT_NAME: name})
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        weights = {key: torch.as_tensor(value) for key, value in received.params.items()}
        metrics = algo.evaluate(ExchangeObject(weights=dict(weights))).metrics
        algo.train(ExchangeObject(weights=dict(weights)))
        sent = algo.get_weights()
        flare.send(
            flare.FLModel(
                params=sent.weights,
                params_type=flare.ParamsType.FULL,
                metrics={key: float(value) for key, value in metrics.items()},
                meta={"NUM_STEPS_CURRENT_ROUND": sent.statistics[FlStatistics.DATA_COUNT]},
            )
        )


def read_settings(settings: Path) -> tuple[str, dict[str, Any]]:
    """Return the name and the arguments of a client.

    Raises:
        InputError: no such file, no bundle, or what `BundleAlgo` does not know.
    """
    given = dict(read_json(settings, CURE))
    name = given.pop("client", "client")
    known = set(signature(BundleAlgo).parameters)
    require(
        "bundle_root" in given and set(given) <= known,
        f"{settings}: must hold bundle_root and other arguments of BundleAlgo, "
        f"{', '.join(sorted(known))}, got {', '.join(sorted(given)) or 'none'}. {CURE}",
    )
    return name, given


def simulate(
    clients: Mapping[str, BundleAlgo], start: Mapping[str, Tensor], rounds: int, output: Path
) -> dict[str, Tensor]:
    """Run a federation in NVFlare's simulator, a process for each client.

    Args:
        clients: by name; each is built again in its process.
        start: what all begin with.
        rounds: how often weights are averaged.
        output: folder for the simulator's workspace, ``nvflare``.

    Returns:
        The average after the last round.

    Raises:
        InputError: NVFlare is not installed, or its run failed.
    """
    try:
        from nvflare.app_opt.pt.file_model_persistor import (  # type: ignore[import-not-found]
            PTFileModelPersistor,
        )
        from nvflare.app_opt.pt.recipes.fedavg import (  # type: ignore[import-not-found]
            FedAvgRecipe,
        )
        from nvflare.recipe.sim_env import SimEnv  # type: ignore[import-not-found]
    except ImportError:
        raise InputError(
            "--nvflare: must have NVFlare installed, got none. pip install "
            "'monai-contrastive-bundles[federated]', or leave the option out."
        ) from None
    workspace = (output / "nvflare").resolve()
    workspace.mkdir(parents=True, exist_ok=True)
    torch.save(dict(start), workspace / "start.pt")
    script = Path(__file__).with_name("flare_client.py")
    recipe = FedAvgRecipe(
        name=JOB,
        min_clients=len(clients),
        num_rounds=rounds,
        train_script=str(script),
        model_persistor=PTFileModelPersistor(
            source_ckpt_file_full_name=str(workspace / "start.pt"), load_device="cpu"
        ),
    )
    recipe.set_per_site_config(
        {
            name: {"train_args": f"--settings {_settings(workspace, name, client)}"}
            for name, client in clients.items()
        }
    )
    try:
        recipe.execute(SimEnv(clients=list(clients), workspace_root=str(workspace)))
    except RuntimeError as error:
        raise InputError(
            f"{workspace}: NVFlare's run must end well, got {str(error).splitlines()[0]}"
        ) from None
    found = sorted(workspace.rglob("FL_global_model.pt"))
    require(
        len(found) == 1,
        f"{workspace}: must hold the simulator's FL_global_model.pt, got {len(found)}. Its log is "
        "there too.",
    )
    saved = read_weights(found[0]).get("model", {})
    require(
        set(start) <= set(saved),
        f"{found[0]}: must hold the {len(start)} tensors that are shared, got others. Its log is "
        "there too.",
    )
    weights = {name: torch.as_tensor(saved[name]) for name in start}
    next(iter(clients.values())).trainer.network.check(weights)
    return weights


def _settings(workspace: Path, name: str, client: BundleAlgo) -> Path:
    path = workspace / f"{name}.json"
    path.write_text(json.dumps({**_plain(client.arguments), "client": name}, indent=1) + "\n")
    return path


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(dict(arguments), default=str))
    return content
