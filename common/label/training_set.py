"""The images of the studies and their labels as a prepared folder: patients kept together."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import InputError, require
from common.data import seeded_order, write_manifest, write_stack
from common.data.datalist import image_datalist, image_slices
from common.data.manifest import PARTS
from common.deploy.loading import reader
from common.label.labels import Sample, suffix_of, target_of
from common.label.models import Model
from common.label.parts import Entry, by_class, by_site
from common.label.patients import patients_of

__all__ = ["write_training_set"]


def write_training_set(
    model: Model, samples: Sequence[Sample], target: Path, seed: int = 0
) -> dict[str, int]:
    """Write ``manifest.json`` and the images it lists, as the bundle's training reads them.

    Labelled patients are shared out class by class: a fifth tests, a tenth validates, one of each
    class at least. What has no label, or one of another bundle, has -1 and is in the training part;
    of a patient who tests or validates it is left out. A bundle that reads files gets them, by
    number (hard links where the disk allows); one that reads stacks gets those, of the images as
    its network sees them. A bundle that tests on other sites gets the rarest site as its test.

    Args:
        model: of the bundle.
        samples: all images of the studies.
        target: the folder; what is in it is removed.
        seed: chooses the patients.

    Returns:
        Counts: images by part, "labelled" and "left_out" (which the model cannot read).

    Raises:
        InputError: too few labels, for the bundle's training or its evaluation.
    """
    config = model.train_config
    require(not model.no_labels, model.no_labels)
    entries = _entries(model, samples)
    sites_matter = "site_names" in (model.folder / "configs" / "evaluate.json").read_text("utf-8")
    parts = by_site(model, entries) if sites_matter else by_class(model, entries, seed)
    if target.is_dir():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    stacked = config["train"]["dataset"]["_target_"].endswith("StackDataset")
    written, lost = (_stacks if stacked else _files)(model, parts, target)
    for part in PARTS:
        require(
            bool(written[part]),
            f"{model.name}: the {part} part must hold images, got none that the model can read.",
        )
    write_manifest(target, _manifest(model, written))
    labelled = sum(entry["value"] is not None for entry in entries)
    return {**{part: len(written[part]) for part in PARTS}, "labelled": labelled, "left_out": lost}


def _entries(model: Model, samples: Sequence[Sample]) -> list[Entry]:
    """What is known of each image; patients by number, in an order that tells nothing."""
    of = patients_of(model, samples).of
    number = {name: k for k, name in enumerate(seeded_order(of.values(), 0), 1)}
    return [
        {
            "path": sample.path,
            "patient": f"p{number[of[sample.id]]:05d}",
            "value": target_of(sample, model),
            "age": (sample.label or {}).get("age"),
            "site_name": str((sample.label or {}).get("site", "")),
        }
        for sample in samples
    ]


def _told(model: Model, entry: Entry) -> Entry:
    """What the manifest says of an image."""
    value = entry["value"]
    label = -1 if value is None or model.regression else int(value)
    more: Entry = {key: entry[key] for key in ("site", "split", "fold") if key in entry}
    age: Entry = {"age": float(entry["age"])} if entry["age"] is not None else {}
    return {"patient": entry["patient"], "label": label, **age, **more}


def _files(
    model: Model, parts: Mapping[str, list[Entry]], target: Path
) -> tuple[dict[str, list[Entry]], int]:
    """Link the files of each image into the folder, by number; return what was, and was not."""
    (target / "images").mkdir()
    files = reader(model.folder, model.weights / "model.pt").dataset
    written: dict[str, list[Entry]] = {part: [] for part in PARTS}
    lost = number = 0
    for part, entries in parts.items():
        for entry, found in ((e, one) for e in entries for one in _listed(e["path"])):
            if not any("reason" not in one for one in files.of([found["image"]])[0]):
                lost += 1
                continue
            number += 1
            source = Path(found["image"])
            name = f"images/{number:06d}{suffix_of(source.name).lower()}"
            _link(source, target / name)
            for one in image_slices(found):
                at: Entry = {"slice": one["slice"]} if one.get("slice", -1) >= 0 else {}
                written[part].append({"image": name, **at, **_told(model, entry)})
    return written, lost


def _listed(path: Path) -> list[Entry]:
    try:
        return image_datalist(path)
    except InputError:
        return []


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _stacks(
    model: Model, parts: Mapping[str, list[Entry]], target: Path
) -> tuple[dict[str, list[Entry]], int]:
    """Write the images of each part, as the network sees them, into one stack."""
    files = reader(model.folder, model.weights / "model.pt").dataset
    written: dict[str, list[Entry]] = {part: [] for part in PARTS}
    shape: tuple[int, ...] = ()
    lost = 0

    def rows(part: str) -> Iterator[NDArray[Any]]:
        nonlocal shape, lost
        for entry in parts[part]:
            for one in files.of([str(entry["path"])])[0]:
                row = None if "reason" in one else _row(np.asarray(one["image"]))
                if row is None or (shape and row.shape != shape):
                    lost += 1
                    continue
                shape = row.shape
                place = {"image": f"{part}.npy", "index": len(written[part])}
                written[part].append({**place, **_told(model, entry)})
                yield row

    for part in PARTS:
        images = rows(part)
        first = next(images, None)
        if first is not None:
            write_stack(target / f"{part}.npy", chain([first], images), first.shape, first.dtype)
    return written, lost


def _row(image: NDArray[Any]) -> NDArray[Any]:
    """A row of a stack: bytes ``(H, W)`` or ``(H, W, 3)`` in 2D, a float volume in 3D."""
    if image.ndim == 4:
        return np.asarray(image[0] if len(image) == 1 else image, np.float32)
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)


def _manifest(model: Model, written: Mapping[str, list[Entry]]) -> Entry:
    classes: dict[str, list[str]] = {} if model.regression else {"label": model.choices}
    sites = [entry["site"] for part in PARTS for entry in written[part] if "site" in entry]
    if sites:
        classes["site"] = [f"site {number + 1}" for number in range(max(sites) + 1)]
    prepared = model.trained.record.get("preparation")
    return {
        **{part: list(written[part]) for part in PARTS},
        "source": "labels given in MONAI Label (common.label)",
        "licence": "the studies'",
        "arguments": {"bundle": model.name},
        "versions": {"monai": version("monai")},
        "counts": {part: len(written[part]) for part in PARTS},
        "sha256": {},
        "skipped": [],
        **({"classes": classes} if classes else {}),
        **({"preparation": prepared} if prepared else {}),
    }
