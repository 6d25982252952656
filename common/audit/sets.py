"""A set of transformations: who chooses lambda, and what reads it.

One set may have several kinds of views, such as DINO's global and local crops or the two halves of
a weighted sum. Each is a `ViewKind`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.data import SubjectBatch
from common.policies import EachWithProbability, TransformationNetwork, Uniform
from common.report.audit.result import Member
from common.transforms import Composition, CropGrid
from common.transforms.declaration import DECLARED

__all__ = ["ChannelPolicy", "Crops", "TransformationSet", "ViewKind", "as_set", "chooser_of",
           "subset", "told"]  # fmt: skip

SILENT = ("crop", "color_jitter")  # whose ends do not say how much
SIDES = {2: ("up–down", "left–right"), 3: ("left–right", "front–back", "head–foot")}
WINDOWS = {"crop": "half_width", "crop_resize": "size", "cutout": "size"}  # setting that says it
ZERO = re.compile(r"([a-z]+ )?[-−+]?0([^\d.].*)?")


@dataclass(frozen=True, kw_only=True)
class ViewKind:
    """One kind of views.

    Attributes:
        name: "views" where a set has but one.
        policy: ``x -> lam``.
        transform: ``(x, lam) -> view``.
        count: views of an image in a training step.
        chooser: "probability", "uniform", "learned", "crops" or "untrained" (see `Member`).
        place: of the block that has "policy" and "transform", in the configuration.
    """

    name: str
    policy: nn.Module
    transform: "Composition | Crops"
    count: int = 1
    chooser: str = "probability"
    place: str = ""

    @property
    def probability(self) -> tuple[float, ...]:
        """With which each transformation is applied."""
        chance = getattr(self.policy, "probability", 1.0)
        if isinstance(chance, Sequence):
            return tuple(float(one) for one in chance)
        return (float(chance),) * len(self.transform.order)

    def words(self) -> tuple[str, ...]:
        """Return what each transformation does, such as "blur 0 px to 2 px"."""
        units = iter(self.transform.units)
        return tuple(
            told(
                name,
                next(iter([next(units) for _ in range(size)])),
                self.transform.settings,
                self.transform.spatial_dims,
            )
            for name, size in zip(self.transform.order, self.transform.sizes)
        )

    def described(self) -> Member:
        """Return what the audit says of it."""
        return Member(
            name=self.name,
            policy=self.chooser,
            order=tuple(self.transform.order),
            words=self.words(),
            probability=self.probability,
            count=self.count,
        )


@dataclass(frozen=True, kw_only=True)
class TransformationSet:
    """Transformations that are used together.

    Attributes:
        name: unique among the sets of an audit.
        kinds: its kinds of views.
        source: "bundle", "overlay", "run" or "given".
        anchored: whether a view is compared with the untransformed image, not with another view.
        standardize: whether images are brought to mean 0 and standard deviation 1 first.
        image_size: of the configuration, in pixels; None where it has none.
        bundle: name of the bundle it is of; "" for none.
        config: its configuration, overlays applied.
    """

    name: str
    kinds: tuple[ViewKind, ...]
    source: str = "given"
    anchored: bool = False
    standardize: bool = False
    image_size: int | None = None
    bundle: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def spatial_dims(self) -> int:
        """2 or 3."""
        return self.kinds[0].transform.spatial_dims

    def prepared(self, x: Tensor) -> Tensor:
        """Return images ``(B, C, *spatial)`` as a training hands them to the transformations."""
        x = x.float()
        if not self.standardize:
            return x
        image: Tensor = SubjectBatch(standardize=True)({"image": x})["image"]
        return image


def told(
    name: str, ends: tuple[str, str], settings: Mapping[str, Mapping[str, Any]], dims: int = 2
) -> str:
    """Return a transformation in words, such as "blur 0 px to 2 px".

    Args:
        name: of the transformation.
        ends: what 0 and 1 mean for its first parameter.
        settings: by name; its own are used.
        dims: 2 or 3, of the images.
    """
    if name == "mirror":  # its parameter says which axis, and of one axis nothing
        axes = settings.get(name, {}).get("axes") or range(dims)
        return f"mirror {' or '.join(SIDES[dims][axis] for axis in axes)}"
    zero, one = _turned(*ends)
    words = f"{name} {zero}" if zero == one else f"{name} {zero} to {one}"
    others = _window(name, settings.get(name, {}))
    if name == "affine" and (shear := settings.get(name, {}).get("shear", 0)):
        sheared = f"sheared by up to {shear:.4g}° either way"
        if all(ZERO.fullmatch(end) for end in one.split(", ")):
            return f"{name} {sheared}"
        others.append(sheared)
    others += [
        f"{key.replace('_', ' ')} {value:.4g}"
        for key, value in settings.get(name, {}).items()
        if name in SILENT and key not in WINDOWS.values() and isinstance(value, int | float)
    ]
    return f"{words} ({', '.join(others)})" if others else words


def _turned(zero: str, one: str) -> tuple[str, str]:
    """Leave out what both ends say is 0, such as a shift by 0 px, unless that is all."""
    both = list(zip(zero.split(", "), one.split(", ")))
    kept = [pair for pair in both if not all(ZERO.fullmatch(end) for end in pair)] or both
    return ", ".join(pair[0] for pair in kept), ", ".join(pair[1] for pair in kept)


def _window(name: str, own: Mapping[str, Any]) -> list[str]:
    """Say how large a window is that moves."""
    if name not in WINDOWS:
        return []
    size = {**DECLARED[name].settings(), **own}[WINDOWS[name]]
    if name == "crop":
        return [
            "window of a quarter of the side" if size is None else f"window of {2 * size:.4g} px"
        ]
    return [f"box of {100 * size:.4g} % of the side"]


class Crops(nn.Module):
    """The discrete crops of a channel as a transformation: ``lam (B, 1)`` says which."""

    order = names = ("crop",)
    sizes = (1,)
    units = (("the first crop", "the last crop"),)
    spatial_dims = 2
    n_parameters = 1
    settings: Mapping[str, Mapping[str, Any]] = {}

    def __init__(self, grid: CropGrid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        """Return the crops ``(B, C, crop, crop)``."""
        index = (lam * len(self.grid)).long().clamp(max=len(self.grid) - 1)
        crops: Tensor = self.grid.gather(x, index)
        return crops[:, 0]

    def geometric(self, x: Tensor, lam: Tensor) -> Tensor:
        """Return the same crops of masks."""
        return self.forward(x, lam)


class ChannelPolicy(nn.Module):
    """Draw a crop by a channel: ``x -> lam (B, 1)``."""

    def __init__(self, channel: nn.Module, crops: int) -> None:
        super().__init__()
        self.channel = channel
        self.crops = crops

    def forward(self, x: Tensor) -> Tensor:
        """Return ``lam (B, 1)``."""
        index = torch.multinomial(self.channel(x).exp(), 1)
        return (index + 0.5) / self.crops


def as_set(
    given: "TransformationSet | Composition | tuple[nn.Module, Composition]", name: str
) -> TransformationSet:
    """Return what a script gives as a set.

    Args:
        given: a set; a composition, with all parameters uniform; or a policy and a composition.
        name: of the set, unless it is one.

    Raises:
        InputError: something else, or a policy that chooses another number of parameters.
    """
    if isinstance(given, TransformationSet):
        return given
    if isinstance(given, Composition):
        given = (Uniform(given.n_parameters), given)
    require(
        isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Composition),
        "audit: transforms must be names, files, a Composition or (policy, Composition), got "
        f"{type(given).__name__}.",
    )
    policy, transform = given
    chosen = getattr(policy, "n_parameters", transform.n_parameters)
    require(
        chosen == transform.n_parameters,
        f"audit: the policy must choose {transform.n_parameters} parameters, got {chosen}.",
    )
    kind = ViewKind(name="views", policy=policy, transform=transform, chooser=chooser_of(policy))
    return TransformationSet(name=name, kinds=(kind,))


def chooser_of(policy: nn.Module) -> str:
    """Return "learned", "probability" or "uniform"; see `common.report.audit.result.Member`."""
    if isinstance(policy, TransformationNetwork):
        return "learned"
    return "probability" if isinstance(policy, EachWithProbability) else "uniform"


def subset(
    transform: "Composition | Crops", names: Sequence[str]
) -> tuple[Composition | None, list[int]]:
    """Return a composition of some of the transformations, and the columns of lam that it reads.

    Args:
        transform: of which.
        names: those to keep, in any order; None is returned where none of them is there.
    """
    if isinstance(transform, Crops):
        return None, []
    order: list[str] = []
    columns: list[int] = []
    start = 0
    for name, size in zip(transform.order, transform.sizes):
        if name in names:
            order.append(name)
            columns += range(start, start + size)
        start += size
    if not order:
        return None, []
    settings = {name: transform.settings[name] for name in order if name in transform.settings}
    return Composition(order, transform.spatial_dims, settings), columns
