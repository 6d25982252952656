"""Sentences of the verdict on the label: how much views tell of it, and who loses most."""

import math

from common.report.audit.culprit import part_name, part_place, worst
from common.report.audit.figures import number, place, share, share_with
from common.report.audit.result import Audit, Estimate, GroupInformation, LabelInformation
from common.report.audit.thresholds import CLASS_LOST, LABEL_LOST, Said, asked, lost_of, percent_of
from common.report.words import listed, plain, plural, sentence

__all__ = ["classes", "label", "sites"]


def label(audit: Audit, at: int) -> list[Said]:
    """Say how much of the label views tell."""
    one = audit.sets[at]
    found = one.label
    if found is None:
        return []
    target = place(at, "destroys")
    after, before = number(found.transformed.value), number(found.untransformed.value)
    told = f"balanced accuracy {after} from views, {before} from the images as they are"
    told += f"; chance {number(found.chance)}"
    if not math.isfinite(found.kept.value):
        words = (
            "What the views lose of the label cannot be said: a quick classifier does not tell it "
            f"above chance from the images as they are ({told})."
        )
        return [Said(words, target, "The figures", found=False, unknown=True)]
    lost, low = lost_of(found.kept, asked(audit, found.images))
    kept = percent_of(found.kept.value, found.kept)
    if not (lost > LABEL_LOST and low > 0):
        words = f"Information about the label lost: views keep {kept} of it ({told})."
        return [Said(words, target, "By class", found=False)]
    words = (
        f"The views keep {kept} of what the images tell a quick classifier of the label ({told})"
    )
    part = worst(one, "label_kept", asked(audit, found.images))
    if part is None:
        return [Said(f"{words}.", target, "By class")]
    alone = share_with(part.label_kept or Estimate(math.nan))
    words += f". {part_name(audit, part)} alone, in another draw, keeps {alone}"
    return [Said(f"{words}.", part_place(one, at, part), f"See the {plain(part.transformation)}")]


def classes(audit: Audit, at: int) -> list[Said]:
    """Name the classes that lose most."""
    found = audit.sets[at].label
    if found is None or not found.classes or not math.isfinite(found.kept.value):
        return []
    losing = _losing(found.classes)
    if not losing:
        words = "Classes that lose: none clearly. Most: "
        words += _loss(_of_class(found.classes[0]), found.classes[0]) + "."
        return [Said(words, place(at, "destroys"), "By class", found=False)]
    words = sentence(_loss(_of_class(losing[0]), losing[0])) + _others(losing, found)
    return [Said(f"{words}.", place(at, "destroys"), "By class")]


def _of_class(each: GroupInformation) -> str:
    return f"of “{each.name}”"


def _others(losing: list[GroupInformation], found: LabelInformation) -> str:
    if len(losing) == 1:
        return "" if len(found.classes) == 1 else "; no other class clearly loses as much"
    then = [f"“{each.name}” {100 * each.loss.value:.0f}" for each in losing[1:4]]
    left = len(losing) - 4
    then += [plural(left, "other")] if left > 0 else []
    return f"; then {listed(then)}" + (" points" if left <= 0 else "")


def _losing(groups: tuple[GroupInformation, ...]) -> list[GroupInformation]:
    """Those whose loss crosses the threshold, most first."""
    chosen = [
        each for each in groups
        if each.loss.value > CLASS_LOST and each.loss.low > 0
    ]  # fmt: skip
    return sorted(chosen, key=lambda each: -each.loss.value)


def _loss(whose: str, each: GroupInformation) -> str:
    """``of “lesion”, 50 % are told rightly from views, 90 % before (40 points lost, ...)``."""
    loss = f"{number(100 * each.loss.value, 0)} points lost"
    if math.isfinite(each.loss.low + each.loss.high):
        low, high = (number(100 * end, 0) for end in (each.loss.low, each.loss.high))
        loss += f", {low} to {high}"
    return (
        f"{whose}, {share(each.transformed)} are told rightly from views, "
        f"{share(each.untransformed)} from the images as they are ({loss})"
    )


def sites(audit: Audit, at: int) -> list[Said]:
    """Say whether some sites lose and others do not."""
    found = audit.sets[at].label
    if found is None or not math.isfinite(found.kept.value):
        return []
    losing = _losing(found.sites)
    if not 0 < len(losing) < len(found.sites):
        return []  # a loss at every site is that of the label
    words = sentence(_loss(f"at site “{losing[0].name}”", losing[0]))
    words += f"; {len(losing)} of {plural(len(found.sites), 'site')} clearly lose."
    return [Said(words, place(at, "destroys"), "By site")]
