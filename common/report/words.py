"""Numbers into language: names of runs, transformation parameters, intervals.

What 0 and 1 mean for a parameter is told by the run, whose transformations declare it; here are
titles, and the sides of an image.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Ends = tuple[str, str]
UNKNOWN: Ends = ("0", "1")
SIDES = ("up–down", "left–right")
PLACES = ("down", "across")
ENDS = (("top", "bottom"), ("left", "right"))


@dataclass(frozen=True)
class Parameter:
    """One entry of lambda: its transformation, a title, and what 0 and 1 mean."""

    transformation: str
    title: str
    zero: str = "0"
    one: str = "1"


def strategy_name(key: str, settings: Mapping[str, Any]) -> str:
    """Return what a strategy is called: its title, and what else names the run in parentheses.

    Args:
        key: of the run: its strategy, and the suffixes of what differs beside it.
        settings: the run's dials; "title" is what its overlay calls the "strategy". Without a
            title the key is the name.

    >>> strategy_name("byol_densenet121", {"strategy": "byol", "title": "BYOL"})
    'BYOL (densenet121)'
    """
    title, strategy = settings.get("title"), str(settings.get("strategy", key))
    if not isinstance(title, str) or not title or not key.startswith(strategy):
        return key
    rest = " ".join(key.removeprefix(strategy).split("_")).strip()
    return f"{title} ({rest})" if rest else title


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


def of_100(share: float) -> str:
    """Return how many of 100 a share is; 0 and 100 are said where none and all are only.

    >>> of_100(0.996), of_100(0.914), of_100(1.0)
    ('99', '91', '100')
    """
    return str(min(max(round(100 * share), int(share > 0)), 100 - int(share < 1)))


def class_named(name: str) -> str:
    """Return the name of a class, for a sentence; a number is called a class.

    >>> class_named("normal"), class_named("3")
    ('normal', 'class 3')
    """
    return f"class {name}" if name.isdigit() else name


def finding_name(column: str) -> str:
    """Return the name of a finding as words.

    >>> finding_name("pleural_effusion"), finding_name("PNEUMONIA"), finding_name("HIV")
    ('pleural effusion', 'pneumonia', 'HIV')
    """
    name = column.replace("_", " ")
    return name.lower() if name.isupper() and len(name) > 4 else name


def bundle_title(bundle: str) -> str:
    """Return the name of a bundle as a heading.

    >>> bundle_title("brain_mri_y_aware"), bundle_title("chest_xray_decoupled_uniformity")
    ('Brain MRI y-aware', 'Chest X-ray decoupled uniformity')
    """
    written = {"mri": "MRI", "xray": "X-ray", "dino": "DINO", "fairkl": "FairKL", "ssl": "SSL"}
    words = [written.get(word, word) for word in bundle.split("_")]
    return sentence(" ".join(words).replace("y aware", "y-aware"))


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


def plain(name: str) -> str:
    """Return the name of a transformation as words.

    >>> plain("resized_crop"), plain("flip_1")
    ('resized crop', 'flip left–right')
    """
    title = parameters([name])[0].title
    return title.replace("_", " ")


def plural(count: int, word: str) -> str:
    """Return e.g. ``1 seed`` or ``3 seeds``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
