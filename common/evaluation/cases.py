"""The single cases behind a figure: groups they fall into, who they are, pictures of the worst.

A case is called by what the manifest calls its patient: a number, never a name.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.checks import require
from common.data import class_names
from common.evaluation.run_evaluation import Batches

__all__ = ["age_bands", "cases", "patients", "pictures_of", "subgroups"]

WORST = 20
SIDE = 160  # pixels of a picture, at most
MOST = 50  # groups of a column: more is no grouping, and data_prep keeps no more
COLUMNS = ("site", "split", "sex", "age")
NO_GROUPS = {"image", "mask", "name", "patient", "thumbnail"}
AGES = (18, 30, 40, 50, 60, 70, 80)
SEXES = {"m": "male", "f": "female"}  # numbers mean what the manifest's classes say

Members = NDArray[np.bool_]


def subgroups(
    manifest: Mapping[str, Any] | None, part: str, count: int
) -> Iterator[tuple[str, str, Members]]:
    """Find the groups that the manifest's columns make of a part.

    Args:
        manifest: as `common.data.read_manifest` returns it; None for no groups.
        part: "test" or another.
        count: N, images that were scored, in the manifest's order.

    Yields:
        The column, the group's name, and ``(N,)`` who is of it: of site, split, sex, age and every
        column of texts but those of `NO_GROUPS`, with 2 to 50 groups.
    """
    entries = manifest[part] if manifest else []
    require(
        len(entries) in (0, count),
        f"subgroups: the manifest must list the {count} images scored, got {len(entries)}. Score "
        "all images of the part, in its order.",
    )
    texts = dict.fromkeys(k for entry in entries for k, v in entry.items() if isinstance(v, str))
    for column in dict.fromkeys((*COLUMNS, *(key for key in texts if key not in NO_GROUPS))):
        names = class_names(manifest or {}, column)
        values = np.array([_named(column, entry.get(column), names) for entry in entries])
        groups = sorted(set(values.tolist()) - {""}, key=_in_order)
        if 2 <= len(groups) <= MOST or (column == "site" and len(groups) > 1):
            yield from ((column, name, values == name) for name in groups)


def patients(
    manifest: Mapping[str, Any] | None, part: str, known: NDArray[np.str_]
) -> NDArray[np.str_]:
    """Return the patient of each image of a part, as the manifest has it; else as is known.

    Args:
        manifest: as `common.data.read_manifest` returns it.
        part: whose images, all of them.
        known: ``(N,)``.
    """
    listed = np.array([str(entry["patient"]) for entry in manifest[part]] if manifest else [])
    return listed if len(listed) == len(known) else known


def age_bands(age: float) -> str:
    """Name the ten years that an age is in.

    >>> age_bands(17.5), age_bands(42.0), age_bands(91.0)
    ('under 18', '40 to 49', '80 and over')
    """
    if age < AGES[0]:
        return f"under {AGES[0]}"
    if age >= AGES[-1]:
        return f"{AGES[-1]} and over"
    low = max(edge for edge in AGES if edge <= age)
    return f"{low} to {AGES[AGES.index(low) + 1] - 1}"


def _named(column: str, value: Any, names: Sequence[str]) -> str:
    if value is None or value in (-1, ""):
        return ""
    if column == "age":
        return age_bands(float(value)) if np.isfinite(float(value)) else ""
    if column == "sex" and not names:
        return SEXES.get(str(value).lower(), str(value))
    return names[value] if isinstance(value, int) and value < len(names) else str(value)


def _in_order(name: str) -> tuple[bool, str]:
    return not name.startswith("under"), name


def cases(
    patient: NDArray[np.str_],
    label: NDArray[Any],
    said: NDArray[Any],
    error: NDArray[Any],
    batches: Batches,
) -> dict[str, NDArray[Any]]:
    """Return what `common.report.cases.Cases` holds: the single cases, and the worst as pictures.

    Args:
        patient: ``(N,)`` by the manifest's number.
        label: ``(N,)`` what is true.
        said: ``(N,)`` what the model says.
        error: ``(N,)`` how wrong that is; negative where it is not, or where nobody knows.
        batches: the N images, in the same order.
    """
    worst = np.argsort(-error, kind="stable")[:WORST]
    rows = worst[error[worst] >= 0]
    return {
        "patient": patient,
        "label": label.astype(np.float64),
        "said": said.astype(np.float64),
        "worst": rows.astype(np.int64),
        "image": pictures_of(batches, rows.tolist()),
    }


def pictures_of(batches: Batches, rows: Sequence[int]) -> NDArray[np.uint8]:
    """Return pictures of some images, in the order asked for.

    Args:
        batches: with "image" ``(B, C, *spatial)`` in [0, 1] or standardised, in a fixed order.
        rows: which; those of tables have no picture.

    Returns:
        ``(n, H, W)`` or ``(n, H, W, 3)``; of a volume the middle slice of the last axis; each
        between its darkest and its brightest value. ``(0, 1, 1)`` where there is nothing to see.
    """
    wanted, pictures, start = set(rows), {}, 0
    for batch in batches:
        x = batch["image"]
        if x.ndim < 4:
            break
        for row in sorted(wanted & set(range(start, start + len(x)))):
            pictures[row] = _picture(x[row - start])
        start += len(x)
    empty = np.zeros((0, 1, 1), np.uint8)
    return np.stack([pictures[row] for row in rows]) if pictures else empty


def _picture(x: Tensor) -> NDArray[np.uint8]:
    x = x.float().cpu()
    if x.ndim == 4:
        x = x[..., x.shape[-1] // 2].rot90(1, (1, 2))
    x = x[:3] if x.shape[0] >= 3 else x[:1]
    x = (x - x.min()) / (x.max() - x.min()).clamp(min=1e-12)
    scale = min(1.0, SIDE / max(x.shape[1:]))
    if scale < 1:
        size = [max(1, round(scale * side)) for side in x.shape[1:]]
        x = nn.functional.interpolate(x[None], size=size, mode="area")[0]
    levels: NDArray[np.uint8] = (255 * x).round().to(torch.uint8).movedim(0, -1).numpy()
    return levels if levels.shape[-1] == 3 else levels[..., 0]
