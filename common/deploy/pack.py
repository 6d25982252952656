"""A bundle as one file for those who have no checkout: ``<bundle>_v<version>.zip``.

::

    <bundle>/LICENSE  docs/  configs/  models/model.pt  models/model.json  [model.ts] [model.onnx]
    <bundle>/scripts/common      what the bundle imports of this project (`common.deploy.vendor`)
    <bundle>/<bundle>_<digest>   the name that code is imported by
    <bundle>/__main__.py  app.yaml  requirements.txt     an app of MONAI Deploy (`app_folder`)
    <bundle>/SHA256SUMS          of every file

``_target_`` of the configurations name that code, and their ``initialize`` puts the bundle on
Python's path before anything of it is built. The same files give the same zip, byte for byte,
unless a model is exported into it.
"""

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import common
from common.checks import require
from common.deploy.app_folder import write_app
from common.deploy.export import KINDS, export
from common.deploy.model_file import load_model
from common.deploy.trained_model import TrainedModel, bundle_folder
from common.deploy.vendor import vendor
from common.files import read_json, replacing

__all__ = ["pack"]

SUMS = "SHA256SUMS"
OURS = "monai-contrastive-bundles"
MODEL = ("model.pt", "model.json")
CLASSES = "_classification"  # MONAI Label's app takes outputs for a mask where a name lacks it
BESIDE = (".md", ".txt")  # the model's card and licence
IMPORTS = '"$import os", "$import sys"'
ON_PATH = "$sys.path.insert(0, os.path.abspath(@bundle_root))"
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in the zip
HOW = """# {name}, packed

Unpack, enter the folder, and run it with MONAI; nothing of the project it came from is needed:

```bash
python -m pip install {packages}
python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES
python -m monai.bundle run --config_file configs/train.json --dataset_dir PREPARED
```

As an app of MONAI Deploy, from the folder above it (`docs/deploy.md` of {ours} says more):

```bash
python -m pip install -r {folder}/requirements.txt
python {folder} -i IMAGES -o OUTPUT
```

From another folder add `--bundle_root` with the path of this one. `README.md` says what the dials
are; its commands are those of the project, where a bundle lies in `bundles/{name}`.
`sha256sum -c {sums}` checks the files. The code below `scripts/` is that of {ours} {version}.
"""


def pack(
    bundle: str,
    output: str | Path,
    exports: Sequence[str] = (),
    size: Sequence[int] = (),
    weights: str | Path | None = None,
    label: bool = False,
) -> Path:
    """Write the zip of a bundle.

    Args:
        bundle: name of a bundle of this collection, or the folder of one.
        output: folder for the zip.
        exports: of `common.deploy.export.KINDS`, to put beside the weights.
        size: see `common.deploy.export.export`.
        weights: folder of ``model.pt`` and ``model.json``; what `common.load` takes unless given.
        label: name the folder as MONAI Label's own app wants it (`CLASSES`).

    Returns:
        The zip.

    Raises:
        InputError: no such bundle, weights that are not its own, or an export that fails; no zip is
            written then.
    """
    named = not (Path(bundle) / "configs").is_dir()
    source = bundle_folder(bundle) if named else Path(bundle)
    name = str(read_json(source / "configs" / "train.json", "Give a whole bundle.")["bundle"])
    wrong = [kind for kind in exports if kind not in KINDS]
    require(not wrong, f"--export: must be {' or '.join(KINDS)}, got {', '.join(wrong)}.")
    model = TrainedModel(name, source, Path(weights or source / "models") / "model.pt")
    require(
        weights is None or model.path.is_file(),
        f"--weights: must be a folder with model.pt, got {weights}. Evaluate a training first.",
    )
    version = read_json(source / "configs" / "metadata.json", "Give a whole bundle.")["version"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / (name + CLASSES if label else name)
        _copy(source, folder, model)
        for kind in exports:
            export(kind, folder, model, size)
        _sums(folder)
        target = Path(output) / f"{folder.name}_v{version}.zip"
        with replacing(target) as partial:
            _zip(folder, partial)
    return target


def _copy(source: Path, folder: Path, model: TrainedModel) -> None:
    """Lay out the packed bundle in `folder`."""
    shutil.copytree(source / "configs", folder / "configs")
    shutil.copytree(source / "docs", folder / "docs")
    shutil.copyfile(source / "LICENSE", folder / "LICENSE")
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("configs/*.json")]
    package = vendor(model.bundle, texts, folder)
    for path in folder.glob("configs/*.json"):
        path.write_text(_configuration(path.read_text(encoding="utf-8"), package), encoding="utf-8")
    path = folder / "configs" / "metadata.json"
    metadata = read_json(path, "Give a whole bundle.")
    metadata["required_packages_version"].pop(OURS, None)
    if model.path.is_file():
        _as_trained(metadata["network_data_format"], model)
    path.write_text(json.dumps(metadata, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    packages = _packages(metadata)
    _tell(folder, model.bundle, packages)
    write_app(folder, package, packages, str(metadata["version"]))
    if model.path.is_file():
        beside = [path for path in model.path.parent.iterdir() if path.suffix in BESIDE]
        (folder / "models").mkdir()
        for path in [*(model.path.with_name(name) for name in MODEL), *beside]:
            shutil.copyfile(path, folder / "models" / path.name)


def _as_trained(data: dict[str, Any], model: TrainedModel) -> None:
    """Put the model's classes and channels in place of the bundle's, which may be others.

    Raises:
        InputError: the weights are not its own.
    """
    network = model.network()
    load_model(model.path, network, model.bundle)
    classes = model.classes(network.head.out_features)
    data["outputs"]["pred"] |= {
        "num_channels": len(classes),
        "spatial_shape": [1, len(classes)],
        "channel_def": {str(number): name for number, name in enumerate(classes)},
    }
    if "in_channels" in model.config:
        data["inputs"]["image"]["num_channels"] = int(model["in_channels"])


def _configuration(text: str, package: str) -> str:
    """A configuration whose blocks are of `package`, which it puts on Python's path first."""
    text = re.sub(r'("_target_": ")common(?=\.)', rf"\1{package}.common", text)
    text = re.sub(r'("imports": \[)', rf"\1{IMPORTS}, ", text)
    return re.sub(r'("initialize": \[)', lambda found: f'{found[0]}\n    "{ON_PATH}",', text)


def _packages(metadata: dict[str, object]) -> dict[str, str]:
    """What the code needs: name and version of each package."""
    needed = {key: str(metadata[f"{key}_version"]) for key in ("monai", "numpy")}
    more = dict(metadata["required_packages_version"])  # type: ignore[call-overload]
    return {"torch": str(metadata["pytorch_version"]), **needed, **more}


def _tell(folder: Path, name: str, packages: Mapping[str, str]) -> None:
    """Write how a packed bundle is used."""
    listed = " ".join(f"{package}=={number}" for package, number in packages.items())
    facts = {"name": name, "folder": folder.name, "packages": listed, "ours": OURS, "sums": SUMS}
    text = HOW.format(version=common.__version__, **facts)
    (folder / "docs" / "packed.md").write_text(text, encoding="utf-8")


def _contents(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if "__pycache__" not in path.parts]


def _sums(folder: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in _contents(folder)
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for path in _contents(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
