"""A packed bundle's model for other runtimes: TorchScript and ONNX, by MONAI's own commands.

An export is written only where it gives what the network gives, to 1e-4 of the output's scale.
"""

import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser, ckpt_export, onnx_export
from monai.bundle.scripts import _get_fake_input_shape
from torch import Tensor, nn

from common.checks import InputError, require
from common.deploy.trained_model import TrainedModel

__all__ = ["KINDS", "PARITY", "export"]

PARITY = 1e-4  # of the greatest output
BATCHES = (1, 3)  # images at a time that are compared
Run = Callable[[Tensor], Any]


def export(kind: str, folder: Path, model: TrainedModel, size: Sequence[int] = ()) -> Path:
    """Write ``models/model.ts`` or ``models/model.onnx`` into a packed bundle.

    Args:
        kind: one of `KINDS`.
        folder: the packed bundle, unpacked, with its weights.
        model: the same in this project.
        size: spatial size of the image that is tried, and that ONNX is made for; that of the
            training, or else the least of metadata.json.

    Returns:
        The file.

    Raises:
        InputError: no weights, a package is missing, the network cannot be exported, or the export
            gives something else.
    """
    target = folder / "models" / KINDS[kind][0]
    require(
        (folder / "models" / "model.pt").is_file(),
        f"{model.path}: must be a model to export, got none. Train, then evaluate.",
    )
    network = model.network()
    model.load(network)
    shape = _shape(folder, model, size)
    with _importable(folder), _silent():
        try:
            run = KINDS[kind][1](folder, target, shape)
        except InputError:
            raise
        except Exception as error:  # an exporter raises anything
            line = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise InputError(
                f"{kind}: the network must be one that can be exported, got an error "
                f"({type(error).__name__}: {line}). Pack without --export {kind}."
            ) from error
    _compare(kind, network.eval(), run, shape)
    return target


def _torchscript(folder: Path, target: Path, shape: Sequence[int]) -> Run:
    ckpt_export(**_places(folder, target))
    script: Run = torch.jit.load(str(target)).eval()  # type: ignore[no-untyped-call]
    return script


def _onnx(folder: Path, target: Path, shape: Sequence[int]) -> Run:
    try:
        import onnx  # noqa: F401  # MONAI's and torch's exporters need all three
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"onnx: needs the package {error.name}. Install the extra: pip install "
            "'monai-contrastive-bundles[export]'."
        ) from None
    names = {"input_names": ["image"], "output_names": ["pred"]}
    axes = {"dynamic_axes": {"image": {0: "batch"}, "pred": {0: "batch"}}}
    places = _places(folder, target)
    onnx_export(input_shape=list(shape), converter_kwargs={**names, **axes}, **places)
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"image": x.numpy()})[0]


KINDS: dict[str, tuple[str, Callable[[Path, Path, Sequence[int]], Run]]] = {
    "torchscript": ("model.ts", _torchscript),
    "onnx": ("model.onnx", _onnx),
}


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what MONAI's and torch's exporters tell of themselves to themselves."""
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _places(folder: Path, target: Path) -> dict[str, Any]:
    return {
        "net_id": "network_def",
        "filepath": str(target),
        "ckpt_file": str(folder / "models" / "model.pt"),
        "meta_file": str(folder / "configs" / "metadata.json"),
        "config_file": str(folder / "configs" / "inference.json"),
        "bundle_root": str(folder),
    }


def _shape(folder: Path, model: TrainedModel, size: Sequence[int]) -> list[int]:
    """``[1, C, *spatial]`` of an image that the network reads."""
    parser = ConfigParser()
    parser.read_meta(str(folder / "configs" / "metadata.json"))
    batch, channels, *spatial = (int(number) for number in _get_fake_input_shape(parser))
    require(
        not size or len(size) == len(spatial),
        f"--input_size: must be {len(spatial)} numbers, got {list(size)}.",
    )
    expected = dict(model.record.get("expects") or {}).get("shape", ())
    if not size and "image_size" in model.config:
        size = [model["image_size"]] * len(spatial)
    elif not size and len(expected) == len(spatial):  # volumes on one grid
        size = [int(number) for number in expected]
    channels = model["in_channels"] if "in_channels" in model.config else channels
    return [batch, channels, *(size or spatial)]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the packed code be imported, and forget it afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        ours = {path.parent.name for path in folder.glob("*/__init__.py")}
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in ours:
                del sys.modules[name]


def _compare(kind: str, network: nn.Module, run: Run, shape: Sequence[int]) -> None:
    """Refuse an export that gives something else than the network."""
    generator = torch.Generator().manual_seed(0)
    for batch in BATCHES:
        x = torch.rand(batch, *shape[1:], generator=generator)
        with torch.no_grad():
            expected, exported = network(x).numpy(), np.asarray(run(x))
        off = float(np.abs(exported - expected).max()) / max(float(np.abs(expected).max()), 1e-12)
        require(
            off <= PARITY,
            f"{kind}: the export must give what the network gives to {PARITY:g} of its scale, got "
            f"{off:.1e} for {batch} images. Pack without --export {kind}.",
        )
