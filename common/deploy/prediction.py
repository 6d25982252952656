"""What is said of one image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Columns", "Embeddings", "Prediction", "Seen"]


@dataclass(frozen=True)
class Prediction:
    """One image, or the reason why a file has none.

    Attributes:
        file: its name, relative to the folder that was given.
        slice: of the volume that the file holds; -1 unless it is one.
        values: what the network says: ``probability_<class>``, or ``predicted_<name>`` in the unit
            of its training. Empty where the head was never fitted.
        columns: what else is told: what the datalist knew of it, warnings, familiarity.
        h: ``(F,)`` embedding; None for a file without an image.
        reason: why the file has no image; else "".
        paths: what was read: one, or those of a series or of channels; none of an array.
        index: of the row, where the file is a stack; else -1.
    """

    file: str
    slice: int = -1
    values: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, str | float] = field(default_factory=dict)
    h: NDArray[np.float32] | None = None
    reason: str = ""
    paths: tuple[Path, ...] = ()
    index: int = -1

    def row(self) -> dict[str, Any]:
        """Return all but the embedding, flat: a row of a table."""
        return {"file": self.file, "slice": self.slice, **self.values, **self.columns}


@dataclass(frozen=True)
class Embeddings:
    """Images as the encoder sees them.

    Attributes:
        h: ``(N, F)``.
        file: ``N`` names.
        slice: ``(N,)``, -1 unless a slice of a volume.
        left_out: (file, reason) of what could not be read.
    """

    h: NDArray[np.float32]
    file: list[str]
    slice: NDArray[np.int64]
    left_out: list[tuple[str, str]]


@dataclass(frozen=True)
class Seen:
    """A batch of images, and what the network said.

    Attributes:
        entries: of the images: "source" (a path), "name", "slice", and what a check added.
        x: ``(B, C, *spatial)``, as the network got it.
        h: ``(B, F)``.
        values: ``(B, outputs)`` probabilities or predicted numbers.
        names: of the values.
    """

    entries: Sequence[Mapping[str, Any]]
    x: Tensor
    h: NDArray[np.float32]
    values: NDArray[np.float32]
    names: Sequence[str]


Columns = Callable[[Seen], Mapping[str, Sequence[str | float]]]  # a value for each image
