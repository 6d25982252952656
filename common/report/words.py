"""Numbers into language: strategy names, transformation parameters, intervals.

What 0 and 1 mean for a parameter is told by the run, whose transformations declare it; here are
titles, and the sides of an image.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Ends = tuple[str, str]
UNKNOWN: Ends = ("0", "1")
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


def parameters(names: Sequence[str], units: Sequence[Ends] = ()) -> list[Parameter]:
    """Understand the parameter names of a `Composition`; unknown ones are shown as they are.

    Args:
        names: K names in the order of lambda. In 3D (one ends in ``_2``) axes are numbered.
        units: what 0 and 1 mean for each, as the run says; empty where it does not.

    >>> [parameter.title for parameter in parameters(["blur", "crop_0", "flip_1", "my_filter"])]
    ['blur', 'crop centre, down', 'flip left–right', 'my_filter']
    """
    planar = not any(name.endswith("_2") for name in names)
    ends = units or [UNKNOWN] * len(names)
    return [_parameter(name, planar, *pair) for name, pair in zip(names, ends)]


def _parameter(name: str, planar: bool, zero: str, one: str) -> Parameter:
    match = re.fullmatch(r"(crop|flip|rotate)_([012])", name)
    if match is None:
        return Parameter(name, "rotation" if name == "rotate" else name, zero, one)
    kind, axis = match[1], int(match[2])
    if kind == "rotate":
        return Parameter(kind, f"rotation, axis {axis}", zero, one)
    if kind == "flip":
        return Parameter(name, f"flip {SIDES[axis] if planar else f'axis {axis}'}", zero, one)
    zero, one = ENDS[axis] if planar else ("start", "end")
    return Parameter(kind, f"crop centre, {PLACES[axis] if planar else f'axis {axis}'}", zero, one)


def describe(names: Sequence[str], lam: Sequence[float], units: Sequence[Ends] = ()) -> str:
    """Say in words what lambda does to one image.

    A transformation with a NaN among its entries was not applied and is left out.

    Args:
        names: K parameter names.
        lam: K values in [0, 1] or NaN.
        units: what 0 and 1 mean for each; a value between two numbers of one unit is told in it.

    >>> describe(["blur", "crop_0", "crop_1"], [0.4, 0.4, 0.6], [("0 px", "2 px"), *[("", "")] * 2])
    'blur 0.8 px, crop centre (0.4, 0.6)'
    """
    values: dict[str, list[tuple[Parameter, float]]] = {}
    for parameter, value in zip(parameters(names, units), lam):
        values.setdefault(parameter.transformation, []).append((parameter, value))
    applied = [pairs for pairs in values.values() if all(math.isfinite(v) for _, v in pairs)]
    return ", ".join(map(_phrase, applied)) if applied else "nothing applied"


def _phrase(pairs: Sequence[tuple[Parameter, float]]) -> str:
    """One transformation of one image in words."""
    first, value = pairs[0]
    if first.transformation == "crop":
        return f"crop centre ({', '.join(f'{value:.1f}' for _, value in pairs)})"
    if first.transformation.startswith("flip_"):
        return f"{first.title} {100 * value:.0f} %"
    name = "rotate" if first.transformation == "rotate" else first.title
    return f"{name} {', '.join(_measured(parameter, value) for parameter, value in pairs)}"


def _measured(parameter: Parameter, lam: float) -> str:
    """A value of lambda in the unit of its ends, or as it is where they are no two numbers.

    >>> _measured(Parameter("rotate", "rotation", "0°", "360°"), 0.25)
    '90°'
    """
    ends = [re.fullmatch(r"([−+]?)([\d.]+)(.*)", end) for end in (parameter.zero, parameter.one)]
    if not (ends[0] and ends[1] and ends[0][3] == ends[1][3]):
        return f"{lam:.2f}"
    low, high = (float(end[2]) * (-1 if end[1] == "−" else 1) for end in ends if end)
    decimals = 2 if high - low <= 1 else 1 if high - low < 100 else 0
    return f"{low + lam * (high - low):.{decimals}f}{ends[0][3]}".replace("-", "−")


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
