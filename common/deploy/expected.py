"""What the images were like that a model was trained on, and what contradicts it.

A network answers whatever it is given: an ultrasound, a hand, an unprepared head. `Expected` goes
with the model (``"expects"`` of ``model.json``): counts and ranges over all training images, of no
single patient. What contradicts it for certain, another modality or dimension, is a `refusal`; what
may be an error of the header or a rare but honest image, another body part or a darker film than
any, is one of the `warnings`, which stand beside the prediction.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data.rows import counted
from common.deploy.file_facts import TELLING, image_facts
from common.deploy.recorded import read_recorded

__all__ = ["NAMES", "Expected"]

Facts = Mapping[str, Any]

FILM = ("CR", "DX", "RG")  # one kind of image, whichever machine names it
PHOTO = ("OP", "XC")
NAMES = {
    **dict.fromkeys(FILM, "X-ray films"),
    **{"MR": "MRI", "CT": "CT", "US": "ultrasound", "NM": "nuclear medicine", "XA": "angiography"},
    **{"RF": "fluoroscopy", "OP": "fundus photographs", "XC": "photographs", "MG": "mammography"},
    **{"PT": "PET", "SEG": "segmentations", "OPT": "OCT"},
    **dict.fromkeys(("IO", "PX"), "dental films"),
}
UNSAID = ("OT", "SC", "")
SAME_AS = {"THORAX": "CHEST", "LUNG": "CHEST", "HEAD": "BRAIN", "SKULL": "BRAIN"}
EDGE = (0.5, 99.5)  # percentiles of the training images
MARGIN = 1 / 6  # share of the range between those that is added on either side
ROUNDING = 1e-3  # what facts may miss a range by that are the same in all training images
FEWEST = 20  # images from which a range is taken
WORDS = {
    "mean": ("darker", "brighter"),
    "contrast": ("less contrast", "more contrast"),
    "black": ("less black", "more black"),
    "white": ("less white", "more white"),
    "middle": ("the middle darker", "the middle brighter"),
    "detail": ("smoother", "rougher"),
    "mirror": ("less symmetrical", "more symmetrical"),
}


@dataclass(frozen=True)
class Expected:
    """What the images were like that a model was trained on.

    Attributes:
        images: their number.
        modality: DICOM codes, of the data where they say it, else of the bundle; none: not known.
        dims: spatial dimensions.
        shape: of a volume, where all had one; empty otherwise.
        coloured: whether the network sees colour.
        told: column ("body_part", "view") to the values that the data have.
        ages: youngest and oldest whole year (1st and 99th percentile) of the persons; empty where
            the data do not say.
        image: name of a fact to the range of it: 99 % of the images, widened by a sixth.
    """

    images: int
    modality: tuple[str, ...] = ()
    dims: int = 2
    shape: tuple[int, ...] = ()
    coloured: bool = False
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ages: tuple[float, ...] = ()
    image: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def gather(
        cls,
        batches: Iterable[NDArray[Any]],
        entries: Sequence[Facts],
        modality: Sequence[str] = (),
    ) -> "Expected":
        """Measure the training images.

        Args:
            batches: ``(B, C, *spatial)`` each, or ``(B, F)``, as the network sees them.
            entries: of the manifest's training part.
            modality: DICOM codes of the bundle, for data that say none.
        """
        shapes: Counter[tuple[int, ...]] = Counter()
        facts: list[dict[str, float]] = []
        for batch in batches:
            shapes[batch.shape[1:]] += len(batch)
            facts += [image_facts(np.asarray(x)) for x in batch]
        largest = max(shapes, key=lambda shape: shapes[shape])
        dims = len(largest) - 1
        ages = [
            float(age)
            for age, count in counted(entries, "age")
            if isinstance(age, int | float)
            for _ in range(count)
        ]
        return cls(
            sum(shapes.values()),
            tuple(_most(entries, "modality") or modality),
            dims,
            tuple(largest[1:]) if dims == 3 and len(shapes) == 1 else (),
            dims == 2 and largest[0] == 3,
            {name: values for name in TELLING if (values := _most(entries, name))},
            tuple(np.round(np.percentile(ages, [1, 99])).tolist()) if len(ages) >= FEWEST else (),
            _ranges(facts),
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None, where: str) -> "Expected | None":
        """Read what `record` wrote; None where a model has none.

        Raises:
            InputError: something else.
        """
        return read_recorded(cls, record, "expects", where)

    def record(self) -> dict[str, Any]:
        """Return the numbers, for ``model.json``."""
        return asdict(self)

    @property
    def flat(self) -> bool:
        """Whether they were films or photographs, which no slice of a volume is."""
        return self.dims == 2 and bool(_group(self.modality) & {*FILM, *PHOTO})

    def refusal(self, facts: Facts) -> str:
        """Say why a file cannot be what the model is for; "" where nothing contradicts it.

        Args:
            facts: of `file_facts`.
        """
        modality, volumes = str(facts.get("modality", "")), facts.get("dims") == 3
        if self.modality and modality not in UNSAID and not _alike(modality, self.modality):
            return (
                f"must be {_named(self.modality)}, which the model was trained on, got "
                f"{_named([modality])} by its header (Modality {modality}). Leave it out."
            )
        if volumes and self.flat:
            return (
                f"must be a 2D image ({_named(self.modality)}), which the model was trained on, "
                "got a volume. Leave it out."
            )
        if self.dims == 3 and facts.get("dims") == 2:
            return "must be a volume, which the model was trained on, got a 2D image. Leave it out."
        return ""

    def shape_refusal(self, shape: Sequence[int]) -> str:
        """Say why a volume that was read cannot be given to the network; "" where it can.

        Args:
            shape: its spatial shape.
        """
        if not self.shape or tuple(shape) == self.shape:
            return ""
        wanted, got = (" x ".join(map(str, sizes)) for sizes in (self.shape, shape))
        return (
            f"must have the {wanted} voxels of the prepared training images, got {got}. Prepare it "
            "as they were."
        )

    def warnings(self, facts: Facts, image: Facts | None = None) -> list[str]:
        """Say what about a file differs from the training images, a few words each.

        Args:
            facts: of `file_facts`.
            image: of `image_facts`.
        """
        warnings = [
            f"{name.replace('_', ' ')} {facts[name]} by its header, training: {', '.join(known)}"
            for name, known in self.told.items()
            if facts.get(name) and _same(facts[name]) not in set(map(_same, known))
        ]
        if self.modality and facts.get("modality") in UNSAID:
            warnings.append(f"the header does not say that it is one of {_named(self.modality)}")
        if facts.get("colour") and not self.coloured:
            warnings.append("a colour picture, training: grey")
        if self.ages and isinstance(facts.get("age"), int | float):
            low, high = self.ages
            if not low <= float(facts["age"]) <= high:
                warnings.append(f"the person's age is outside {low:.0f} to {high:.0f} of training")
        return warnings + self._of_image(image or {})

    def _of_image(self, image: Facts) -> list[str]:
        """One warning of all grey values out of range."""
        odd = []
        for name, (low, high) in self.image.items():
            value = image.get(name)
            if value is not None and not low <= value <= high:
                odd.append(WORDS[name][value > high])
        return [f"grey values unlike the training images': {', '.join(odd)}"] if odd else []


def _most(entries: Sequence[Facts], column: str) -> tuple[str, ...]:
    """Values that at least a hundredth of the entries have, the usual one first."""
    counts: Counter[str] = Counter()
    for value, count in counted(entries, column):
        if value:
            counts[str(value)] += count
    fewest = max(1.0, counts.total() / 100)
    return tuple(value for value, count in counts.most_common() if count >= fewest)


def _ranges(facts: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    if len(facts) < FEWEST or not facts[0]:
        return {}
    ranges = {}
    for name in facts[0]:
        values = [fact[name] for fact in facts if name in fact]
        low, high = np.percentile(values, EDGE)
        reach = MARGIN * (high - low) + ROUNDING
        ranges[name] = (round(float(low - reach), 5), round(float(high + reach), 5))
    return ranges


def _alike(modality: str, known: Sequence[str]) -> bool:
    return bool(_group([modality]) & _group(known))


def _group(modality: Sequence[str]) -> set[str]:
    """The codes and those that mean the same kind of image."""
    groups = (FILM, PHOTO)
    return set(modality).union(*(group for group in groups if set(group) & set(modality)))


def _named(modality: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(NAMES.get(code, code) for code in modality))


def _same(value: Any) -> str:
    return SAME_AS.get(str(value), str(value))
