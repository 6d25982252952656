"""What the sections share: places on the page, colours of the sets, estimates as words."""

import math

from common.report.audit.result import Audit, Estimate
from common.report.markup import Markup, long
from common.report.words import percent, plain

__all__ = [
    "colour",
    "ends",
    "interval",
    "number",
    "pixel_of",
    "place",
    "setting",
    "setting_named",
    "share",
    "share_interval",
    "share_with",
]

COLOURS = [f"var(--strategy-{k})" for k in (2, 4, 6, 3, 5, 0, 1)]
RULE_OF_THREE = 3.0  # 95 % bound of a share that none of n images showed: 3 / n


def place(number: int, part: str) -> str:
    """Return the anchor of a part of set `number`."""
    return f"set-{number + 1}-{part}"


def colour(number: int) -> str:
    """Return the colour of a set in every chart."""
    return COLOURS[number % len(COLOURS)]


def pixel_of(audit: Audit) -> str:
    """Return "pixel", or "voxel" of volumes."""
    return "pixel" if audit.images.spatial_dims == 2 else "voxel"


def ends(estimate: Estimate, images: int) -> tuple[float, float]:
    """Return the ends of the interval of a share; by the rule of three where all draws agree."""
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        return estimate.low, estimate.high
    width = RULE_OF_THREE / max(1, images)
    return max(0.0, estimate.value - width), min(1.0, estimate.value + width)


def share(estimate: Estimate) -> str:
    """Return a share as whole per cent."""
    if not math.isfinite(estimate.value):
        return "not known"
    return percent(round(estimate.value, 2) + 0.0)  # no minus before a zero


def share_interval(estimate: Estimate) -> str:
    """Return the interval of a share as ``28–34 %``, or nothing."""
    if not math.isfinite(estimate.low + estimate.high):
        return ""
    return f"{100 * estimate.low:.0f}–{100 * estimate.high:.0f} %"


def share_with(estimate: Estimate) -> str:
    """Return a share with its interval, ``31 % (28–34 %)``."""
    between = share_interval(estimate)
    return f"{share(estimate)} ({between})" if between else share(estimate)


def setting(transformation: str, words: str) -> Markup:
    """Return what a transformation is set to, without its name; long words are broken."""
    return long(setting_words(transformation, words))


def setting_words(transformation: str, words: str) -> str:
    """Return what a transformation is set to, without its name."""
    return words.removeprefix(transformation).lstrip(" ,") or "–"


def setting_named(words: str) -> str:
    """Return a setting with its transformation's name as words.

    >>> setting_named("flip_0 none to full")
    'flip up–down none to full'
    """
    name, _, rest = words.partition(" ")
    return f"{plain(name)} {rest}".rstrip()


def drawn(audit: Audit) -> str:
    """Return what intervals draw with replacement."""
    return "patients" if audit.images.patients_known else "images"


def number(value: float, decimals: int = 2) -> str:
    """Return a number with a minus sign that is one, and none before a zero."""
    if not math.isfinite(value):
        return "–"
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "−")


def interval(estimate: Estimate, decimals: int = 2) -> str:
    """Return a figure with its interval, ``0.94 (0.90–0.97)``."""
    words = number(estimate.value, decimals)
    if math.isfinite(estimate.low + estimate.high):
        words += f" ({number(estimate.low, decimals)}–{number(estimate.high, decimals)})"
    return words
