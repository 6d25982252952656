"""Numbers into language: strategy names, transformation parameters, intervals.

The physical scales are those of Table 1 of the learned-transformations paper: blur has a standard
deviation of ``2 lam`` pixels, noise of ``0.1 lam``, a rotation turns by ``360 lam`` degrees, the
crop's centre lies at the fraction lam of the side, a flip blends in the share lam.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BLUR_PIXELS = 2.0
NOISE_STD = 0.1
TURN_DEGREES = 360.0
SIDES = ("up–down", "left–right")
PLACES = ("down", "across")
ENDS = (("top", "bottom"), ("left", "right"))


@dataclass(frozen=True)
class StrategyName:
    """A strategy's short name for charts and its long one for sentences."""

    short: str
    long: str


STRATEGIES = {
    "supervised_100": StrategyName(
        "Supervised, 100 % of labels", "supervised training on 100 % of the labels"
    ),
    "supervised_10": StrategyName(
        "Supervised, 10 % of labels", "supervised training on 10 % of the labels"
    ),
    "base_simclr": StrategyName("Base SimCLR", "base SimCLR"),
    "random": StrategyName("Random", "random transformations"),
    "random_supervised": StrategyName(
        "Random + supervision", "random transformations with supervision"
    ),
    "self_supervised": StrategyName("Learned", "learned transformations"),
    "self_supervised_supervised": StrategyName(
        "Learned + supervision", "learned transformations with supervision"
    ),
}


LOSSES = {
    "ce": "Cross entropy",
    "l1": "ℓ1",
    "ours": "Trained channel",
    "printed": "Trained channel, as printed",
    "simclr": "SimCLR",
    "end": "EnD",
    "sup_con": "SupCon",
    "epsilon_sup_con": "ε-SupCon",
    "sup_info_nce": "ε-SupInfoNCE",
    "fairkl_paper": "ε-SupInfoNCE + FairKL, formula",
    "fairkl_released": "ε-SupInfoNCE + FairKL, released",
    "fairkl_moments": "ε-SupInfoNCE + FairKL, moments",
    "y_aware": "y-aware",
    "threshold": "L_thr",
    "threshold_paper": "L_thr, formula",
    "exponential": "L_exp",
    "exponential_paper": "L_exp, formula",
    "from_scratch": "From scratch",
    "finetuned": "Fine-tuned",
    "strong": "Strong augmentation",
    "weak": "Weak augmentation",
    "weak_med": "Weak augmentation and artefacts",
}


@dataclass(frozen=True)
class Parameter:
    """One entry of lambda: its transformation, a title, and what 0 and 1 mean."""

    transformation: str
    title: str
    zero: str = "0"
    one: str = "1"


SINGLE = {
    "blur": Parameter("blur", "blur", "0 px", f"{BLUR_PIXELS:g} px"),
    "noise": Parameter("noise", "noise", "0", f"{NOISE_STD:g}"),
    "rotate": Parameter("rotate", "rotation", "0°", f"{TURN_DEGREES:g}°"),
}


def strategy_name(key: str) -> StrategyName:
    """Return the names of strategy `key`.

    A loss is called as its paper does, and what follows it in the key stands in parentheses; an
    unknown strategy is called by its key.

    >>> strategy_name("y_aware_densenet121_fairkl").short
    'y-aware + FairKL (densenet121)'
    """
    if key in STRATEGIES:
        return STRATEGIES[key]
    loss = _longest(key, LOSSES)
    if not loss:
        return StrategyName(key, key)
    more = key[len(loss) :].replace("_", " ").split()
    name = LOSSES[loss] + (" + FairKL" if "fairkl" in more else "")
    rest = " ".join(word for word in more if word != "fairkl")
    name += f" ({rest})" if rest else ""
    return StrategyName(name, name)


def strategy_order(key: str) -> tuple[int, str]:
    """Return what strategies are sorted by: known ones in their papers' order, others by key."""
    known = [*STRATEGIES, *LOSSES]
    first = _longest(key, known)
    return (known.index(first) if first else len(known), key)


