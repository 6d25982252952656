"""MNIST's digits in grey: as they are, or each in one of nine cells of a blank field.

The grid is that of "Contrastive representation learning with trainable augmentation channel",
section 3: a blank image three times the digit's side, 84 x 84, and the digit "randomly at one of
3 x 3 = 9 grid locations". Column ``cell`` says which, row by row, 0 to 8. A digit keeps its cell
whatever the size of the validation part. ``--size 32`` resizes the digits (bilinear), for networks
that halve an image five times, as in "No Free Lunch in Self Supervised Representation Learning".

Differs from the paper: it names no validation part; ``--validation 0`` has none.

Counts to expect (ours, 2026-11): 55 000 training, 5 000 validation and 10 000 test images; the
training stack has 388 MB in the grid, 43 MB as MNIST is.
"""

from data_prep.digits.mnist import SIDE, MnistPart, list_rows, part_names, plan_of, read_part
from data_prep.digits.source import CELLS, LAYOUTS, add_arguments, in_cells, plan

__all__ = [
    "CELLS",
    "LAYOUTS",
    "SIDE",
    "MnistPart",
    "add_arguments",
    "in_cells",
    "list_rows",
    "part_names",
    "plan",
    "plan_of",
    "read_part",
]
