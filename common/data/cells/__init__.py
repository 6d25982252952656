"""From a field of view of cells in three stains to a crop around each nucleus.

- `Field`, `find_fields`, `read_field`: the files of a field, and its values ``(3, H, W)``;
- `PlateStandard`, `measure_plate`: light and brightness of a plate, and a field without them;
- `find_nuclei`: where the nuclei are;
- `centred`, `cut`: the crops of a field, each with a nucleus in its middle.

The order of the planes is nucleus, second stain, third stain (BBBC021: DAPI, tubulin, actin), by
the number after ``_w`` in the files' names. Nuclei are found with scikit-image, and TIFF of three
planes are read with tifffile, both of the extra ``[cells]``; all the rest needs neither.
"""

from common.data.cells.crops import centred, cut
from common.data.cells.fields import CHANNELS, Field, find_fields, read_field
from common.data.cells.nuclei import NUCLEUS_PX, find_nuclei
from common.data.cells.plate import MOST_FIELDS, PlateStandard, measure_plate, spread

__all__ = [
    "CHANNELS",
    "MOST_FIELDS",
    "NUCLEUS_PX",
    "Field",
    "PlateStandard",
    "centred",
    "cut",
    "find_fields",
    "find_nuclei",
    "measure_plate",
    "read_field",
    "spread",
]
