"""Films as a viewer shows them, beside loops that pydicom's users write.

``python benchmarks/reading.py --work DIR --out benchmarks/results/reading.json``

Every film is read by ours and by one of the others in turn, in an order that changes, so that
whatever else the machine does meets both; not by all three, since memory that "shown" gives back to
the system is paid for by whichever comes next. What is counted is the time of one processor. The
contenders:

- plain: ``pydicom.dcmread(path).pixel_array``, stored values that no network can take yet;
- shown: the same with pydicom's ``apply_modality_lut`` and ``apply_voi_lut``, inverted where the
  header says so, float32 in [0, 1];
- ours: `common.data.read_image`, as data preparation, training, inference and the labelling app
  read: checked, shown, upright, float32 in [0, 1].

Films of a kind have one window, as those of a machine often have, and its table is kept; those of
one kind have a window each.

The films are drawn, with the header of a digital radiograph, in the page cache and uncompressed: a
disk or a decoder would cost all of them the same. Memory is the most that one call holds at once.
"""

import argparse
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from paired_runs import markdown, provenance, publish
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from common.data import read_image

Array = np.ndarray
STORAGE = "1.2.840.10008.5.1.4.1.1.1.1"
WINDOW = {"WindowCenter": "2000", "WindowWidth": "3000"}
SIGMOID = {"WindowCenter": "30000", "WindowWidth": "20000", "VOILUTFunction": "SIGMOID"}
OWN = "16 bits, a sigmoid window of its own"
SCALED = {"RescaleSlope": "2.5", "RescaleIntercept": "-1024", "PixelRepresentation": 1}
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "12 bits, MONOCHROME1, a window": (12, {**WINDOW, "PhotometricInterpretation": "MONOCHROME1"}),
    "12 bits, a window, lying on its side": (12, {**WINDOW, "PatientOrientation": ["F", "L"]}),
    "12 bits, no window, padded": (12, {"PixelPaddingValue": 0}),
    "16 bits, a sigmoid window": (16, SIGMOID),
    OWN: (16, SIGMOID),
    "16 bits signed, rescaled by 2.5": (16, {**WINDOW, **SCALED}),
    "8 bits, no window": (8, {}),
}  # fmt: skip
HEADER = {  # of a digital radiograph; names and numbers are made up
    "ImageType": ["ORIGINAL", "PRIMARY"], "SOPClassUID": STORAGE, "StudyDate": "20200101",
    "SeriesDate": "20200101", "StudyTime": "120000", "SeriesTime": "120000", "Modality": "DX",
    "PresentationIntentType": "FOR PRESENTATION", "Manufacturer": "ACME", "StudyDescription": "X",
    "SeriesDescription": "PA", "ManufacturerModelName": "ONE", "PatientName": "A^B",
    "PatientID": "1", "PatientSex": "F", "PatientAge": "040Y", "BodyPartExamined": "CHEST",
    "KVP": "120", "DistanceSourceToDetector": "1800", "ExposureTime": "10", "Exposure": "2",
    "ImagerPixelSpacing": ["0.34", "0.34"], "SoftwareVersions": "1", "ViewPosition": "PA",
    "DetectorType": "SCINTILLATOR", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4",
    "StudyID": "1", "SeriesNumber": "1", "InstanceNumber": "1", "PatientOrientation": ["L", "F"],
    "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelRepresentation": 0,
    "BurnedInAnnotation": "NO", "PixelIntensityRelationship": "LOG", "RescaleSlope": "1",
    "RescaleIntercept": "0", "RescaleType": "US", "LossyImageCompression": "00",
}  # fmt: skip


def draw(path: Path, seed: int, size: int, bits: int, fields: dict[str, Any]) -> Path:
    """Write a smooth field with noise over all values of its bits; a tenth of it is 0."""
    generator = np.random.default_rng(seed)
    rows, columns = np.indices((size, size)) / size
    waves = np.sin(7 * rows + seed) * np.cos(5 * columns) + generator.normal(0, 0.3, rows.shape)
    values = np.clip(waves / 4 + 0.5, 0, 1) * (2**bits - 1)
    values[: size // 10] = 0
    signed = bool(fields.get("PixelRepresentation"))
    stored = (values - 2 ** (bits - 1) * signed).astype(f"{'i' if signed else 'u'}{-(-bits // 8)}")
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = STORAGE
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    depth = {"BitsAllocated": 8 * stored.itemsize, "BitsStored": bits, "HighBit": bits - 1}
    for key, value in {**HEADER, **depth, "Rows": size, "Columns": size, **fields}.items():
        setattr(data, key, value)
    data.PixelData = stored.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def plain(path: Path) -> Array:
    return pydicom.dcmread(path).pixel_array


def shown(path: Path) -> Array:
    data = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(data.pixel_array, data), data)
    grey = (values - values.min()) / (values.max() - values.min())
    return (1 - grey if data.PhotometricInterpretation == "MONOCHROME1" else grey).astype("f4")


