"""Which transformation of a set destroys most, and where it can be looked at."""

import math

from common.report.audit.figures import place
from common.report.audit.gallery import of_member
from common.report.audit.result import Audit, Estimate, Part, SetAudit
from common.report.audit.thresholds import LABEL_LOST, LESIONS_LOST, lost_of
from common.report.words import plain, sentence

__all__ = ["part_name", "part_place", "worst"]


def worst(one: SetAudit, kept: str, images: int) -> Part | None:
    """Return the transformation that alone keeps least, where that is a loss by the thresholds."""
    threshold = {"lesions_kept": LESIONS_LOST, "label_kept": LABEL_LOST}[kept]
    known: list[tuple[float, int, Part]] = []
    for count, part in enumerate(one.parts):
        estimate: Estimate | None = getattr(part, kept)
        if estimate is not None and math.isfinite(estimate.value):
            lost, low = lost_of(estimate, images)
            if lost > threshold and low > 0:
                known.append((estimate.value, count, part))
    return min(known)[2] if known else None


def part_name(audit: Audit, part: Part) -> str:
    """Return the name of a transformation, to begin a sentence with."""
    return f"{sentence(plain(part.transformation))}{of_member(audit, part.member)}"


def part_place(one: SetAudit, at: int, part: Part) -> str:
    """Return where a transformation can be looked at: its pictures, else its row of figures."""
    for count, scan in enumerate(one.scans):
        if (scan.member, scan.transformation) == (part.member, part.transformation):
            return place(at, f"scan-{count}")
    return place(at, "difficulty")
