"""Manifests and images: what `data_prep` writes and the bundles read.

- `read_manifest`, `write_manifest`, `load_datalist`: the manifest of a prepared folder; of many
  images its entries are `common.data.rows.Rows`, in memory once a machine; images lie in files, in
  stacks or in archives (`common.data.image_store`);
- `class_names`: the names of the values of a column;
- `fingerprint`: what tells one prepared folder from another;
- `keep_labels`: labels for a fraction of the patients; `labelled_only`: these images alone;
- `image_datalist`: a folder, file or datalist to predict on;
- `ComBat`: what a site adds to features, estimated and taken away;
- `CellFiles`: fields of cells as a data set of crops, one around each nucleus;
- `ImageFiles`: such files as a data set, each with its images or the reason why it has none;
- `with_prior`, `read_prior`, `save_prior`, `median_distance`: a table of embeddings of the images;
- `read_image`: PNG, JPEG, TIFF, DICOM, NIfTI or ``.npy`` to ``(C, *spatial)`` in [0, 1];
- `LoadMedicalImaged`: the same inside a MONAI pipeline;
- `PrepareImaged` with `read_preparation`: images, photographs and fundus photographs as the network
  sees them, the same numbers from a raw file and from what `data_prep` made of it;
- `feature_count`: the number of columns of a prepared table;
- `LoadStoredd`: volumes and rows of features with the values that are stored;
- `EmptyMaskd`: an all-zero mask for images without one;
- `write_stack`: many images in one ``.npy`` file;
- `StackDataset` with `as_batch`: whole batches from such files, by memory map; with
  `SubjectBatch`: standardised, with groups of ages.

What needs torch or MONAI is imported when first asked for, so that data preparation, which needs
neither, starts in a fraction of a second.
"""

from typing import TYPE_CHECKING, Any

from common.data.combat import ComBat
from common.data.datalist import image_datalist
from common.data.feature_table import feature_count
from common.data.image import read_image
from common.data.labels_kept import keep_labels, labelled_only
from common.data.manifest import (
    class_names,
    fingerprint,
    load_datalist,
    read_manifest,
    seeded_order,
    write_manifest,
)
from common.data.prepare import read_preparation
from common.data.prior import median_distance, read_prior, save_prior, with_prior
from common.data.stack_file import write_stack

if TYPE_CHECKING:
    from common.data.cells.files import CellFiles
    from common.data.image_files import ImageFiles
    from common.data.load import EmptyMaskd, LoadMedicalImaged
    from common.data.load_prepared import PrepareImaged
    from common.data.load_stored import LoadStoredd
    from common.data.stack import StackDataset, as_batch
    from common.data.subject_batch import SubjectBatch

__all__ = [
    "CellFiles",
    "ComBat",
    "EmptyMaskd",
    "ImageFiles",
    "LoadMedicalImaged",
    "LoadStoredd",
    "PrepareImaged",
    "StackDataset",
    "SubjectBatch",
    "as_batch",
    "class_names",
    "feature_count",
    "fingerprint",
    "image_datalist",
    "keep_labels",
    "labelled_only",
    "load_datalist",
    "median_distance",
    "read_image",
    "read_manifest",
    "read_preparation",
    "read_prior",
    "save_prior",
    "seeded_order",
    "with_prior",
    "write_manifest",
    "write_stack",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch or MONAI on first use."""
    if name in ("StackDataset", "as_batch"):
        from common.data import stack

        return getattr(stack, name)
    if name == "CellFiles":
        from common.data.cells import files

        return files.CellFiles
    if name == "ImageFiles":
        from common.data import image_files

        return image_files.ImageFiles
    if name == "PrepareImaged":
        from common.data import load_prepared

        return load_prepared.PrepareImaged
    if name == "LoadStoredd":
        from common.data import load_stored

        return load_stored.LoadStoredd
    if name == "SubjectBatch":
        from common.data import subject_batch

        return subject_batch.SubjectBatch
    if name in ("EmptyMaskd", "LoadMedicalImaged"):
        from common.data import load

        return getattr(load, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
