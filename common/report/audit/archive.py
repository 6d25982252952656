"""Pictures of an audit of one set as an archive of arrays, ``audit.npz``, and back."""

from pathlib import Path

from common.checks import require
from common.report.audit.result import Array, Pictures, SetPictures
from common.report.schema import CURE, read_arrays

__all__ = ["ARCHIVE", "as_arrays", "read_pictures"]

ARCHIVE = "audit.npz"
AXES = {"image": 5, "view": 6}


def as_arrays(pictures: Pictures) -> dict[str, Array]:
    """Return the pictures of the first set by name; of masks only those there are."""
    one = pictures.sets[0]
    named = {"image": pictures.images, "mask": pictures.masks}
    named |= {"view": one.views, "view_mask": one.masks}
    for at, (scan, masks) in enumerate(zip(one.scans, one.scan_masks)):
        named |= {f"scan_{at}": scan, f"scan_mask_{at}": masks}
    return {name: array for name, array in named.items() if array is not None}


def read_pictures(path: Path, scans: int) -> Pictures | None:
    """Read the pictures of a set with so many scans; None where there is no file.

    Raises:
        InputError: a damaged archive, or arrays that do not fit together.
    """
    if not path.exists():
        return None
    arrays = read_arrays(path, AXES | {f"scan_{at}": 6 for at in range(scans)})
    images, views = arrays["image"], arrays["view"]
    every = [views, *(arrays[f"scan_{at}"] for at in range(scans))]
    fits = all(one.shape[2:] == images.shape[1:] and len(one) <= len(images) for one in every)
    for name, array in arrays.items():
        of = arrays.get(name.replace("_mask", "").replace("mask", "image"), array)
        fits &= "mask" not in name or array.shape == of.shape[:-1]
    require(
        fits and len(views) == len(images),
        f"{path}: must hold pictures of one size with their masks, got "
        f"{', '.join(f'{name} {array.shape}' for name, array in sorted(arrays.items()))}. {CURE}",
    )
    one = SetPictures(
        views=views,
        masks=arrays.get("view_mask"),
        scans=tuple(arrays[f"scan_{at}"] for at in range(scans)),
        scan_masks=tuple(arrays.get(f"scan_mask_{at}") for at in range(scans)),
    )
    return Pictures(images=images, masks=arrays.get("mask"), sets=(one,))
