"""What a choice of transformations does to one's own images, before anything is trained.

::

    folder, manifest or arrays ──read_images──▶ AuditImages: x (N, C, *spatial), mask, label, site
    bundle, overlay, run ──read_transforms──▶ TransformationSet: members (policy, transform, count)
    (images, set) ──draw──▶ views ──quick features──▶ lesions, blank, label, shortcuts, difficulty
    each transformation, weak to strong ──▶ scans ──▶ proposal: an overlay JSON
    all of it ──▶ Audit: numbers (to_json, from_json) and pictures

- `audit`: the whole, from Python: ``audit(images, transforms) -> Audit``;
- `read_images`, `read_transforms`: what it reads; `Encoder`: representations of one's own;
- `Audit`: all that was found; its sections are the dataclasses of `common.report.audit.result`.
"""

from common.audit.configured import read_transforms
from common.audit.features import Encoder
from common.audit.reading import read_images
from common.audit.run_audit import audit
from common.report.audit.result import Audit

__all__ = ["Audit", "Encoder", "audit", "read_images", "read_transforms"]
