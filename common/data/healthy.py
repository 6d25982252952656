"""Names by which a class is known as the healthy one."""

import re
from collections.abc import Sequence

__all__ = ["healthiness", "healthy_class"]

HEALTHY = {"no", "hc", "cn", "nc", "neg", "absent", "absence", "false", "nodr", "nofinding"}
HEALTHY |= {"td", "tdc", "typical", "typicallydeveloping", "typicallydevelopingchildren"}
HEALTHY_WORDS = {"normal", "normals", "healthy", "control", "controls", "unaffected"}
DENIALS = {"no", "non", "not", "without"}
MILD = {"benign"}


def healthy_class(names: Sequence[str]) -> int | None:
    """Return the number of the class whose name is that of the healthy; None unless it is one.

    >>> healthy_class(["no retinopathy", "mild"]), healthy_class(["cat", "dog"])
    (0, None)
    """
    for level in (2, 1):
        numbers = [number for number, name in enumerate(names) if healthiness(name) == level]
        if numbers:
            return numbers[0] if len(numbers) == 1 else None
    return None


def healthiness(name: str) -> int:
    """Return 2 for a name of the healthy class, 1 for one that may be it, else 0.

    >>> [healthiness(name) for name in ("No_Finding", "benign", "abnormal", "triple negative")]
    [2, 1, 0, 0]
    """
    if re.fullmatch(r"0+([.,]0*)?|-", name.strip()):
        return 2
    words = re.findall(r"[^\W\d_]+", name.casefold())
    if not words:
        return 0
    denied = words[0] in DENIALS and not HEALTHY_WORDS.intersection(words)
    if len(words) > 1 and denied:
        return 2
    if words[-1] in ("negative", "negatives") and words[0] != "triple":
        return 2
    calm = HEALTHY_WORDS.intersection(words) and not {"not", "no", "non"}.intersection(words)
    if "".join(words) in HEALTHY or (calm and len(words) <= 3):
        return 2
    return int(words[0] in MILD and len(words) == 1)
