"""How strong a transformation can be made: its settings from nothing (0) to the strongest (1).

The strongest is ours, chosen so that most images can no longer be recognised: blur of a sixteenth
of the side, windows of an eighth of it, colours changed by four fifths. Where a transformation has
no setting to turn (flips, rotation, solarisation) its probability is turned instead.
"""

from collections.abc import Callable, Mapping
from typing import Any

from common.audit.sets import Crops, ViewKind, told
from common.policies import EachWithProbability
from common.transforms import Composition
from common.transforms.declaration import DECLARED

__all__ = ["STRENGTHS", "at_strength", "restricted", "turned_by", "words_of"]

STRENGTHS = (0.1, 0.25, 0.5, 1.0)
Settings = dict[str, Any]
HALF = ("mirror", "invert")  # at a half they cannot be told from nothing: both are as likely


def _affine(s: float, side: int, noise: float, own: Settings) -> Settings:
    most = {"degrees": 180.0, "shift": side / 4, "scale": 0.5, "shear": 45.0}
    return {key: round(s * most[key], 4) for key in most if own.get(key, 0)}


def _colours(s: float, side: int, noise: float, own: Settings) -> Settings:
    most = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.5}
    return {key: round(s * most[key], 4) for key in most if own.get(key, 0)}


# name: (strength, side in pixels, greatest noise, own settings) -> settings
TURNED: dict[str, Callable[[float, int, float, Settings], Settings]] = {
    "blur": lambda s, side, noise, own: {"min_sigma": 0.0, "max_sigma": round(s * side / 16, 3)},
    "axis_blur": lambda s, side, noise, own: {"max_sigma": round(s * side / 16, 3)},
    "noise": lambda s, side, noise, own: {"min_std": 0.0, "max_std": round(s * noise, 4)},
    "crop": lambda s, side, noise, own: {"half_width": round(side * (0.5 - 0.4375 * s), 2)},
    "crop_resize": lambda s, side, noise, own: {"size": round(1 - 0.8 * s, 3)},
    "center_crop": lambda s, side, noise, own: {"size": round(1 - 0.8 * s, 3)},
    "resized_crop": lambda s, side, noise, own: {"scale": [round(1 - 0.95 * s, 4), 1.0]},
    "cutout": lambda s, side, noise, own: {"size": round(0.8 * s, 3)},
    "erase": lambda s, side, noise, own: {"scale": [0.02, round(0.8 * s, 3)]},
    "pad": lambda s, side, noise, own: {"share": [0.0, round(0.5 * s, 3)]},
    "shift": lambda s, side, noise, own: {"pixels": max(1, round(s * side / 4))},
    "bias_field": lambda s, side, noise, own: {"coefficients": round(s, 3)},
    "affine": _affine,
    "color_jitter": _colours,
}


def at_strength(
    kind: ViewKind, name: str, strength: float, side: int, standardized: bool
) -> tuple[Settings, float]:
    """Return settings and probability of a transformation at a strength.

    Args:
        kind: whose own settings stay where they are not turned.
        name: of the transformation.
        strength: in [0, 1].
        side: longest side of the images in pixels.
        standardized: whether images have a standard deviation of 1, so that noise is more.

    Returns:
        All its settings, and the probability: 1 where a setting is turned.
    """
    own = dict(kind.transform.settings.get(name, {}))
    if name not in TURNED:
        return own, strength * (0.5 if name in HALF else 1.0)
    defaults = DECLARED[name].settings()
    turned = TURNED[name](strength, side, 2.0 if standardized else 0.4, {**defaults, **own})
    return {**own, **turned}, 1.0


def turned_by(kind: ViewKind, name: str) -> set[str]:
    """Return the settings of a transformation that a strength turns."""
    if name not in TURNED:
        return set()
    own = kind.transform.settings.get(name, {})
    return set(TURNED[name](1.0, 64, 1.0, {**DECLARED[name].settings(), **own}))


def restricted(
    kind: ViewKind, settings: Mapping[str, Settings], probability: Mapping[str, float]
) -> ViewKind:
    """Return the kind with some of its transformations, at other settings and probabilities.

    Args:
        kind: of which; not of `Crops`.
        settings: by name, of those it shall have.
        probability: of each of them.
    """
    assert not isinstance(kind.transform, Crops)
    order = [name for name in kind.transform.order if name in settings]
    given = {name: dict(settings[name]) for name in order if settings[name]}
    transform = Composition(order, kind.transform.spatial_dims, given)
    chances = [probability[name] for name in order]
    return ViewKind(
        name=kind.name,
        policy=EachWithProbability(chances, transform.sizes),
        transform=transform,
        count=kind.count,
        place=kind.place,
    )


def words_of(name: str, settings: Settings, probability: float, dims: int = 2) -> str:
    """Return a setting in words, such as "blur 0 px to 4 px"; `dims` are those of the images."""
    declared = DECLARED["flip" if name.startswith("flip_") else name]
    words = told(name, declared.units(settings), {name: settings}, dims)
    return words if probability == 1 else f"{words}, {100 * probability:.0f} % of the images"
