"""Small files of every kind that data preparation reads."""

import gzip
import hashlib
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

DX_STORAGE = "1.2.840.10008.5.1.4.1.1.1.1"
MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"


def write_nifti(
    path: Path, voxels: npt.NDArray[Any], affine: npt.NDArray[np.float64] | None = None
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)
    return path


def write_picture(path: Path, pixels: npt.NDArray[Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_dicom(path: Path, pixels: npt.NDArray[Any], bits: int = 12, **fields: Any) -> Path:
    """A DX image, MONOCHROME2, explicit little endian; `fields` by keyword, None leaves one out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = DX_STORAGE
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    stored = pixels if pixels.dtype.itemsize <= 2 else pixels.astype(np.uint16)
    defaults: dict[str, Any] = {
        "SOPClassUID": DX_STORAGE,
        "SOPInstanceUID": data.file_meta.MediaStorageSOPInstanceUID,
        "Modality": "DX",
        "PatientID": "planted-id",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1 if pixels.ndim == 2 else 3,
        "PhotometricInterpretation": "MONOCHROME2" if pixels.ndim == 2 else "RGB",
        "BitsAllocated": stored.dtype.itemsize * 8,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "PixelData": stored.tobytes(),
    }
    if pixels.ndim == 3:
        defaults["PlanarConfiguration"] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some fields are wrong on purpose
        for key, value in (defaults | fields).items():
            if value is not None:
                setattr(data, key, value)
        data.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path, voxels: npt.NDArray[Any], affine: npt.NDArray[np.float64], **fields: Any
) -> list[Path]:
    """An MR series of axial slices of (X, Y, Z) voxels in RAS order; `affine` turns nothing."""
    uid = generate_uid(entropy_srcs=[folder.name])
    across, along, step = (float(affine[axis, axis]) for axis in range(3))
    files = []
    for index in range(voxels.shape[2]):
        corner = affine @ [voxels.shape[0] - 1, voxels.shape[1] - 1, index, 1]
        geometry = {
            "SOPClassUID": MR_STORAGE,
            "Modality": "MR",
            "SeriesInstanceUID": uid,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [-float(corner[0]), -float(corner[1]), float(corner[2])],
            "PixelSpacing": [along, across],
            "SliceThickness": step,
        }
        pixels = np.rint(voxels[::-1, ::-1, index].T).astype(np.uint16)
        files.append(write_dicom(folder / f"{index:03d}.dcm", pixels, **(geometry | fields)))
    return files


def ramp(height: int = 12, width: int = 10, high: int = 4095) -> npt.NDArray[np.uint16]:
    """Values 0..high rising along the rows, different everywhere."""
    return np.linspace(0, high, height * width).round().astype(np.uint16).reshape(height, width)


def write_brats(
    folder: Path, name: str, tumour: bool = True, shape: tuple[int, int, int] = (20, 18, 8)
) -> Path:
    """One BraTS 2020 case, flair and t1: a bright box, tumour in slices 3 and 4, slice 0 black."""
    rng = np.random.default_rng(list(name.encode()))
    flair = np.zeros(shape, np.int16)
    flair[3:-3, 3:-3, 1:] = rng.integers(100, 1000, flair[3:-3, 3:-3, 1:].shape)
    seg = np.zeros(shape, np.uint8)
    if tumour:
        seg[8:11, 7:10, 3:5] = 4
    for kind, voxels in (("flair", flair), ("t1", flair // 2), ("seg", seg)):
        write_nifti(folder / name / f"{name}_{kind}.nii.gz", voxels)
    return folder / name


def idx(array: npt.NDArray[np.uint8]) -> bytes:
    axes = b"".join(int(side).to_bytes(4, "big") for side in array.shape)
    return bytes([0, 0, 8, array.ndim]) + axes + array.tobytes()


def write_mnist(
    folder: Path, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]
) -> dict[str, str]:
    """The same digits for training and test, those packed; SHA-256 of what each file holds."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name in ("train", "t10k"):
        for kind, array in (("images-idx3-ubyte", pixels), ("labels-idx1-ubyte", labels)):
            data = idx(array)
            digests[f"{name}-{kind}"] = hashlib.sha256(data).hexdigest()
            packed = name == "t10k"
            path = folder / f"{name}-{kind}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(data) if packed else data)
    return digests
