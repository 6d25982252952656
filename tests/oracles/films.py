"""What a viewer shows of stored values, worked out for every pixel in float64 (PS3.3, C.11)."""

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


def shown(
    stored: Values,
    slope: float = 1.0,
    intercept: float = 0.0,
    window: tuple[float, float] | None = None,
    function: str = "LINEAR",
    table: Values | None = None,
    inverted: bool = False,
    padding: int | None = None,
) -> npt.NDArray[np.float32]:
    """Rescale, VOI table of 16 bits or window, else the range without padding; inversion."""
    x = stored.astype(np.float64) * slope + intercept
    if table is not None:
        places = np.clip(np.rint(x).astype(np.int64), 0, len(table) - 1)
        y = table[places] / 65535.0
    elif window is not None:
        y = _windowed(x, *window, function)
    else:
        inside = x if padding is None else x[stored != padding]
        y = (x - inside.min()) / (inside.max() - inside.min())
    y = np.clip(y, 0.0, 1.0)
    return (1.0 - y if inverted else y).astype(np.float32)


def _windowed(x: Values, centre: float, width: float, function: str) -> Values:
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(-4.0 * (x - centre) / width))
    if function == "LINEAR_EXACT":
        return (x - centre) / width + 0.5
    return (x - (centre - 0.5)) / (width - 1) + 0.5
