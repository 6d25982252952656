"""What one set of transformations destroys, leaves as a shortcut and makes hard: all numbers.

Shares lie in [0, 1].
"""

from dataclasses import dataclass

from common.report.schema import Edges, Share, Unknown

__all__ = [
    "Blank",
    "Difficulty",
    "Estimate",
    "GroupInformation",
    "LabelInformation",
    "LesionSize",
    "Lesions",
    "Part",
    "Shortcut",
    "Telling",
]


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its 95 % interval, patients drawn with replacement.

    Attributes:
        value: NaN where there is none.
        low: lower end; NaN where every draw gives the same.
        high: upper end, likewise.
    """

    value: Unknown
    low: Unknown = float("nan")
    high: Unknown = float("nan")


@dataclass(frozen=True, kw_only=True)
class LesionSize:
    """Lesions of one range of sizes: diameter of the disc or ball of the mask's area or volume.

    Attributes:
        low: smallest diameter, in `ImagesUsed.unit`.
        high: largest.
        images: with such a lesion.
        kept: share of their views that keep at least half of the lesion's mass.
    """

    low: float
    high: float
    images: int
    kept: Estimate


@dataclass(frozen=True, kw_only=True)
class Lesions:
    """Whether views keep the lesion's place: geometry alone.

    That blur, noise or a change of intensities hides a lesion that is still in the view is not
    counted.

    Attributes:
        images: with a lesion.
        views: of them.
        kept: share of the views that keep at least half of the lesion's mass.
        sizes: the same by size, smallest first: up to four groups of equally many images.
    """

    images: int
    views: int
    kept: Estimate
    sizes: tuple[LesionSize, ...]


@dataclass(frozen=True, kw_only=True)
class Blank:
    """Views that show nothing to a person: less than 2 % as much as their image stands out.

    A pixel stands out that differs by 16 of 255 grey values from the view's commonest one.

    Attributes:
        views: looked at.
        black: share that show nothing and are dark.
        constant: share that show nothing but one brighter value.
        images: share of the untransformed images that are one or the other.
    """

    views: int
    black: Estimate
    constant: Estimate
    images: Share


@dataclass(frozen=True, kw_only=True)
class GroupInformation:
    """How well the label is told in one class or at one site.

    Attributes:
        name: of the class or site.
        images: of it.
        untransformed: share told right (recall) on images as they are.
        transformed: on views.
        loss: the first minus the second, paired by patient.
    """

    name: str
    images: int
    untransformed: Estimate
    transformed: Estimate
    loss: Estimate


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How well a quick classifier tells an attribute: balanced accuracy over hold-out patients.

    Attributes:
        features: "pixels" (the image at about 32 pixels a side), "intensities" (values without
            their places) or "encoder".
        untransformed: fitted and tested on images as they are.
        transformed: fitted and tested on views.
    """

    features: str
    untransformed: Estimate
    transformed: Estimate


@dataclass(frozen=True, kw_only=True)
class LabelInformation:
    """How much views still tell of the label.

    Attributes:
        images: with a label.
        chance: balanced accuracy of guessing, one over the classes.
        features: those that tell the label best from untransformed images.
        untransformed: balanced accuracy on images as they are, of the best features; its interval
            allows for the choice.
        transformed: on views, of the features that are best on views, likewise.
        kept: share of the information kept, the best features chosen in every draw:
            (transformed - chance) / (untransformed - chance); NaN where even untransformed images
            tell nothing (its interval reaches chance).
        tellings: the same for each kind of features.
        classes: by class, those that lose most first.
        sites: by site, likewise; empty where none is told.
        losers: names of the classes whose loss is above 0 with its whole interval, most first.
        features_of_views: those that tell it best from views.
    """

    images: int
    chance: Share
    features: str
    untransformed: Estimate
    transformed: Estimate
    kept: Estimate
    tellings: tuple[Telling, ...]
    classes: tuple[GroupInformation, ...]
    sites: tuple[GroupInformation, ...]
    losers: tuple[str, ...]
    features_of_views: str = ""


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """How well something that is not the label can be told from views.

    Attributes:
        attribute: "site", "scanner", "sex", "age" (in thirds), "patient", "mark" (something bright
            at the border), "image size", ...
        values: their names or number, such as ("a", "b").
        images: for which it is known.
        chance: balanced accuracy of guessing.
        features: those that tell it best from untransformed images.
        untransformed: balanced accuracy on images as they are, of the best features; its interval
            allows for the choice.
        transformed: on views, of the features that are best on views, likewise: what an encoder
            could learn.
        tellings: the same for each kind of features.
        remains: whether views tell it: the interval of `transformed` lies above chance.
        features_of_views: those that tell it best from views.
    """

    attribute: str
    values: tuple[str, ...]
    images: int
    chance: Share
    features: str
    untransformed: Estimate
    transformed: Estimate
    tellings: tuple[Telling, ...]
    remains: bool
    features_of_views: str = ""


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """How hard it is to tell which two views are of one image, with the encoder as it is.

    Distances are Euclidean, of representations standardised over the untransformed images and
    scaled to unit length: in [0, 2].

    Attributes:
        images: of the batch, two views each.
        edges: borders of the bins of distances.
        positive: share of the pairs of two views of one image in each bin.
        negative: of the pairs of views of two images.
        untransformed: of the pairs of two images as they are.
        positive_mean: mean distance.
        negative_mean: likewise.
        untransformed_mean: likewise.
        overlap: common area of the two densities, 0 apart to 1 the same.
        area: chance that a negative pair is further apart than a positive one; 0.5 is guessing.
        nearer: share of negatives nearer to a view than its positive.
        alignment: mean squared distance of positive pairs.
        uniformity: log of the mean of exp(-2 d²) over negative pairs.
        info_nce: expected InfoNCE of the batch in nats, at `Measurement.temperature`.
        guessing: InfoNCE of an encoder that tells nothing, the log of the number of candidates.
    """

    images: int
    edges: Edges
    positive: tuple[Share, ...]
    negative: tuple[Share, ...]
    untransformed: tuple[Share, ...]
    positive_mean: float
    negative_mean: float
    untransformed_mean: float
    overlap: Share
    area: Share
    nearer: Share
    alignment: float
    uniformity: float
    info_nce: float
    guessing: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one transformation of a member does, as the set uses it.

    Attributes:
        member: name of the member.
        transformation: such as "crop".
        words: its settings, such as "blur 0 px to 2 px".
        probability: with which it is applied.
        alone: InfoNCE with this transformation alone, in nats ("add one in").
        without: InfoNCE of the set without it ("leave one out").
        share: of the set's difficulty: info_nce minus `without`, over info_nce minus that of
            untransformed images; NaN where the set is no harder than they are.
        lesions_kept: with this transformation alone, by geometry; None without masks.
        label_kept: information kept with it alone; None without a label that is clearly told.
    """

    member: str
    transformation: str
    words: str
    probability: Share
    alone: float
    without: float
    share: Unknown
    lesions_kept: Estimate | None = None
    label_kept: Estimate | None = None
