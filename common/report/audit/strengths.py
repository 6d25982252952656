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
        lesions_kept: None without masks.
        label_kept: None without a label that can be told.
        info_nce: in nats.
        keeps: whether both are at least `Measurement.keep` (what is None does not count).
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
        strongest: number of the step that the proposal takes: the strongest of which it and all
            weaker ones keep enough; None where even the weakest does not, and it is left out.
    """

    member: str
    transformation: str
    steps: tuple[Step, ...]
    strongest: int | None


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The strongest settings that together keep `Measurement.keep` of the label's information.

    Attributes:
        words: each transformation with its setting.
        left_out: transformations that keep too little at any strength.
        lesions_kept: by all of them together; None without masks.
        label_kept: by all of them together; None without a label that can be told.
        info_nce: in nats.
        weakened: how often the setting that keeps least was made one step weaker, because together
            they kept too little.
        overlay: content of an overlay JSON for `bundle`; empty where the set is of no bundle.
        bundle: whose configuration it goes with; "" where there is none.
    """

    words: tuple[str, ...]
    left_out: tuple[str, ...]
    lesions_kept: Estimate | None
    label_kept: Estimate | None
    info_nce: float
    weakened: int
    overlay: dict[str, Any]
    bundle: str


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
