"""A raw file and what `data_prep` made of it give the network of every 2D bundle the same image."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from common.data import image_datalist, read_manifest
from common.data.datalist import image_slices
from data_prep.__main__ import main as data_prep
from tests.bundles.conftest import facts
from tests.commands import PICTURES
from tests.models import written_record
from tests.synthetic import ramp, write_brats, write_dicom, write_picture

PATIENTS = 4


def noise(height: int, width: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, *channels), np.uint8)


def films(folder: Path) -> list[str]:
    """X-rays larger than they are stored, each way up, and a picture that is smaller."""
    for number in range(PATIENTS - 1):
        pixels = ramp(90 + number, 130) * (noise(90 + number, 130) > 99)
        fields: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 3000}
        if number:
            fields |= {"PhotometricInterpretation": "MONOCHROME1", "PatientOrientation": ["R", "H"]}
        write_dicom(folder / f"{number}.dcm", pixels, PatientID=str(number), **fields)
    write_picture(folder / "small.png", noise(50, 33))
    return ["chest_xray", "--size", "57"]


def slices(folder: Path) -> list[str]:
    for number in range(PATIENTS):
        write_brats(folder, f"BraTS20_Training_{number:03d}")
    return ["brats", "--test-size", "1"]


def eyes(folder: Path) -> list[str]:
    """Discs on a dark ground: cut by the picture, whole, of an odd size, as JPEG and PNG."""
    for number in range(PATIENTS):
        height, width = 120 + 7 * number, 170 + number
        y, x = np.mgrid[:height, :width]
        inside = np.hypot(x - width / 2, y - height / 2) <= 62 + 5 * number
        pixels = np.where(inside[..., None], noise(height, width, 3) // 2 + 99, 2)
        name = f"{number}.{'jpg' if number % 2 else 'png'}"
        write_picture(folder / name, pixels.astype(np.uint8))
    return ["fundus", "--size", "48"]


def photographs(folder: Path) -> list[str]:
    for number in range(PATIENTS):
        for part in ("train", "test"):
            for kind in ("ant", "bee"):
                pixels = noise(30 + number, 41 + len(part), 3) ^ (kind == "bee")
                write_picture(folder / part / kind / f"{number}.png", pixels)
    return ["folders", "--kind", "photo", "--size", "24"]


def digits(folder: Path) -> list[str]:
    """There are no raw pictures of digits in a field: a row of the stack is one."""
    return ["phantom", "--kind", "digits", "--layout", "grid", "--patients", "6", "--slices", "2"]


RAW: dict[str, Callable[[Path], list[str]]] = {
    each.__name__: each for each in (films, slices, eyes, photographs, digits)
}


def chain(bundle: Path, file: str, key: str, folder: Path, size: int) -> Any:
    """The images' transforms of a bundle, without its choice of columns."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / file))
    if file == "evaluate.json":
        parser.read_config(str(bundle / "configs" / "train.json"))
        parser.update(json.loads((bundle / "configs" / file).read_text()))
    places = {"dataset_dir": str(folder), "ckpt_dir": str(folder)}
    parser.update(places if file == "inference.json" else {**places, "image_size": size})
    return parser.get_parsed_content(key)


def images(transform: Any, entries: list[dict[str, Any]]) -> torch.Tensor:
    slices = [part for entry in entries for part in image_slices(entry)]
    return torch.stack([transform(part)["image"] for part in slices])


def prepared(bundle: Path, tmp_path: Path) -> tuple[Path, Path, int]:
    """A folder of raw files, what became of it (with a model's record beside), the size."""
    kind = facts(bundle)["raw"]
    raw, out = tmp_path / "raw", tmp_path / "out"
    arguments = RAW[kind](raw)
    arguments += [] if kind == "digits" else ["--source", str(raw)]
    assert data_prep([*arguments, "--target", str(out), "--workers", "1"]) == 0
    if kind == "digits":
        write_picture(raw / "digit.png", np.load(out / "test.npy")[0])
    size = facts(bundle)["size"]
    named = {"bundle": bundle.name, "strategy": "any", "seed": 0, "config": {}, "changed": []}
    prepared = {"preparation": read_manifest(out)["preparation"], "dials": {"image_size": size}}
    written_record(out, {**named, **prepared})
    return raw, out, size


@pytest.mark.parametrize("bundle", PICTURES, ids=lambda path: path.name)
def test_raw_and_prepared_images_are_the_same_to_the_network(bundle: Path, tmp_path: Path) -> None:
    raw, out, size = prepared(bundle, tmp_path)
    infer = chain(bundle, "inference.json", "preprocessing", out, size)
    stored = images(infer, image_datalist(out))
    entries = image_datalist(raw)  # of BraTS, the one modality that was prepared
    actual = images(infer, [e for e in entries if not re.search("_(t1|seg)", e["name"])])
    assert actual.shape[2:] == (size, size)
    for image in actual:
        assert any(torch.equal(image, other) for other in stored)


SINGLE = [path for path in PICTURES if facts(path)["one_way"]]


@pytest.mark.parametrize("bundle", SINGLE, ids=lambda path: path.name)
def test_training_and_inference_see_the_same_image(bundle: Path, tmp_path: Path) -> None:
    _, out, size = prepared(bundle, tmp_path)
    entries = image_datalist(out)
    train = chain(bundle, "train.json", "train#preprocessing", out, size)
    infer = chain(bundle, "inference.json", "preprocessing", out, size)
    if facts(bundle)["raw"] == "eyes":  # it trains on views of the whole, predicts from a crop
        train.transforms, infer.transforms = train.transforms[:1], infer.transforms[:1]
        infer.transforms[0].size = size
    np.testing.assert_array_equal(images(train, entries), images(infer, entries))
