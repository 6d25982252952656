"""Chest X-rays (DICOM, PNG, JPEG, TIFF) as grey PNG, de-identified, with labels.

Each image is read as a viewer shows it (`common.data.read_image`: LUTs or window, MONOCHROME1
inverted once, upright), shrunk to at most ``--size`` pixels on its longer side with antialiasing,
and written as PNG without any metadata.

Labels come from ``--labels`` (see `data_prep.machinery.labels`), or a ``labels.csv`` in the source,
or the names of the folders that hold the images (NORMAL/, PNEUMONIA/) where they are surely
classes (see `data_prep.machinery.classes`, which also says which class is 0); else all
labels are -1.

De-identified: the output holds pixels and an allow-list (age in years, at most 90; sex; view;
modality). Patients become p0001, p0002, ... in the order of the SHA-256 of their identity, which
tells nothing to those who lack the list of identities. A DICOM file that says its pixels hold
burnt-in annotation (0028,0301) is skipped. A patient is the CSV's ``patient`` column, else DICOM
Patient ID, else the file name up to its first ``_`` where that ends in a digit (00000001_000.png,
person12_virus_3.jpeg), else the file. Patients who share an exact image count as one,
unless the CSV gives the split: a copy must not lie on both sides of it. A split that is given is
kept as it is: a patient of the CSV or of DICOM in two of its parts is an error, a patient guessed
from file names is counted as one in each, and it is said how many there are.

Counts to expect (ours, 2026-11): Kermany's 224 px copy, 3 306 JPEG, gives 3 306 images.
"""

from data_prep.chest_xray.source import add_arguments, plan

__all__ = ["add_arguments", "plan"]
