"""A finished run as the report sees it; `common.report.load` reads it from a folder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.report.channel_run import Channel
from common.report.probe_run import ProbeRun

Images = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """The figure a kind of run is judged by.

    Attributes:
        name: as charts and sentences call it.
        key: in evaluation.json.
        judged: what gave the figure, for the notes below charts.
        baseline: how the same was done without training, for a sentence.
        drawn: what the interval draws: "patients", "subjects" or "images".
        choice: what the strategies differ in.
        lower_is_better: as for errors.
        highest: upper end of its range in evaluation.json.
        chance: the figure of guessing in evaluation.json, the same for all runs, or None.
        scale: from evaluation.json to what is shown, e.g. 100 for percent.
        decimals: shown.
        unit: shown behind the number.
        difference: shown behind a difference.
    """

    name: str
    key: str
    judged: str
    baseline: str = "a linear classifier"
    drawn: str = "patients"
    choice: str = "the loss"
    lower_is_better: bool = False
    highest: float = 1.0
    chance: float | None = None
    scale: float = 1.0
    decimals: int = 2
    unit: str = ""
    difference: str = ""

    def written(self, value: float) -> str:
        """Return a value, in the units shown, as text."""
        return f"{value:.{self.decimals}f}{self.unit}"

    def interval(self, low: float, high: float) -> str:
        """Return two values as ``0.88–0.93``."""
        return f"{low:.{self.decimals}f}–{high:.{self.decimals}f}{self.unit}"

    def better(self, first: float, second: float) -> bool:
        """Return whether `first` is strictly better than `second`."""
        return first < second if self.lower_is_better else first > second


@dataclass(frozen=True)
class Epoch:
    """The figure of one epoch, and its standard deviation over hold-out folds (0: none)."""

    number: int
    value: float
    spread: float


@dataclass(frozen=True)
class Interval:
    """Uncertainty of the last epoch's figure: `level` in (0, 1), its bounds, how it was made."""

    level: float
    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Transform:
    """What the transformations did on the evaluation images.

    Attributes:
        names: K parameters, in the order of lambda.
        mean: K means of lambda over images, in [0, 1]; NaN where never applied.
        spread: K standard deviations of lambda over images; NaN where never applied.
        edges: the bins' borders, increasing.
        counts: (K, bins) images per bin.
        lesion_kept: share of transformed images that keep the lesion, in [0, 1], or None.
        n_lesion_images: images that share was counted on.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[tuple[float, ...], ...]
    lesion_kept: float | None
    n_lesion_images: int


@dataclass(frozen=True)
class History:
    """Training terms: the epochs, and per term one value an epoch (NaN where not recorded)."""

    epochs: tuple[float, ...]
    terms: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Gallery:
    """Example images: `image`, `transformed` (n, H, W) in [0, 1], `lam` (n, K), n names."""

    names: tuple[str, ...]
    image: Images
    transformed: Images
    lam: Images
    mask: Images | None
    transformed_mask: Images | None


@dataclass(frozen=True)
class Figure:
    """A number with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AgeScores:
    """Test subjects ``(M,)``: age, predicted age (years), site, whether of a training site."""

    age: Images
    predicted: Images
    site: NDArray[np.int64]
    internal: NDArray[np.bool_]


@dataclass(frozen=True)
class Age:
    """A run judged by the brain-age challenge.

    Attributes:
        figures: "mae_internal", "mae_external" (years) and "bacc_internal".
        baselines: the same figures by the baseline's name, without intervals.
        chance: site balanced accuracy of guessing.
        floor: site balanced accuracy that age alone allows.
        head: the same errors by the trained head, where there is one.
        scores: None where scores.npz is absent.
        site_names: by number; may be empty.
    """

    figures: dict[str, Figure]
    baselines: dict[str, dict[str, float]]
    chance: float
    floor: float
    head: dict[str, float]
    scores: AgeScores | None
    site_names: tuple[str, ...]


@dataclass(frozen=True)
class Distances:
    """Histograms of pair distances: ``counts[moment][group]``, moment "before" or "after"."""

    edges: tuple[float, ...]
    counts: dict[str, dict[str, tuple[float, ...]]]
    means: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Classes:
    """A run judged by accuracy.

    Attributes:
        readout: "head" (trained) or "probe" (refitted): what decided.
        shares: accuracy in percent by who decided ("head", "probe") and on which images
            ("accuracy", "accuracy_aligned", "accuracy_conflicting"); NaN where there are none.
        part: the part that was scored, "test" or "validation".
        distances: None without a bias.
    """

    readout: str
    shares: dict[str, dict[str, float]]
    part: str
    distances: Distances | None


@dataclass(frozen=True)
class SiteRow:
    """A site of the leave-site-out table."""

    site: int
    subjects: int
    cases: int
    auc: float


@dataclass(frozen=True)
class Cases:
    """A run judged by a diagnosis: AUC "auc_internal" and "auc_external", by site, the probe's."""

    readout: str
    figures: dict[str, Figure]
    probe: dict[str, float]
    sites: tuple[SiteRow, ...]
    site_names: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One trained and evaluated model.

    `value` is the last epoch's figure in its `measure`, `baselines` holds that of others by name,
    `chance` that of guessing, all in the units shown. Of `age`, `classes` and `cases` at most one
    is there; `findings` (the AUC of each) and `finding_baselines` (by baseline, then by finding)
    are empty but for several findings. `channel` is that of an encoder of crops, `probe`
    that of a probe trained by SGD.
    """

    folder: Path
    bundle: str
    strategy: str
    seed: int
    settings: dict[str, Any]
    versions: dict[str, Any]
    counts: dict[str, Any]
    kind: str
    measure: Measure
    epochs: tuple[Epoch, ...]
    value: float
    interval: Interval
    baselines: dict[str, float]
    chance: float | None
    transform: Transform | None
    history: History | None
    gallery: Gallery | None
    age: Age | None = None
    classes: Classes | None = None
    cases: Cases | None = None
    findings: dict[str, Figure] = field(default_factory=dict)
    finding_baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    channel: Channel | None = None
    probe: ProbeRun | None = None


def finite_mean(values: Sequence[float]) -> float:
    """Return the mean of the finite entries, NaN when there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
