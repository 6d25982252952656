"""What every source shares: a source says what to do, as a `Plan`, and this does it.

- the work: `Plan`, `Item`, `Origin`, `Entry` (plan, split), `run` (runner, pool, worker, collect);
- finding files: `walk`, `walk_images`, `Walk`, `header_facts`, `ARCHIVE`, `ARCHIVES` (walk);
- tables: `read_table`, `read_rows`, `Line`, `number`, `canonical`, `check_once`, `is_missing`,
  `says_nothing` (of `common.data.tables`);
- labels: `add_label_arguments`, `label_arguments`, `find_labels`, `read_labels`, `LabelTable`,
  `Row`, `BESIDE`, `FOLDERS` (labels), `read_age`, `age_note` (ages), `Columns` (columns); which
  class is which number: `name_classes`, `number_names`, `folder_names`, `is_unlabelled`, `SPLITS`
  (classes);
- people: `read_sex`, `SEXES`, `read_diagnosis`, `CONTROL` (persons);
- splits by patient: `check_shares`, `split_by_share`, `split_by_test_size`, `split_as_told`,
  `set_aside`, `FOLDS` (split);
- writing: `stem_of`, `STORED`, `add_store_argument` (places), `Output`, `encode_png`,
  `encode_nifti`, `to_integers`, `attempt` (files);
- what only the command line needs: `Names`, `check_key`, `write_key` (names), `MachineFault`,
  `describe` (faults); ``python -m data_prep trace`` is in `trace`.
"""

from common.data.tables import (
    Line,
    canonical,
    check_once,
    is_missing,
    number,
    read_rows,
    read_table,
    says_nothing,
)
from data_prep.machinery.ages import age_note, read_age
from data_prep.machinery.classes import (
    SPLITS,
    folder_names,
    is_unlabelled,
    name_classes,
    number_names,
)
from data_prep.machinery.columns import Columns
from data_prep.machinery.faults import MachineFault, describe
from data_prep.machinery.files import Output, attempt, encode_nifti, encode_png, to_integers
from data_prep.machinery.labels import (
    BESIDE,
    FOLDERS,
    LabelTable,
    Row,
    add_label_arguments,
    find_labels,
    label_arguments,
    read_labels,
)
from data_prep.machinery.names import Names, check_key, write_key
from data_prep.machinery.persons import CONTROL, SEXES, read_diagnosis, read_sex
from data_prep.machinery.places import STORED, add_store_argument, stem_of
from data_prep.machinery.plan import Item, Origin, Plan
from data_prep.machinery.runner import run
from data_prep.machinery.split import (
    FOLDS,
    Entry,
    check_shares,
    set_aside,
    split_as_told,
    split_by_share,
    split_by_test_size,
)
from data_prep.machinery.walk import ARCHIVE, ARCHIVES, Walk, header_facts, walk, walk_images

__all__ = [
    "ARCHIVE",
    "ARCHIVES",
    "BESIDE",
    "CONTROL",
    "FOLDERS",
    "FOLDS",
    "SEXES",
    "SPLITS",
    "STORED",
    "Columns",
    "Entry",
    "Item",
    "LabelTable",
    "Line",
    "MachineFault",
    "Names",
    "Origin",
    "Output",
    "Plan",
    "Row",
    "Walk",
    "add_label_arguments",
    "add_store_argument",
    "age_note",
    "attempt",
    "canonical",
    "check_key",
    "check_once",
    "check_shares",
    "describe",
    "encode_nifti",
    "encode_png",
    "find_labels",
    "folder_names",
    "header_facts",
    "is_missing",
    "is_unlabelled",
    "label_arguments",
    "name_classes",
    "number",
    "number_names",
    "read_age",
    "read_diagnosis",
    "read_labels",
    "read_rows",
    "read_sex",
    "read_table",
    "run",
    "says_nothing",
    "set_aside",
    "split_as_told",
    "split_by_share",
    "split_by_test_size",
    "stem_of",
    "to_integers",
    "walk",
    "walk_images",
    "write_key",
]
