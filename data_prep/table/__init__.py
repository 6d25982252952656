"""A table of features of many people (CSV, TSV or XLSX), for the bundles that read tables.

One row a scan: regional volumes, thicknesses or any other numbers, with the columns that ``--age
--site --sex --id --label`` name (by default those that are called so; ``--id site subject`` joins
several, where numbers start anew at each site). ``--columns`` names the features, also by patterns
such as ``"*_thickness"``; by default they are all other columns of numbers, but for those that tell
the site or the age itself. Columns that are constant over the training rows are left out, and so
are columns of which more than ``--missing`` of the training values are missing; a named one is
refused. Other missing values become the median of the training rows, here and at inference. Rows
without an age, or with more than half of the features missing, are left out.

``--external-sites`` are tested on and never trained on. Of the other people ``--test`` are tested,
and ``--validation`` set aside for choices, drawn site by site; all rows of a person stay together.

Writes stacks ``(N, F)`` float32 and a manifest as `data_prep.openbhb` does for its tables of
regions, with ``features`` (`common.data.feature_table`). Ids become p0001, ...; ages above 90
become 90. Counts to expect (ours, 2026-11): 291 rows of IXI's table, 260 features.
"""

from data_prep.table.source import add_arguments, plan

__all__ = ["add_arguments", "plan"]
