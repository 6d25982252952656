"""One's own images as the audit holds them: in memory, at one size, with all that is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.checks import require
from common.data import seeded_order
from common.report.audit.result import Skipped

__all__ = ["ATTRIBUTES", "AuditImages", "from_arrays", "some_patients"]

ATTRIBUTES = (
    *("site", "scanner", "manufacturer", "sex", "age", "bias", "eye", "plate", "view"),
    *("height", "width"),
)
Columns = Mapping[str, Sequence[Any] | NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class AuditImages:
    """N images and what is known of them.

    Attributes:
        x: ``(N, C, *spatial)`` float16 in [0, 1].
        mask: ``(N, 1, *spatial)`` bool, all False where there is no lesion; None without masks.
        patient: ``(N,)`` names; numbers of the images where none is told.
        columns: ``(N,)`` each, by name: "label" and whatever else is told, numbers or texts; NaN,
            -1 or "" is not known.
        names: of the values of columns that are numbers, where they are told.
        source: name of the folder, or "arrays".
        found: images there.
        sampled: whether these are a draw of more.
        patients_known: whether patients were told.
        spacing_mm: of a pixel along each axis; None where it is not known.
        stored_side: longer side of most files' images in pixels; None where it is not known.
        skipped: what could not be read.
        left_out: its files, with the reason: to be told to who has the folder, never written.
        notes: what else was found in reading, a sentence each.
    """

    x: Tensor
    mask: Tensor | None
    patient: NDArray[np.str_]
    columns: Mapping[str, NDArray[Any]]
    names: Mapping[str, Sequence[str]]
    source: str
    found: int
    sampled: bool
    patients_known: bool
    spacing_mm: tuple[float, ...] | None = None
    stored_side: int | None = None
    skipped: tuple[Skipped, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return N."""
        return len(self.x)

    @property
    def spatial_dims(self) -> int:
        """2 or 3."""
        return self.x.dim() - 2

    def rows(self, chosen: NDArray[np.intp]) -> "AuditImages":
        """Return some of the images."""
        return replace(
            self,
            x=self.x[torch.from_numpy(chosen)],
            mask=None if self.mask is None else self.mask[torch.from_numpy(chosen)],
            patient=self.patient[chosen],
            columns={name: column[chosen] for name, column in self.columns.items()},
        )


def from_arrays(
    x: Tensor | NDArray[Any], columns: Columns | None = None, mask: Tensor | Any = None
) -> AuditImages:
    """Return arrays as `AuditImages`.

    Args:
        x: ``(N, C, *spatial)`` in [0, 1], or bytes; 2D or 3D.
        columns: ``(N,)`` each: "label", "patient", "site", ...
        mask: ``(N, 1, *spatial)`` or ``(N, *spatial)``, above 0 in the lesion.

    Raises:
        InputError: shapes that do not fit, or values outside [0, 1].
    """
    images = torch.as_tensor(x)
    require(
        images.dim() in (4, 5) and len(images) > 0,
        f"audit: images must be (N, C, *spatial), 2D or 3D, got shape {tuple(images.shape)}.",
    )
    images = images / 255 if images.dtype == torch.uint8 else images.float()
    require(
        bool(images.isfinite().all()) and float(images.min()) >= 0 and float(images.max()) <= 1,
        "audit: images must be finite and in [0, 1], or bytes, got other values. Scale them.",
    )
    held = {name: np.asarray(column) for name, column in (columns or {}).items()}
    for name, column in held.items():
        require(
            column.shape == (len(images),),
            f"audit: {name} must have one value for each of {len(images)} images, got shape "
            f"{column.shape}.",
        )
    patient = held.pop("patient", None)
    if mask is not None:
        mask = torch.as_tensor(mask)
        mask = (mask[:, None] if mask.dim() == images.dim() - 1 else mask) > 0
        expected = (len(images), 1, *images.shape[2:])
        require(
            tuple(mask.shape) == expected,
            f"audit: mask must have shape {expected}, got {tuple(mask.shape)}.",
        )
    return AuditImages(
        x=images.half(),
        mask=mask,
        patient=np.asarray(np.arange(len(images)) if patient is None else patient).astype(np.str_),
        columns=held,
        names={},
        source="arrays",
        found=len(images),
        sampled=False,
        patients_known=patient is not None,
    )


def some_patients(patient: Sequence[str], most: int, seed: int) -> NDArray[np.intp]:
    """Return the rows of patients drawn until there are `most`, in their order.

    Args:
        patient: of each row.
        most: rows at most. Only of the first patient drawn some may be left out.
        seed: of the draw.
    """
    of: dict[str, list[int]] = {}
    for number, name in enumerate(patient):
        of.setdefault(name, []).append(number)
    chosen: list[int] = []
    for name in seeded_order(of, seed):
        if not chosen or len(chosen) + len(of[name]) <= most:
            chosen += of[name]
    return np.sort(np.asarray(chosen[:most], np.intp))
