"""What was chosen for a preparation of heads; it stands in the manifest and goes with the model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from common.checks import require

__all__ = ["KIND", "MAPS", "SPACINGS_MM", "BrainPreparation"]

KIND = "brain_t1"
MAPS = ("tissue", "grey_white", "intensity", "vbm")
CHANNELS = {"tissue": 3, "grey_white": 2}  # of others 1
SPACINGS_MM = (1.0, 1.5, 2.0, 3.0)
RECIPE = 1  # changes whenever the same head gives other values
LIBRARIES = ("deepbet", "nilearn", "SimpleITK", "antspyx")


@dataclass(frozen=True)
class BrainPreparation:
    """How a T1-weighted head becomes an image on the template's grid.

    Args:
        map: "tissue" (3 channels: probabilities of grey matter, white matter and CSF),
            "grey_white" (the first two of them, which determine the third),
            "intensity" (1 channel, the white matter at `common.data.brain_t1.WHITE`) or "vbm"
            (1 channel: grey matter, modulated by a non-linear registration).
        spacing_mm: of the grid: 1, 1.5, 2 or 3.
        stripped: the images hold brains on a black background, so no brain is extracted; None: each
            image shows by itself whether it does.
        recipe: number of the steps' version.

    Raises:
        InputError: another map, spacing or recipe.
    """

    map: str = "tissue"
    spacing_mm: float = 1.5
    stripped: bool | None = None
    recipe: int = RECIPE

    def __post_init__(self) -> None:
        """Check the values, which may come from a file."""
        require(
            self.map in MAPS,
            f"brain_t1: --map must be one of {', '.join(MAPS)}, got {self.map!r}.",
        )
        require(
            self.spacing_mm in SPACINGS_MM,
            f"brain_t1: --spacing must be 1, 1.5, 2 or 3 mm, got {self.spacing_mm!r}.",
        )
        require(
            self.stripped is None or isinstance(self.stripped, bool),
            f"brain_t1: stripped must be true, false or null, got {self.stripped!r}.",
        )
        require(
            self.recipe == RECIPE,
            f"brain_t1: recipe must be {RECIPE}, the one of this version, got {self.recipe!r}. "
            "Prepare the heads and train again, or install the version that made the model.",
        )

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return CHANNELS.get(self.map, 1)

    def record(self) -> dict[str, Any]:
        """Return ``{"preparation": {...}}`` for a manifest, with the versions of the libraries."""
        installed = {name: _version(name) for name in LIBRARIES}
        versions = {name: number for name, number in installed.items() if number}
        return {"preparation": {"kind": KIND, **asdict(self), "versions": versions}}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "BrainPreparation":
        """Read what `record` wrote, with or without the key around it.

        What is recorded of `stripped` is true of the training images and says nothing of another.

        Raises:
            InputError: a record of another kind of image, or unknown values.
        """
        fields_of = record.get("preparation", record)
        kind = fields_of.get("kind") if isinstance(fields_of, Mapping) else None
        require(
            kind == KIND,
            f"brain_t1: preparation must be of kind {KIND!r}, got {kind!r}. Give the model of a "
            "bundle that was trained on what python -m data_prep brain_t1 wrote.",
        )
        names = {field.name for field in fields(cls)} - {"stripped"}
        return cls(**{name: value for name, value in fields_of.items() if name in names})


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
