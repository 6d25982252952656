"""The audit as a page: what transformations do to one's images, to look at and in plain words.

::

    common.audit ──numbers, Gallery──▶ sections, verdict ──page──▶ audit.html

- `Gallery` of `Strip`s of `Shown` images: arrays in, pictures out.
"""

from common.report.audit.gallery import Gallery, Shown, Strip

__all__ = ["Gallery", "Shown", "Strip"]
