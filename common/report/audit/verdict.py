"""The verdict: what was found, in sentences that claim no more than their number.

`common.report.audit.thresholds` says when there is a finding; what was looked for and not found is
told, too. Each sentence leads to its picture or chart.
"""

import math
from collections.abc import Callable

from common.report.audit.culprit import part_name, part_place, worst
from common.report.audit.destroys import size_words
from common.report.audit.figures import ends, interval, number, place, setting_named, share_with
from common.report.audit.label_verdict import classes, label, sites
from common.report.audit.proposal import proposed, unchanged
from common.report.audit.result import Audit, Estimate, Shortcut
from common.report.audit.shortcuts import shortcut_name
from common.report.audit.thresholds import (
    BLANK_VIEWS,
    LEARNED_SPREAD,
    LESIONS_LOST,
    SHORTCUT_ABOVE_CHANCE,
    Said,
    asked,
    lost_of,
    mirrored,
    percent_of,
)
from common.report.transformations import UNIFORM_SPREAD
from common.report.words import listed, plain, plural, sentence

__all__ = ["proposal_words", "verdict"]

LONG = 120  # characters of a proposal that a sentence can hold
UNDECIDED = (
    "Proposal: none; without a label that the images tell clearly, or lesions' masks, nothing says "
    "what a setting keeps."
)
SHORTCUTS = {  # attribute: what an encoder would recognise
    "site": "the scanner or the site",
    "mark": "the marks at the border",
    "image size": "the size that the image had",
    "patient": "the person",
}


def verdict(audit: Audit, at: int) -> list[Said]:
    """Return the sentences about set `at`, findings first."""
    checks: list[Callable[[Audit, int], list[Said]]] = [
        _lesions, _blank, label, classes, sites, _shortcuts, _learned,
    ]  # fmt: skip
    said = [each for check in checks for each in check(audit, at)]
    return sorted(said, key=lambda each: not each.found)


def _lesions(audit: Audit, at: int) -> list[Said]:
    one = audit.sets[at]
    if one.lesions is None:
        return []
    lost, low = lost_of(one.lesions.kept, asked(audit, one.lesions.images))
    figure = percent_of(lost, mirrored(one.lesions.kept))
    if not (lost > LESIONS_LOST and low > 0):
        words = f"Lesions lost: in {figure} of the views less than half of the lesion is left."
        return [Said(words, place(at, "destroys"), "By size", found=False)]
    words = f"The views lose the lesion (less than half of it is left) in {figure} of cases"
    smallest = one.lesions.sizes[0] if len(one.lesions.sizes) > 1 else None
    if smallest is not None:
        lost_small, low_small = lost_of(smallest.kept, asked(audit, smallest.images))
        if low_small > lost:
            sizes = size_words(audit, smallest)
            words += f"; lesions of {sizes} in {percent_of(lost_small, mirrored(smallest.kept))}"
    part = worst(one, "lesions_kept", asked(audit, one.lesions.images))
    if part is None:
        return [Said(f"{words}.", place(at, "destroys"), "By size")]
    alone = share_with(mirrored(part.lesions_kept or Estimate(math.nan)))
    words += f". {part_name(audit, part)} alone, in another draw, loses it in {alone}"
    return [Said(f"{words}.", part_place(one, at, part), f"See the {plain(part.transformation)}")]


def _blank(audit: Audit, at: int) -> list[Said]:
    blank = audit.sets[at].blank
    said = []
    for name, estimate in (("black", blank.black), ("of a single value", blank.constant)):
        low = ends(estimate, asked(audit, blank.views))[0]
        if estimate.value > BLANK_VIEWS and low > blank.images:
            words = f"{percent_of(estimate.value, estimate)} of the views are {name}"
            words += f" ({percent_of(blank.images)} of the images as they are show nothing)."
            said.append(Said(words, place(at, "gallery"), "See views"))
    if not said:
        words = (
            f"Views that show nothing: {percent_of(blank.black.value, blank.black)} black, "
            f"{percent_of(blank.constant.value, blank.constant)} of another single value."
        )
        said.append(Said(words, place(at, "gallery"), "See views", found=False))
    return said


def _shortcuts(audit: Audit, at: int) -> list[Said]:
    return [_shortcut(audit, each, at) for each in audit.sets[at].shortcuts]


def _shortcut(audit: Audit, each: Shortcut, at: int) -> Said:
    target, link = place(at, "shortcuts"), "Shortcuts"
    count = each.images if each.attribute == "patient" else asked(audit, each.images)
    low = ends(each.transformed, count)[0]
    above = each.transformed.value - each.chance
    chance = f"chance {number(each.chance)}"
    figure = interval(each.transformed)
    if above > SHORTCUT_ABOVE_CHANCE and low > each.chance:
        by = SHORTCUTS.get(each.attribute, f"the {each.attribute}")
        before = number(each.untransformed.value)
        words = (
            f"The {shortcut_name(each)} can be told from the views: balanced accuracy {figure}; "
            f"{chance}; from the images as they are {before}. An encoder can win by "
            f"recognising {by}."
        )
        return Said(words, target, link)
    told = number(each.untransformed.value)
    words = (
        f"{sentence(shortcut_name(each))} as a shortcut: told from views with {figure}; {chance}; "
    )
    return Said(f"{words}from the images as they are {told}.", target, link, found=False)


def _learned(audit: Audit, at: int) -> list[Said]:
    said = []
    for each in audit.sets[at].learned:
        widest = max((std for std in each.std if math.isfinite(std)), default=math.nan)
        if not math.isfinite(widest) or each.images < 2:
            continue
        high = widest * (1 + 1.96 / math.sqrt(2 * (each.images - 1)))
        constant = high < LEARNED_SPREAD
        does = "chooses practically the same" if constant else "does not choose the same"
        words = (
            f"The trained network M {does} for every image: over {plural(each.images, 'image')} λ "
            f"varies by at most {number(widest, 3)} (standard deviation; of a uniform draw "
            f"{number(UNIFORM_SPREAD, 3)})."
        )
        said.append(Said(words, place(at, "learned"), "λ", found=constant))
    return said


def proposal_words(audit: Audit, at: int, *, whole: bool = False) -> Said | None:
    """What the proposal of set `at` keeps, in a sentence; `whole`: with all settings in it."""
    found, scanned = audit.sets[at].proposal, bool(audit.sets[at].scans)
    if found is None:
        return Said(UNDECIDED, place(at, "destroys"), "What was measured") if scanned else None
    keep = percent_of(audit.measurement.keep)
    if not found.words:
        words = (
            "Proposal: none; of the combinations of settings that were tried, none keeps "
            f"{keep} of each."
        )
        return Said(words + unchanged(found), place(at, "proposal"), "The proposal")
    settings = "; ".join(map(setting_named, found.words))
    if len(settings) > LONG and not whole:
        settings = f"the settings of {plural(len(found.words), 'transformation')} listed there"
    words = f"Proposal: {settings}. {proposed(found)}"
    if found.left_out:
        words += f" Left out: {listed([plain(name) for name in found.left_out])}."
    return Said(words + unchanged(found), place(at, "proposal"), "The proposal")
