"""From a raw T1-weighted head to an image on the MNI152 template's grid.

- `prepare_brain`: a NIfTI file or a DICOM series to a `PreparedBrain`: array, quality, flags;
- `BrainPreparation`: what was chosen (map, spacing, stripped or not); ``record()`` goes into the
  manifest and with the model, ``BrainPreparation.from_record(model["preparation"])`` reads it back;
- `read_head`, `prepare_head`: the two halves of `prepare_brain`;
- `series_of`, `choose_t1`: DICOM series of a folder tree, and the T1-weighted one of a patient.

The brain is found by `deepbet`, the template is the one that `nilearn` carries (both of the extra
``[brain]``); registration and N4 are SimpleITK's.
"""

from common.data.brain_t1.head import Head, read_head
from common.data.brain_t1.preparation import KIND, MAPS, SPACINGS_MM, BrainPreparation
from common.data.brain_t1.prepare import WHITE, PreparedBrain, prepare_brain, prepare_head
from common.data.brain_t1.series import Series, choose_t1, series_of
from common.data.brain_t1.template import Grid, template

__all__ = [
    "KIND",
    "MAPS",
    "SPACINGS_MM",
    "WHITE",
    "BrainPreparation",
    "Grid",
    "Head",
    "PreparedBrain",
    "Series",
    "choose_t1",
    "prepare_brain",
    "prepare_head",
    "read_head",
    "series_of",
    "template",
]
