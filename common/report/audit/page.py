"""The page of an audit: comparison, verdict, then each set of transformations."""

from pathlib import Path

from common.checks import InputError
from common.report.audit.comparison import comparison
from common.report.audit.figures import pixel_of
from common.report.audit.gallery import Detail
from common.report.audit.result import Audit
from common.report.audit.sections import all_sets, images, in_words, reading, sentences
from common.report.markup import Markup
from common.report.page import bare_page, write_page
from common.report.words import plural

__all__ = ["in_words", "write_audit"]

LARGEST = 5_000_000  # bytes of a page
FINENESS = (  # images, pixels of a side, quality; the first that is small enough
    *((4, 224, 82), (4, 160, 75), (3, 128, 70)),
    *((2, 112, 60), (2, 96, 45), (1, 96, 35), (1, 64, 25)),
)
DETAILS = tuple(Detail(*each) for each in FINENESS)


def write_audit(audit: Audit, output: Path, title: str) -> Path:
    """Write the page of an audit, self-contained and below 5 MB; return `output`.

    Pictures are drawn as finely as the size allows.

    Raises:
        InputError: `output` is a folder, or cannot be written; or so many sets that the page would
            be larger even with the coarsest pictures.
    """
    for detail in DETAILS:
        page = bare_page(title, _about(audit), _parts(audit, detail))
        if len(page.encode()) < LARGEST:
            return write_page(page, output)
    raise InputError(
        f"{output}: the page must be below {LARGEST:,} bytes, got {len(page.encode()):,} with the "
        f"coarsest pictures of {plural(len(audit.sets), 'set')}. Audit fewer sets at a time."
    )


def _parts(audit: Audit, detail: Detail) -> list[Markup]:
    every = all_sets(audit, detail)
    return [comparison(audit), sentences(audit), *every, reading(audit), images(audit)]


def _about(audit: Audit) -> str:
    images = audit.images
    used = f"{images.used:,} of {images.found:,} images" if images.used < images.found else (
        plural(images.used, "image")
    )  # fmt: skip
    parts = [
        f"{images.source}: {used}",
        *([plural(images.patients, "patient")] if images.patients_known else []),
        f"{' × '.join(map(str, images.shape))} {pixel_of(audit)}s",
        f"{plural(len(audit.sets), 'set')} of transformations",
        f"encoder: {audit.measurement.encoder}",
        f"{audit.seconds:.0f} seconds",
    ]
    return " · ".join(parts)
