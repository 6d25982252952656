"""Where an image lies below the target: in its patient's folder, or of many in folders of 1,000."""

from argparse import ArgumentParser

__all__ = ["FULL", "MANY", "STORED", "add_store_argument", "stem_of"]

MANY = 10_000  # images, from which on a folder for each patient would be too many folders
FULL = 1_000  # images of a folder then
STORED = 512  # images of an archive, which an interrupted run may have to do again


def add_store_argument(parser: ArgumentParser) -> None:
    """Add ``--store``."""
    parser.add_argument(
        "--store",
        action="store_true",
        help=f"PNG in archives of {STORED}, not a file each: for many images, slow or shared disks",
    )


def stem_of(patient: str, index: int, number: int, images: int) -> str:
    """Return the path of an image without its suffix.

    Args:
        patient: pseudonym.
        index: of the image among the patient's.
        number: of the image among all.
        images: how many there are.

    >>> stem_of("p0012", 3, 2345, images=9_999), stem_of("p0012", 3, 2345, images=10_000)
    ('p0012/003', '0002/p0012_003')
    """
    if images < MANY:
        return f"{patient}/{index:03d}"
    return f"{number // FULL:04d}/{patient}_{index:03d}"
