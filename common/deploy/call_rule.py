"""Which class a prediction is called: by the threshold that its evaluation chose.

A probability calls nothing by itself. `CallRule` goes with the model ("call" of ``model.json``):
for each output the threshold above which it is called, and the images that it was chosen on; or,
for classes of which one is true, that the most probable one is called. It is applied to the model's
own probabilities, also where reference scans calibrate them. A model.json of an earlier version has
none, and its predictions have no call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from common.deploy.recorded import read_recorded

__all__ = ["BETWEEN", "CallRule", "Threshold"]

BETWEEN = "; "  # findings that are called together
EVEN = 0.5  # where one of two classes is the more probable


@dataclass(frozen=True)
class Threshold:
    """The probability above which an output is called, and what it was chosen on.

    Attributes:
        probability: in [0, 1].
        images: of the validation part.
        patients: whose they are.
        positive: images that show the finding.
    """

    probability: Annotated[float, Field(ge=0, le=1)]
    images: int
    patients: int
    positive: int


@dataclass(frozen=True)
class CallRule:
    """How values become a class; see the module.

    Attributes:
        otherwise: what is called where no output is: the other of two classes, or "none".
        thresholds: one for each output, None for one that is never called; none at all where the
            most probable class is called.
    """

    otherwise: str
    thresholds: Sequence[Threshold | None] = ()

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None, where: str) -> "CallRule | None":
        """Read what `record` wrote; None where a model has none.

        Raises:
            InputError: something else.
        """
        return read_recorded(cls, record, "call", where)

    def record(self) -> dict[str, Any]:
        """Return the rule, for ``model.json``."""
        return asdict(self)

    def calls(self, names: Sequence[str], probability: NDArray[np.floating[Any]]) -> list[str]:
        """Name the class of each image.

        Args:
            names: of the K outputs.
            probability: ``(B, K)``.

        >>> rule = CallRule("normal", [Threshold(0.3, 40, 20, 12)])
        >>> rule.calls(["covid"], np.array([[0.31], [0.29]]))
        ['covid', 'normal']
        """
        if not self.thresholds and len(names) > 1:
            return [names[place] for place in probability.argmax(axis=1)]
        limits = [1.0 if t is None else t.probability for t in self.thresholds] or [EVEN]
        return [
            BETWEEN.join(name for name, above in zip(names, row) if above) or self.otherwise
            for row in probability > np.array(limits)
        ]

    def told(self, names: Sequence[str]) -> str:
        """Say the rule in words, for a report that stands alone.

        Args:
            names: of the outputs.
        """
        if not self.thresholds:
            return "called: the most probable class"
        each = (
            f"{name}: never, no threshold could be chosen"
            if t is None
            else f"{name}: above {t.probability:.4g}, chosen on {t.images} validation images of "
            f"{t.patients} patients, {t.positive} with it"
            for name, t in zip(names, self.thresholds)
        )
        return f"called {BETWEEN.join(each)}"