def ours(path: Path) -> Array:
    return read_image(path)


CONTENDERS: dict[str, Callable[[Path], Array]] = {"plain": plain, "shown": shown, "ours": ours}


def turn(paths: list[Path], peer: str, number: int) -> dict[str, float]:
    """Return the seconds of one processor an image, of ours and of a peer."""
    seconds = {peer: 0.0, "ours": 0.0}
    for place, path in enumerate(paths):
        for name in sorted(seconds, reverse=bool((place + number) % 2)):
            start = time.process_time()
            CONTENDERS[name](path)
            seconds[name] += time.process_time() - start
    return {name: total / len(paths) for name, total in seconds.items()}


def held(read: Callable[[Path], Array], path: Path) -> float:
    """Return the most megabytes that one call held at once, its result among them."""
    tracemalloc.start()
    read(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 2**20


def measure(paths: list[Path], turns: int) -> dict[str, Any]:
    """Compare the contenders on films of one kind."""
    result: dict[str, Any] = {}
    for peer in ("shown", "plain"):
        turn(paths, peer, 0)  # what is imported, and what the system has to give first
        seconds = [turn(paths, peer, number) for number in range(turns)]
        for name in (peer, "ours"):
            rate = 1 / np.median([one[name] for one in seconds])
            result[f"{name}_per_second"] = float(rate)
        ratios = [one[peer] / one["ours"] for one in seconds]
        result[f"ratio_to_{peer}"] = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
    result["memory_mb"] = {name: held(read, paths[0]) for name, read in CONTENDERS.items()}
    return result


def page(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    rows = []
    for kind, one in result["kinds"].items():
        rates = [f"{one[f'{name}_per_second']:.0f}" for name in CONTENDERS]
        ratios = [
            "{1:.2f} ({0:.2f} to {2:.2f})".format(*one[f"ratio_to_{peer}"])
            for peer in ("plain", "shown")
        ]
        memory = [f"{one['memory_mb'][name]:.1f}" for name in CONTENDERS]
        rows.append([kind, *rates, *ratios, *memory])
    header = ["film", "plain", "shown", "ours", "ours to plain", "ours to shown"]
    header += ["MB: plain", "shown", "ours"]
    return "\n".join([
        "# Reading films beside plain loops",
        "",
        "<!-- figures: reading -->",
        "`python benchmarks/reading.py --work DIR --out benchmarks/results/reading.json`",
        "",
        f"Images a second of one processor, {result['films']} drawn films of {result['size']} x "
        f"{result['size']} pixels a kind, {result['turns']} turns, ratios with quartiles (above 1 "
        "is in favour of ours); a "
        f"{result['processor']} CPU that others used too, pydicom {result['pydicom']}, numpy "
        f"{result['numpy']}, {result['date']}, code of {result['commit']}. \"plain\" returns "
        "stored integers; \"shown\" and ours return what a viewer shows, as float32.",
        "",
        markdown(header, rows),
        "",
        "Pixels are the formula's, to the last bit: `tests/common/data/test_dicom_table.py`.",
    ]) + "\n"  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, required=True, help="folder for films")
    parser.add_argument("--films", type=int, default=20, help="of each kind")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, help="write them as a page")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    kinds = {}
    for kind, (bits, fields) in KINDS.items():
        paths = [
            draw(
                arguments.work / f"{number}.dcm", number, arguments.size, bits,
                fields | ({"WindowCenter": str(30000 + number)} if kind == OWN else {}),
            )
            for number in range(arguments.films)
        ]  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kinds[kind] = measure(paths, arguments.turns)
        print(kind, kinds[kind], flush=True)
    result = {
        **provenance(),
        **{"pydicom": pydicom.__version__, "numpy": np.__version__},
        "date": time.strftime("%Y-%m-%d"),
        **{name: getattr(arguments, name) for name in ("films", "size", "turns")},
        "kinds": kinds,
    }
    publish(result, page(result), arguments.out, arguments.markdown)


if __name__ == "__main__":
    main()
