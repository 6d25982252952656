"""Distances between representations in the four groups FairKL compares (talk, slide 58).

A pair is positive when its labels agree and negative otherwise; it is bias-aligned when its bias
attributes agree and bias-conflicting otherwise. Where a representation ignores the bias, the
aligned and the conflicting distances of a row have the same distribution.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import require

__all__ = ["GROUPS", "pair_distances"]

GROUPS = (
    "positive_aligned",
    "positive_conflicting",
    "negative_aligned",
    "negative_conflicting",
)
_MAX_CELLS = 2000


def pair_distances(
    z: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    bias: NDArray[np.integer[Any]],
    max_pairs: int = 200_000,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Euclidean distances between the rows of z, scaled to unit length, group by group.

    Args:
        z: ``(N, D)`` representations or projections; numpy, or a tensor on the CPU.
        label: ``(N,)`` integers; rows with -1 (not known) are left out.
        bias: ``(N,)`` integers, a category such as a colour or a site; likewise.
        max_pairs: a group with more pairs than this is represented by that many of them, drawn
            without replacement.
        seed: of the draw.

    Returns:
        For each of `GROUPS`, the distances in [0, 2] of its unordered pairs; empty where a group
        has no pair. Nothing of size N² is made.

    Raises:
        InputError: shapes that do not fit, or a bias with more than 2000 (label, bias) cells.
    """
    z, label, bias = (np.asarray(array) for array in (z, label, bias))
    require(
        z.ndim == 2 and label.shape == bias.shape == (len(z),),
        "pair_distances: label and bias must have one value for each row of z (N, D), got shapes "
        f"{label.shape}, {bias.shape} and {z.shape}.",
    )
    known = (label >= 0) & (bias >= 0)
    unit = z[known].astype(np.float64)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    cells, cell, size = np.unique(
        np.stack([label[known], bias[known]]), axis=1, return_inverse=True, return_counts=True
    )
    require(
        len(size) <= _MAX_CELLS,
        f"pair_distances: label and bias must be categories with at most {_MAX_CELLS} pairs of "
        f"values, got {len(size)}.",
    )
    order = np.argsort(cell.reshape(-1), kind="stable")
    first = np.cumsum(size) - size
    generator = np.random.default_rng(seed)
    distances = {}
    for name, blocks in _blocks(cells).items():
        pairs = _draw(blocks, first, size, max_pairs, generator)
        difference = (unit[order[left]] - unit[order[right]] for left, right in _chunks(pairs))
        parts = [np.linalg.norm(part, axis=1) for part in difference]
        distances[name] = np.concatenate(parts) if parts else np.zeros(0)
    return distances


def _blocks(cells: NDArray[np.integer[Any]]) -> dict[str, NDArray[np.intp]]:
    """Pairs of cells ``(2, n)`` of each group; a cell with itself is positive and aligned."""
    a, b = np.triu_indices(cells.shape[1])
    positive, aligned = cells[0, a] == cells[0, b], cells[1, a] == cells[1, b]
    members = (positive & aligned, positive & ~aligned, ~positive & aligned, ~positive & ~aligned)
    return {name: np.stack([a[here], b[here]]) for name, here in zip(GROUPS, members)}


def _draw(
    blocks: NDArray[np.intp],
    first: NDArray[np.intp],
    size: NDArray[np.intp],
    max_pairs: int,
    generator: np.random.Generator,
) -> NDArray[np.intp]:
    """Positions ``(2, n)``, among rows sorted by cell, of all pairs of a group or some of them.

    The pairs of a group are numbered block after block, so a draw of numbers is a draw of pairs.
    """
    a, b = blocks
    within = a == b
    count = np.where(within, size[a] * (size[a] - 1) // 2, size[a] * size[b])
    end = np.cumsum(count)
    total = int(end[-1]) if len(end) else 0
    if total <= max_pairs:
        number = np.arange(total)
    else:
        number = np.sort(generator.choice(total, max_pairs, replace=False))
    block = np.searchsorted(end, number, side="right")
    rest = number - (end - count)[block]
    larger = ((1 + np.sqrt(1 + 8 * rest)) / 2).astype(np.intp)  # pairs i < j: number = j(j-1)/2 + i
    larger -= larger * (larger - 1) // 2 > rest
    inside = within[block]
    width = np.maximum(size[b[block]], 1)
    left = np.where(inside, rest - larger * (larger - 1) // 2, rest // width)
    right = np.where(inside, larger, rest % width)
    return np.stack([first[a[block]] + left, first[b[block]] + right])


def _chunks(pairs: NDArray[np.intp], length: int = 65536) -> list[NDArray[np.intp]]:
    return [pairs[:, start : start + length] for start in range(0, pairs.shape[1], length)]
