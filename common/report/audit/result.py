"""What an audit found: one dataclass for each section, all numbers, and the pictures beside them.

Shares lie in [0, 1]. An `Estimate` is a figure with its 95 % interval over patients. Where a figure
cannot be had the section is None, and `Audit.notes` says why in a sentence.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import ConfigDict

from common.report import schema
from common.report.audit.findings import (
    Blank,
    Difficulty,
    Estimate,
    GroupInformation,
    LabelInformation,
    Lesions,
    LesionSize,
    Part,
    Shortcut,
    Telling,
)
from common.report.audit.strengths import Cost, Learned, Proposal, Scan, Step
from common.report.schema import Share

__all__ = [
    "Audit",
    "Blank",
    "Cost",
    "Difficulty",
    "Estimate",
    "GroupInformation",
    "ImagesUsed",
    "LabelInformation",
    "Learned",
    "LesionSize",
    "Lesions",
    "Measurement",
    "Member",
    "Part",
    "Pictures",
    "Proposal",
    "Scan",
    "SetAudit",
    "SetPictures",
    "Shortcut",
    "Skipped",
    "Step",
    "Telling",
]

Array = NDArray[Any]


@dataclass(frozen=True)
class Skipped:
    """A file that was left out.

    Attributes:
        number: place of the file in the sorted list of all files of the folder (of a prepared
            folder, in the training part of its list), from 1.
        reason: one line, without the file's name.
    """

    number: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class ImagesUsed:
    """The images that were looked at.

    Attributes:
        source: name of the folder, or "arrays".
        found: images there.
        used: those the audit looked at; fewer than found where some were left out or drawn from.
        sampled: whether `used` are a draw (whole patients, seeded) of more readable images.
        skipped: those that could not be read.
        spatial_dims: 2 or 3.
        channels: 1 or 3, or as many as there are.
        shape: pixels along each axis, as the audit saw them.
        unit: of lengths: "mm" where the spacing is known, else "px".
        spacing: of a pixel along each axis in `unit`.
        patients: their number; that of the images where none is told.
        patients_known: whether patients were told.
        target: what "the label" is: a column, or "age" (in thirds); "" where there is none.
        classes: names of its values.
        class_counts: images of each.
        with_lesion: images that have a mask that is not empty.
    """

    source: str
    found: int
    used: int
    sampled: bool
    skipped: tuple[Skipped, ...]
    spatial_dims: int
    channels: int
    shape: tuple[int, ...]
    unit: str
    spacing: tuple[float, ...]
    patients: int
    patients_known: bool
    target: str
    classes: tuple[str, ...]
    class_counts: tuple[int, ...]
    with_lesion: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How it was measured.

    Attributes:
        seed: of all draws.
        views: of each image, for lesions, blank views, label and shortcuts.
        keep: share of the label's information, and of lesions, that a proposal must keep.
        temperature: of the expected InfoNCE.
        encoder: whose representations: "untrained", or the name of the given model.
        difficulty_images: images of the batch that difficulty is measured on.
        scan_images: images that every strength of every transformation is measured on.
        level: that the intervals are meant to cover.
    """

    seed: int
    views: int
    keep: Share
    temperature: float
    encoder: str
    difficulty_images: int
    scan_images: int
    level: Share = 0.95


@dataclass(frozen=True, kw_only=True)
class Member:
    """One kind of views of a set, such as DINO's local crops.

    Attributes:
        name: as the configuration calls it; "views" where there is but one.
        policy: "probability", "uniform", "learned", "crops", or "untrained" (a network M without
            weights: lambda is then drawn uniformly).
        order: the transformations.
        words: what each does with its settings, such as "blur 0 px to 2 px".
        probability: of each, in [0, 1].
        count: views of an image in a training step.
    """

    name: str
    policy: str
    order: tuple[str, ...]
    words: tuple[str, ...]
    probability: tuple[Share, ...]
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class SetAudit:
    """What one set of transformations does to the images.

    Attributes:
        name: unique among the sets.
        source: "bundle", "overlay", "run" or "given" (from Python).
        members: its kinds of views.
        lesions: None without masks.
        blank: views that show nothing.
        label: None without a label.
        shortcuts: one for each attribute that is known and varies.
        difficulty: of the set.
        parts: each transformation's share in it.
        learned: of each member whose policy is a trained network M.
        scans: each transformation from weak to strong.
        proposal: None where no transformation has a strength, or nothing can be said of what any
            keeps.
        cost: of its views.
    """

    name: str
    source: str
    members: tuple[Member, ...]
    lesions: Lesions | None
    blank: Blank
    label: LabelInformation | None
    shortcuts: tuple[Shortcut, ...]
    difficulty: Difficulty
    parts: tuple[Part, ...]
    learned: tuple[Learned, ...]
    scans: tuple[Scan, ...]
    proposal: Proposal | None
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class SetPictures:
    """Pictures of one set, uint8; masks are bool and None where there is none.

    Attributes:
        views: ``(n, views, cuts, H, W, C)`` of the images of `Pictures`.
        masks: ``(n, views, cuts, H, W)``.
        scans: for each of `SetAudit.scans` ``(m, steps, cuts, H, W, C)`` of the first m images.
        scan_masks: likewise, without C.
    """

    __pydantic_config__: ClassVar[ConfigDict] = {"arbitrary_types_allowed": True}

    views: Array
    masks: Array | None
    scans: tuple[Array, ...]
    scan_masks: tuple[Array | None, ...]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures to look at; never written to the JSON.

    In 2D there is one cut; in 3D three, through the lesion of that picture or the middle: sagittal,
    coronal, axial, each padded to one square. C is 1 or 3.

    Attributes:
        images: ``(n, cuts, H, W, C)`` uint8, untransformed: those with a lesion first.
        masks: ``(n, cuts, H, W)`` bool; None where no image has a lesion.
        sets: one for each of `Audit.sets`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = {"arbitrary_types_allowed": True}

    images: Array
    masks: Array | None
    sets: tuple[SetPictures, ...]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All that was found.

    Attributes:
        images: what was looked at.
        measurement: how it was done.
        sets: one for each set of transformations, in the order given.
        notes: what could not be measured and why, a sentence each.
        seconds: the audit took.
        pictures: to look at; None in an audit that was read from JSON.
    """

    images: ImagesUsed
    measurement: Measurement
    sets: tuple[SetAudit, ...]
    notes: tuple[str, ...]
    seconds: float
    pictures: Pictures | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return all numbers as JSON objects, without the pictures."""
        return schema.to_json(_without_pictures(self))

    @staticmethod
    def from_json(values: dict[str, Any], path: str | Path = "audit.json") -> "Audit":
        """Return the audit that `to_json` wrote.

        Args:
            values: the JSON object.
            path: the file it came from, for messages.

        Raises:
            InputError: a key is missing or breaks its rule.
        """
        return schema.from_json(Audit, values, Path(path))


def _without_pictures(audit: Audit) -> Audit:
    return Audit(
        images=audit.images,
        measurement=audit.measurement,
        sets=audit.sets,
        notes=audit.notes,
        seconds=audit.seconds,
    )
