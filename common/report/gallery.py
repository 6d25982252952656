"""Section with example images: original and transformed, the lesion outlined (paper's Fig. 3)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report.charts import framed, outline
from common.report.groups import Group, group_runs
from common.report.markup import Markup, block, blocks, figure, paragraph, section, swatch
from common.report.markup import pictures as in_rows
from common.report.run import Run
from common.report.schema import CURE, read_arrays
from common.report.transformations import transform_of
from common.report.words import describe

MAX_IMAGES = 8
VISIBLE = 0.25
KEPT = 0.5

GALLERY = "gallery.npz"

Key = tuple[str, int]
Images = NDArray[np.float64]


@dataclass(frozen=True)
class Gallery:
    """Example images: `image`, `transformed` (n, H, W) in [0, 1], `lam` (n, K), n names."""

    names: tuple[str, ...]
    image: Images
    transformed: Images
    lam: Images
    mask: Images | None
    transformed_mask: Images | None


def gallery(runs: Sequence[Run]) -> Markup:
    """A block an image, in it a column a strategy (its first seed that has pictures)."""
    chosen = [
        (group, run)
        for group in group_runs(runs)
        if (run := next((run for run in group.runs if run.arrays), None)) is not None
    ]
    heading = "Original and transformed images"
    if not chosen:
        return section("gallery", heading, paragraph("No example images were kept."))
    indices = [_keys(run.arrays) for _, run in chosen if run.arrays]
    keys = list(dict.fromkeys(key for index in indices for key in index))
    rows = [_row(key, chosen, indices) for key in keys[:MAX_IMAGES]]
    notes = []
    if any(run.arrays is not None and run.arrays.mask is not None for _, run in chosen):
        notes.append("Red: outline of the lesion; lost: less than half of it is left.")
    if len({run.seed for _, run in chosen}) == 1:
        notes.append(f"Pictures are of seed {chosen[0][1].seed}.")
    else:
        notes.append("Pictures are of each strategy's lowest seed that kept any.")
    notes.append("The crop's centre counts from the top left corner: (down, across).")
    if len(keys) > MAX_IMAGES:
        notes.append(f"The first {MAX_IMAGES} of {len(keys)} images.")
    return section(
        "gallery", heading, paragraph(" ".join(notes), "note"), blocks(*rows, wide=len(chosen) + 1)
    )


def _keys(pictures: Gallery | None) -> dict[Key, int]:
    """Name (and how often it came before) of each picture, to find it in other runs."""
    times: Counter[str] = Counter()
    index_of = {}
    for index, name in enumerate(pictures.names if pictures else ()):
        index_of[name, times[name]] = index
        times[name] += 1
    return index_of


def _row(
    key: Key, chosen: Sequence[tuple[Group, Run]], indices: Sequence[dict[Key, int]]
) -> Markup:
    cells: list[str] = []
    for (group, run), index in zip(chosen, indices):
        if run.arrays is None or key not in index:
            continue
        at = index[key]
        if not cells:
            mask = None if run.arrays.mask is None else run.arrays.mask[at]
            picture = _picture(run.arrays.image[at], mask, f"{key[0]}, original")
            cells.append(figure(picture, name="Original"))
        transform = transform_of(run)
        lam = run.arrays.lam[at].tolist()
        known = transform is not None and len(transform.names) == len(lam)
        words = describe(transform.names, lam, transform.units) if transform and known else ""
        cells.append(_transformed(group, run.arrays, at, words))
    name = key[0] or "unnamed image"
    return block(name, in_rows(*cells))


def _transformed(group: Group, pictures: Gallery, at: int, words: str) -> Markup:
    mask = None if pictures.transformed_mask is None else pictures.transformed_mask[at]
    picture = _picture(
        pictures.transformed[at], mask, f"{pictures.names[at]}, transformed by {group.name}"
    )
    lost = ""
    if mask is not None and pictures.mask is not None:
        before = float(pictures.mask[at].sum())
        if before > 0 and float(mask.sum()) < KEPT * before:
            lost = "lesion lost"
    return figure(picture, name=swatch(group.colour, group.name), words=words, warning=lost)


def _picture(image: Images, mask: Images | None, title: str) -> Markup:
    return framed(image, title, "" if mask is None else outline(mask > VISIBLE))


def read_gallery(run: Run) -> Gallery | None:
    """Read the example images of a run; None where none were kept.

    Raises:
        InputError: a damaged archive, or arrays that do not fit together.
    """
    path = run.folder / GALLERY
    arrays = read_arrays(path) if path.exists() else {}
    if not arrays:
        return None
    for name in ("image", "transformed", "lam", "name"):
        require(
            name in arrays, f"{path}: must hold an array {name!r}, got {sorted(arrays)}. {CURE}"
        )
    shape = arrays["image"].shape
    require(len(shape) == 3, f"{path}: image must have shape (n, H, W), got {shape}. {CURE}")
    for name in ("transformed", "mask", "transformed_mask"):
        got = arrays.get(name, arrays["image"]).shape
        require(got == shape, f"{path}: {name} must have image's shape {shape}, got {got}. {CURE}")
    for name, axes in (("lam", 2), ("name", 1)):
        got = arrays[name].shape
        require(
            len(got) == axes and got[0] == shape[0],
            f"{path}: {name} must have {axes} axes, the first of length {shape[0]}, got {got}. "
            f"{CURE}",
        )
    numbers = {key: value.astype(np.float64) for key, value in arrays.items() if key != "name"}
    return Gallery(
        names=tuple(str(name) for name in arrays["name"]),
        image=numbers["image"],
        transformed=numbers["transformed"],
        lam=numbers["lam"],
        mask=numbers.get("mask"),
        transformed_mask=numbers.get("transformed_mask"),
    )