def _longest(key: str, names: Iterable[str]) -> str:
    """The longest of `names` that `key` starts with, as whole words."""
    return max((name for name in names if f"{key}_".startswith(f"{name}_")), key=len, default="")


def parameters(names: Sequence[str]) -> list[Parameter]:
    """Understand the parameter names of a `Composition`; unknown ones are shown as they are.

    Args:
        names: K names in the order of lambda. In 3D (one ends in ``_2``) axes are numbered.

    >>> [parameter.title for parameter in parameters(["blur", "crop_0", "flip_1", "my_filter"])]
    ['blur', 'crop centre, down', 'flip left–right', 'my_filter']
    """
    planar = not any(name.endswith("_2") for name in names)
    return [_parameter(name, planar) for name in names]


def _parameter(name: str, planar: bool) -> Parameter:
    match = re.fullmatch(r"(crop|flip|rotate)_([012])", name)
    if match is None:
        return SINGLE.get(name, Parameter(name, name))
    kind, axis = match[1], int(match[2])
    if kind == "rotate":
        return Parameter(kind, f"rotation, axis {axis}", "0°", f"{TURN_DEGREES:g}°")
    if kind == "flip":
        return Parameter(name, f"flip {SIDES[axis] if planar else f'axis {axis}'}", "none", "full")
    zero, one = ENDS[axis] if planar else ("start", "end")
    return Parameter(kind, f"crop centre, {PLACES[axis] if planar else f'axis {axis}'}", zero, one)


def describe(names: Sequence[str], lam: Sequence[float]) -> str:
    """Say in words what lambda does to one image.

    A transformation with a NaN among its entries was not applied and is left out.

    Args:
        names: K parameter names.
        lam: K values in [0, 1] or NaN.

    >>> describe(["blur", "crop_0", "crop_1", "rotate"], [0.4, 0.4, 0.6, 0.25])
    'blur 0.8 px, crop centre (0.4, 0.6), rotate 90°'
    """
    known = parameters(names)
    values: dict[str, list[float]] = {}
    for parameter, value in zip(known, lam):
        values.setdefault(parameter.transformation, []).append(value)
    phrases = [
        _phrase(next(p for p in known if p.transformation == name), numbers)
        for name, numbers in values.items()
        if all(map(math.isfinite, numbers))
    ]
    return ", ".join(phrases) if phrases else "nothing applied"


def _phrase(parameter: Parameter, lam: Sequence[float]) -> str:
    if parameter.transformation == "crop":
        return f"crop centre ({', '.join(f'{value:.1f}' for value in lam)})"
    if parameter.transformation == "rotate":
        return f"rotate {', '.join(f'{TURN_DEGREES * value:.0f}°' for value in lam)}"
    if parameter.transformation == "blur":
        return f"blur {BLUR_PIXELS * lam[0]:.1f} px"
    if parameter.transformation == "noise":
        return f"noise {NOISE_STD * lam[0]:.2f}"
    if parameter.transformation.startswith("flip_"):
        return f"{parameter.title} {100 * lam[0]:.0f} %"
    return f"{parameter.title} {lam[0]:.2f}"


def percent(share: float) -> str:
    """Return a share in [0, 1] as whole percent, e.g. ``95 %``."""
    return f"{100 * share:.3g} %"


def signed(value: float, decimals: int = 2) -> str:
    """Return a difference with its sign, e.g. ``+0.05``; a rounded zero has none."""
    rounded = round(value, decimals)
    if rounded == 0:
        return f"{0:.{decimals}f}"
    return f"{rounded:+.{decimals}f}".replace("-", "−")


def sentence(text: str) -> str:
    """Return `text` with a capital first letter."""
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    >>> listed(["blur", "noise", "rotation"])
    'blur, noise and rotation'
    """
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def plural(count: int, word: str) -> str:
    """Return e.g. ``1 seed`` or ``3 seeds``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
