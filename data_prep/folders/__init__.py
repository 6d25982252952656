"""Your own 2D pictures (PNG, JPEG, TIFF, DICOM, NIfTI slices) by class folders or a table.

For every bundle of 2D images. Three forms of source::

    DIR/normal/…  DIR/covid/…                      folders are classes
    DIR/train/normal/…  DIR/test/normal/…  …       folders are classes in a split that is kept
    DIR/…  and  --labels TABLE                     a CSV or XLSX, one row an image

A ``labels.csv`` in the source with columns ``image`` (or ``file``) and ``label`` is taken as
``--labels``; ``--labels folders`` passes it over, ``--labels none`` labels nothing. Columns by
other names are named: ``--image --label --patient --split --age --site --bias COLUMN``. ``--groups
COLUMN ...`` keeps further columns, for results by subgroup; ``--findings COLUMN ...`` are several
labels of 1 and 0 at once. ``--class-names normal pneumonia``
names classes that the table calls 0 and 1; ``--negative NAME`` says which class is 0 (see
`data_prep.machinery.classes`).

One rule for the split: what is given is kept, and what is missing is drawn by patient, as evenly
over the classes as whole patients allow: ``--validation`` of the training patients, or, where
nothing is given, also ``--test`` of all. Without a test part the validation part is the test.

A patient is, in this order, the table's column, the folder inside the class folder with
``--patient-folders``, the DICOM Patient ID, the start of the file's name up to its first ``_``
where that ends in a digit (not of photographs), or the image itself; it is said how many of each.
``--overlap`` says what to do with patients whom a given split has on both sides: ``refuse``;
``drop`` their images from training (and from validation, if they test); ``keep`` the split and
count them once in each part, for sets whose numbers start anew in each part.

``--kind`` is what the bundle sees: ``grey`` (the longer side at most ``--size``; chest X-rays,
slices), ``photo`` (RGB, the middle square) or ``fundus`` (RGB, the field of view). Each image
becomes a PNG. Photographs, and with ``--stack`` the others, become squares in stacks instead, for
bundles that read whole batches. With ``--store`` (here, and of ``chest_xray``, ``chexpert`` and
``fundus``) they lie in archives of 512 (`common.data.image_store`), which are copied and found
faster than a million files; every 2D bundle reads them. A NIfTI volume gives the axial slices that
are less than 80 % black, all with its label, or only the ``--slices`` nearest to the middle.

De-identified as `data_prep.chest_xray` says. Counts to expect (ours, 2026-11): Kermany's 224 px
copy with ``--overlap keep`` gives 2 403 + 279 + 624 images.
"""

from data_prep.folders.laying_out import Choices, lay_out
from data_prep.folders.source import add_arguments, plan

__all__ = ["Choices", "add_arguments", "lay_out", "plan"]
