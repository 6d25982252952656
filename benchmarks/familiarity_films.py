"""What `familiarity.py` gives a chest model: films, altered films, and files that are none."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

FILMS = 60  # that are altered


def chest_groups(data: Path, work: Path) -> dict[str, list[Path]]:
    """Files of each kind, by what the page calls them."""
    manifest = json.loads((work / "data" / "manifest.json").read_text())
    test = [work / "data" / entry["image"] for entry in manifest["test"]]
    groups = {"other films of the source (official test)": test}
    chosen = test[:: len(test) // FILMS][:FILMS]
    for name, images in altered([Image.open(path).convert("L") for path in chosen]).items():
        groups[name] = [written(work / "altered" / f"{name}_{i}.png", x) for i, x in images]
    groups["re-tagged MONOCHROME1 (DICOM)"] = [
        as_dicom(work / "altered" / f"mono1_{i}.dcm", path) for i, path in enumerate(chosen)
    ]
    with zipfile.ZipFile(data / "fundus_dr_srahim" / "images_256.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:40]
        archive.extractall(work / "fundus", names)
    groups["fundus photographs"] = [work / "fundus" / name for name in names]
    dicom = data / "dicom"
    groups["other hospital: NIH, 2 PNG and 1 DICOM"] = [
        *sorted((dicom / "txrv").glob("*.png")),
        dicom / "txrv" / "nih_siim_cr_chest_pa_mono2.dcm",
    ]
    groups["the same NIH film re-tagged MONOCHROME1"] = [
        dicom / "txrv" / "fake_monochrome1_same_pixels.dcm"
    ]
    return groups | by_modality(dicom)


def by_modality(folder: Path) -> dict[str, list[Path]]:
    """The other DICOM samples, by modality or body part."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(
        [*(folder / "wg04").glob("*.dcm"), *(folder / "pydicom_repo").glob("*.dcm")]
    ):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        part = str(header.get("BodyPartExamined") or "").lower()
        name = str(header.Modality) + (f" {part}" if header.Modality == "CR" else "")
        groups.setdefault(f"DICOM sample: {name}", []).append(path)
    return groups


def altered(films: list[Image.Image]) -> dict[str, list[tuple[int, np.ndarray]]]:
    """Films that were turned, shrunk, cut or spoilt."""
    generator = np.random.default_rng(0)
    ways = {
        "half the size": lambda film: film.resize((112, 112)),
        "twice the size": lambda film: film.resize((448, 448)),
        "blurred": lambda film: film.resize((32, 32)).resize((224, 224)),
        "upside down": lambda film: film.rotate(180),
        "turned by 90 degrees": lambda film: film.rotate(90),
        "squeezed to half the height": lambda film: film.resize((224, 112)),
        "a third of the film": lambda film: film.crop((75, 75, 150, 150)),
        "at 40 % brightness": lambda film: film.point(lambda value: 0.4 * value),
        "noise": lambda film: generator.integers(0, 256, film.size[::-1], dtype=np.uint8),
    }
    return {
        name: [(i, np.asarray(way(film))) for i, film in enumerate(films)]
        for name, way in ways.items()
    }


def written(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def as_dicom(path: Path, film: Path) -> Path:
    """The stored pixels of a film under a header that says that they are inverted."""
    pixels = np.asarray(Image.open(film).convert("L"))
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    data.Modality, data.BodyPartExamined, data.ViewPosition = "DX", "CHEST", "PA"
    data.PhotometricInterpretation = "MONOCHROME1"
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path
