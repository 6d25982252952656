"""The section on what classes look like against how they behave: Table 1."""

import math

from common.report.class_bias.drawing import number, p_value
from common.report.class_bias.result import ClassBias, PropertyTest
from common.report.markup import Markup, figure_table, folded, heading, paragraph, section
from common.report.words import plural

__all__ = ["properties"]

BEHAVIOURS = ("ascending", "descending", "random")


def properties(found: ClassBias) -> Markup:
    """F of each property, by series; nothing where no images were given."""
    tested = [one for one in found.series if one.properties]
    if not tested:
        return Markup()
    heads = [f"{one.dial}, {one.name}" for one in tested]
    cells: dict[tuple[str, str], list[str]] = {}
    for one in tested:
        for test in one.properties:
            cells.setdefault((test.of, test.name), []).append(_tested(test))
    whole = [(name, row) for (of, name), row in cells.items() if not of]
    single = [(f"{of}: {name}", row) for (of, name), row in cells.items() if of]
    counts = [
        (name, [str(sum(each.name == name for each in one.behaviour.values())) for one in tested])
        for name in BEHAVIOURS
    ]
    note = (
        "F of ANOVA (one number a class) or MANOVA (several) between classes that are ascending, "
        f"descending and random; properties of up to {plural(found.images, 'image')} of each "
        "class. p is not corrected; q is p adjusted over this table by Benjamini and Hochberg."
    )
    reasons = sorted({test.reason for one in tested for test in one.properties if test.reason})
    untested = [paragraph(f"Not tested: {'; '.join(reasons)}.", "note")] if reasons else []
    return section(
        "properties",
        "What classes look like, and how they behave",
        figure_table("property", heads, whole),
        heading("Classes of each behaviour"),
        figure_table("behaviour", heads, counts),
        folded("Single numbers", figure_table("number", heads, single)),
        folded("Properties of the classes", _of_classes(found)),
        paragraph(note, "note"),
        *untested,
    )


def _tested(test: PropertyTest) -> str:
    if not math.isfinite(test.f):
        return "not tested"
    words = f"{test.f:.2f} ({p_value(test.p_value)}"
    return words + (f", q = {test.adjusted:.2g})" if math.isfinite(test.adjusted) else ")")


def _of_classes(found: ClassBias) -> Markup:
    names = list(next(iter(found.properties.values())))
    rows = [
        (of, [number(numbers[name], ".3g") for name in names])
        for of, numbers in found.properties.items()
    ]
    return figure_table("class", names, rows)
