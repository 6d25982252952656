"""What a policy does to the images: the spread of lambda, lesions kept, and pictures to look at.

The paper shows this for two images (Ruppli et al. 2022, Fig. 3); here it is counted.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.metrics.lambda_spread import lambda_spread
from common.transforms import Composition

__all__ = ["audit_transforms"]

_KEPT = 0.5  # a lesion counts as kept when at least half of its mass survives crop and rotation


@torch.no_grad()
def audit_transforms(
    policy: nn.Module,
    transform: Composition,
    batches: Iterable[Mapping[str, Any]],
    device: str | torch.device,
    examples: int = 6,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Apply a policy to all images and describe what came out.

    Args:
        policy: ``x -> lam``; put into evaluation mode.
        transform: the composition that reads lam.
        batches: dicts with "image" ``(B, C, *spatial)``, optionally "mask" ``(B, 1, *spatial)``
            (all zero where there is no lesion) and "name".
        device: where the policy is.
        examples: how many images the gallery shows: those with a lesion, or the first if none has.

    Returns:
        The summary: "names", "units" (what 0 and 1 mean), "lam_mean", "lam_std_over_images" (over
        the images a transformation was applied to), "histogram", "lesion_kept" (share of lesions
        of which at least half the mass survives crop, flips and rotation; None without masks),
        "n_lesion_images".
        The gallery: "image", "transformed" ``(n, H, W)``, "lam" ``(n, K)``, "name", and where
        there is a lesion "mask" and "transformed_mask". 3D images are shown by their middle slice.
    """
    policy.eval()
    lams: list[Tensor] = []
    kept: list[Tensor] = []
    with_lesion: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for batch in batches:
        x = batch["image"].to(device)
        lam = policy(x)
        x_m = transform(x, lam)
        lams.append(lam.float().cpu())
        mask = batch["mask"].to(device) if "mask" in batch else None
        moved = transform.geometric(mask, lam) if mask is not None else None
        if mask is not None and moved is not None:
            kept.append(torch.stack([mask.flatten(1).sum(1), moved.flatten(1).sum(1)], 1).cpu())
        names = batch.get("name", [""] * len(x))
        for index in range(len(x)):
            pictures = with_lesion if mask is not None and bool(mask[index].any()) else others
            if len(pictures) < examples:
                pictures.append(_picture(x, x_m, mask, moved, lam, names, index))
    if not with_lesion:
        others = [{key: picture[key] for key in picture if "mask" not in key} for picture in others]
    lam = torch.cat(lams).double().numpy()
    summary = _summary(lam, transform, torch.cat(kept).numpy() if kept else None)
    return summary, _stack(with_lesion or others)


def _picture(
    x: Tensor,
    x_m: Tensor,
    mask: Tensor | None,
    moved: Tensor | None,
    lam: Tensor,
    names: Any,
    index: int,
) -> dict[str, Any]:
    picture = {
        "image": _plane(x[index]),
        "transformed": _plane(x_m[index]),
        "lam": lam[index].float().cpu().numpy(),
        "name": "/".join(Path(str(names[index])).parts[-2:]),
    }
    if mask is not None and moved is not None:
        picture |= {"mask": _plane(mask[index]), "transformed_mask": _plane(moved[index])}
    return picture


def _plane(x: Tensor) -> NDArray[np.float32]:
    """First channel, middle slice: ``(C, *spatial) -> (H, W)``."""
    plane = x[0] if x.ndim == 3 else x[0, ..., x.shape[-1] // 2]
    return plane.float().cpu().numpy()


def _stack(shown: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    return {key: np.stack([picture[key] for picture in shown]) for key in (shown or [{}])[0]}


def _summary(
    lam: NDArray[np.float64], transform: Composition, kept: NDArray[np.float32] | None
) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "names": list(transform.names),
        "units": [list(ends) for ends in transform.units],
        **lambda_spread(lam),
        "lesion_kept": None,
        "n_lesion_images": 0,
    }
    if kept is not None:
        before, after = kept[kept[:, 0] > 0].T
        summary["n_lesion_images"] = len(before)
        if len(before):
            summary["lesion_kept"] = float(np.mean(after >= _KEPT * before))
    return summary
