"""Put a trained model into its bundle as the released one: ``python -m common release``."""

import shutil
from pathlib import Path

from common.checks import require
from common.deploy.released import RELEASED, write_sums
from common.deploy.trained_model import TrainedModel, bundle_folder
from common.files import read_json, replacing

__all__ = ["release"]

LICENCE = "license.txt"


def release(bundle: str, models: str | Path, licence: str | Path | None = None) -> Path:
    """Copy ``model.pt`` and ``model.json`` into ``models/released``, with their SHA-256.

    Args:
        bundle: name of a bundle of this collection, or the folder of one.
        models: folder of the model, as an evaluation deployed it.
        licence: text of the weights' licence; the one that is there already unless given.

    Returns:
        The folder.

    Raises:
        InputError: no such bundle, a model that is not its own or whose head was never fitted, no
            licence, or a file that is too large.
    """
    named = not (Path(bundle) / "configs").is_dir()
    folder = bundle_folder(bundle) if named else Path(bundle)
    name = str(read_json(folder / "configs" / "train.json", "Give a whole bundle.")["bundle"])
    model = TrainedModel(name, folder, Path(models) / "model.pt")
    model.load(model.network())
    require(model.head_fitted, f"{model.path}: must have a fitted head. Evaluate it first.")
    target = folder / "models" / RELEASED
    given = Path(licence) if licence else target / LICENCE
    require(
        given.is_file(),
        f"release: the licence of the weights must be given, got none at {given}. Name a text "
        "with --licence that says whose data they learned from.",
    )
    for source, file in ((model.path, "model.pt"), (model.record_path, "model.json")):
        _copy(source, target / file)
    _copy(given, target / LICENCE)
    write_sums(target)
    return target


def _copy(source: Path, target: Path) -> None:
    if target.is_file() and source.samefile(target):
        return
    with replacing(target) as partial:
        shutil.copyfile(source, partial)
