"""What is chosen, what one could choose, and what it costs: all numbers. Shares lie in [0, 1]."""

from dataclasses import dataclass
from typing import Any

from common.report.audit.findings import Estimate
from common.report.schema import Edges, Share, Unknown

__all__ = [
    "Cost",
    "Learned",
    "Proposal",
    "Scan",
    "Step",
]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Lambda that a trained network M chooses on these images.

    Attributes:
        member: whose policy it is.
        images: looked at.
        names: K parameters.
        units: what 0 and 1 mean for each.
        mean: K means of lambda over images.
        std: K standard deviations of lambda over images.
        edges: borders of the bins of lambda.
        counts: K lists, images in each bin.
    """

    member: str
    images: int
    names: tuple[str, ...]
    units: tuple[tuple[str, str], ...]
    mean: tuple[Unknown, ...]
    std: tuple[Unknown, ...]
    edges: Edges
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One transformation alone, always applied unless `probability` says otherwise, at a strength.

    Attributes:
        strength: from 0 (nothing) to 1 (the strongest that the scan tries).
        words: what that is, such as "0 px to 1.5 px".
        settings: of the transformation, as a configuration has them.
        probability: with which it is applied.
        lesions_kept: by geometry alone; None without masks.
        label_kept: None without a label that untransformed images tell clearly.
        info_nce: in nats.
        keeps: whether both are at least `Measurement.keep` (what is None does not count), each
            smoothed over the steps so that it does not rise with strength. False where nothing can
            be said: neither is known, or lesions alone of what does not move pixels.
    """

    strength: Share
    words: str
    settings: dict[str, Any]
    probability: Share
    lesions_kept: Estimate | None
    label_kept: Estimate | None
    info_nce: float
    keeps: bool


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A transformation from weak to strong.

    Attributes:
        member: name of the member it is of.
        transformation: such as "blur".
        steps: weakest first.
        strongest: number of the strongest step that keeps enough, as do all weaker ones; None where
            even the weakest does not, or nothing can be said.
    """

    member: str
    transformation: str
    steps: tuple[Step, ...]
    strongest: int | None


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The strongest settings that together keep `Measurement.keep` of label and lesions.

    Of the label only where untransformed images tell it clearly (`label_kept` is None elsewhere);
    of lesions by geometry, which says nothing of blur, noise and intensities.

    Attributes:
        words: each transformation with its setting.
        left_out: transformations that keep too little at any strength.
        lesions_kept: by all of them together, by geometry; None without masks.
        label_kept: by all of them together; None without a label that is clearly told.
        info_nce: in nats.
        weakened: steps by which settings are weaker than each alone may be, because together they
            kept too little.
        overlay: content of an overlay JSON for `bundle`; empty where the set is of no bundle.
        bundle: whose configuration it goes with; "" where there is none.
        unchanged: transformations that stay as the set has them, for nothing can be said of what
            they keep.
    """

    words: tuple[str, ...]
    left_out: tuple[str, ...]
    lesions_kept: Estimate | None
    label_kept: Estimate | None
    info_nce: float
    weakened: int
    overlay: dict[str, Any]
    bundle: str
    unchanged: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What views cost on this machine.

    Attributes:
        seconds_per_1000_views: of one process, wall clock.
        views: that were timed.
        threads: that PyTorch used.
        device: "cpu" or a GPU's name.
    """

    seconds_per_1000_views: float
    views: int
    threads: int
    device: str
