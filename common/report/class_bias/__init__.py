"""What sweeps say of single classes: ``analysis.json`` and its page.

::

    ClassBias (result) ──classes, opposites, properties──▶ sections ──page──▶ analysis.html

- `ClassBias`: the schema, which `common.evaluation.class_bias` fills in; with its parts `Series`,
  `Curve`, `Opposites`, `Pair`, `Control`, `Behaves` and `PropertyTest`.
- `write_analysis`: the page, self-contained.
- `in_words`: what came out, in sentences.
"""

from common.report.class_bias.page import in_words, write_analysis
from common.report.class_bias.result import (
    Behaves,
    ClassBias,
    Control,
    Curve,
    Opposites,
    Pair,
    PropertyTest,
    Series,
)

__all__ = [
    "Behaves",
    "ClassBias",
    "Control",
    "Curve",
    "Opposites",
    "Pair",
    "PropertyTest",
    "Series",
    "in_words",
    "write_analysis",
]
