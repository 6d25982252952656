"""What could not be looked for, what to give so that it is, and how few it was looked at in."""

import math

from common.report.audit.result import Audit
from common.report.audit.shortcuts import shortcut_name
from common.report.words import listed, plural

__all__ = ["FEW", "missing", "nothing_found", "warnings"]

FEW = 10  # patients, below which intervals over them say little
ATTRIBUTES = ("site", "sex", "age")
CURE = "Give a folder that data_prep prepared with them"
FOLDERS = "in a plain folder, 2 to 20 folders, one for each class, tell the label"


def nothing_found(audit: Audit, at: int) -> str:
    """Say that nothing was found in set `at`, and what was looked for."""
    one = audit.sets[at]
    looked = ["views that show nothing"]
    looked += ["lesions lost"] if one.lesions is not None else []
    told = one.label is not None and math.isfinite(one.label.kept.value)
    looked += ["loss of the label"] if told else []
    names = [shortcut_name(each) for each in one.shortcuts]
    looked += [f"{listed(names)} as a shortcut"] if names else []
    return f"Nothing of what was looked for ({'; '.join(looked)}) crosses its threshold."


def missing(audit: Audit) -> str:
    """Say what is not told of the images and what to give; "" where all is."""
    one = audit.sets[0]  # what is known of the images is the same for every set
    kinds = ["lesions (no image has a mask)"] if one.lesions is None else []
    if one.label is None:
        kinds.append("the label (none is told, or none with two classes of two patients or more)")
    known = {audit.images.target, *(each.attribute for each in one.shortcuts)}
    unknown = [name for name in ATTRIBUTES if name not in known]
    if unknown:
        kinds.append(
            f"{listed(unknown)} as a shortcut (not told, the same for all, or of too few patients)"
        )
    if not kinds:
        return ""
    cure = f"{CURE}; {FOLDERS}" if one.label is None else CURE
    return f"Not looked for: {'; '.join(kinds)}. {cure}."


def warnings(audit: Audit) -> list[str]:
    """Say that patients are few and that files were left out, where it is so."""
    images, lines = audit.images, []
    if images.patients < FEW:
        who = plural(images.patients, "patient" if images.patients_known else "image")
        lines.append(
            f"Only {who}: intervals over so few say little, and one more can change every figure."
        )
    if images.skipped:
        lines.append(
            f"{plural(len(images.skipped), 'image')} of {images.found:,} could not be used; the "
            "end of the page says which and why."
        )
    return lines
