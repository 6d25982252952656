"""What a network M chose, what one could choose instead, and what views cost."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from common.report.audit.figures import colour, number, place, setting_named, share_with
from common.report.audit.gallery import of_member
from common.report.audit.result import Audit, Learned, Proposal
from common.report.charts import histogram
from common.report.markup import (
    Markup,
    bullets,
    code,
    ends,
    heading,
    panel,
    panels,
    paragraph,
    section,
)
from common.report.words import listed, parameters, plain, plural

__all__ = ["cost", "learned", "overlay_text", "proposal"]


def learned(audit: Audit, at: int) -> Markup:
    """The section on lambda of set `at`; nothing where no network M was trained."""
    found = audit.sets[at].learned
    if not found:
        return Markup()
    parts: list[Markup] = []
    for each in found:
        if of_member(audit, each.member):
            parts.append(heading(each.member))
        parts.append(panels(*_panels(each, colour(at))))
    images = plural(found[0].images, "image")
    note = (
        f"Each bar counts images, {images} in all; λ runs from 0 to 1, and the ends say what that "
        "means. Below: mean λ ± its standard deviation over images, near 0 where the network "
        "chooses the same for every image."
    )
    title = "Which transformations the trained network M chooses (λ)"
    return section(place(at, "learned"), title, *parts, paragraph(note, "note"))


def _panels(each: Learned, tint: str) -> list[Markup]:
    made = []
    for k, parameter in enumerate(parameters(each.names, each.units)):
        known = math.isfinite(each.mean[k])
        words = f"{each.mean[k]:.2f} ± {number(each.std[k], 3)}" if known else "never used"
        stacks = [(float(count),) for count in each.counts[k]]
        bars = histogram(each.edges, stacks, tint, f"{parameter.title}: {words}")
        chart = bars + ends(parameter.zero, parameter.one)
        made.append(panel(chart, parameter.title, words=words, kind="small"))
    return made


def proposal(audit: Audit, at: int) -> Markup:
    """The section with the proposed setting of set `at`, and its overlay."""
    found = audit.sets[at].proposal
    if found is None:
        return Markup()
    keep = f"{100 * audit.measurement.keep:.0f} %"
    parts = [paragraph(f"{proposed(found)}{unchanged(found)} Asked for: {keep} of each.")]
    parts.append(
        bullets([setting_named(each) for each in found.words]) if found.words else Markup()
    )
    if found.left_out:
        names = listed([plain(name) for name in found.left_out])
        parts.append(paragraph(f"Left out, alone or together with the others too strong: {names}."))
    if found.weakened:
        words = (
            "Alone each bears more; together they kept too little, so that "
            f"{plural(found.weakened, 'step')} were taken back, of those that keep least."
        )
        parts.append(paragraph(words))
    if found.overlay and found.words:
        text = overlay_text(found.overlay)
        parts += [heading(f"As an overlay for {found.bundle}"), code(text)]
    note = (
        "Strength alone is no merit: that a training with the proposed setting gives a better "
        "encoder is not said here. It was chosen on these images, whose figures it therefore "
        "flatters a little."
    )
    title = "A proposal: the strongest setting that keeps enough"
    return section(place(at, "proposal"), title, *parts, paragraph(note, "note"))


def proposed(found: Proposal) -> str:
    """Say what the proposal keeps."""
    kept = [
        f"{share_with(estimate)} of {what}"
        for what, estimate in (
            ("the information about the label", found.label_kept),
            ("the lesions (where they lie; blur and noise are not counted)", found.lesions_kept),
        )
        if estimate is not None
    ]
    if not kept:
        return f"Its expected InfoNCE is {number(found.info_nce)} nats."
    words = f"{'Together they keep' if len(found.words) > 1 else 'It keeps'} {listed(kept)}."
    if found.label_kept is None:
        words += (
            " The label is not told clearly from these images, so that nothing was asked of it."
        )
    return words


def unchanged(found: Proposal) -> str:
    """Name what a proposal leaves as it is, and say why; "" where it leaves nothing."""
    if not found.unchanged:
        return ""
    names = listed([plain(name) for name in found.unchanged])
    return f" As the set has them, since nothing can be said of what they keep: {names}."


def overlay_text(overlay: Mapping[str, Any]) -> str:
    """Return an overlay as JSON, lists of numbers or names on one line as the bundles have them."""
    text = json.dumps(overlay, indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n[^\[\]{}]*\]", _in_a_line, text)


def _in_a_line(found: re.Match[str]) -> str:
    parts = [part.strip() for part in found[0][1:-1].strip().splitlines()]
    return f"[{' '.join(parts)}]"


def cost(audit: Audit, at: int) -> Markup:
    """The section on what views of set `at` cost."""
    found = audit.sets[at].cost
    shape = " × ".join(str(side) for side in audit.images.shape)
    words = (
        f"{found.seconds_per_1000_views:.3g} seconds for 1,000 views of {shape}, on "
        f"{found.device} with {plural(found.threads, 'thread')} (timed on "
        f"{plural(found.views, 'view')})."
    )
    return section(place(at, "cost"), "What the views cost", paragraph(words))
