"""Fundus photographs: field of view cut out, square, RGB PNG, patients kept together.

Each photograph is read by `common.data.fundus`, as inference reads it: upright, 8-bit RGB, the
field of view found and cut out, padded with black to a square and resized. JPEG, PNG, TIFF, BMP and
DICOM (ophthalmic photography: RGB, YBR, palette, MONOCHROME) below ``--source``, and pictures in
ZIP archives that lie in it, which need not be extracted.

``--layout`` says where labels, patients and the published split are: `data_prep.fundus.layouts`.
``--label`` picks the column that becomes ``label``: by default the layout's, or ``grade`` for
retinopathy; ``referable`` is grade 2 or above. ``--split published`` (the default) keeps the
published split where there is one, and a patient whose eyes it parts is an error; ``drawn`` draws
anew, both eyes of a patient together. Where only a test part is published, validation is drawn
from the training patients. Drawn parts count patients who share an exact image as one.

Each entry has ``image, label, patient, dataset``, where known ``eye, grade, referable, age, sex``,
and the measures of `data_prep.fundus.quality`; the manifest's ``quality`` counts what is wrong.
Nothing is left out for its quality. De-identified: pixels and these columns alone are written, and
patients are p0001, p0002, ... in the order of the SHA-256 of their identity.

Counts to expect: MESSIDOR-2 1 744, IDRiD 413 + 103, APTOS 2019 3 662, PAPILA 488 (all published);
Srahim's 600 photographs give 600, all but one good (ours, 2026-11); two of its 300 patients show
the same eyes, with other grades, and count as one.
"""

from data_prep.fundus.source import add_arguments, plan

__all__ = ["add_arguments", "plan"]
