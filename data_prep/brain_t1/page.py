"""Pictures of the prepared heads on one page, those to look at first."""

import base64
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_erosion, zoom

from common.data.brain_t1 import PreparedBrain, template
from common.data.brain_t1.quality import BOUNDS, WORDS
from common.data.brain_t1.register import COARSE_MM
from common.files import whole

__all__ = ["PAGE", "thumbnail", "write_page"]

PAGE = "quality.html"
LARGER = 3  # pixels of a 3 mm voxel
TEMPLATE_COLOUR, BRAIN_COLOUR = (255, 170, 0), (0, 200, 255)
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;
color:#1a1a1a}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:1rem}
figure{margin:0;border:1px solid #ccc;border-radius:6px;padding:.5rem}
figure.flagged{border:2px solid #b00020}
img{width:100%;display:block;background:#000}
figcaption{font-size:13px;margin-top:.4rem}
.why{color:#b00020;font-weight:600}
.t{color:#a06000;font-weight:600}.b{color:#006a8a;font-weight:600}
"""


def thumbnail(brain: PreparedBrain) -> bytes:
    """Three cuts of a head side by side (axial, coronal, sagittal; front or head on top) as JPEG.

    The template's brain is outlined in orange, the head's own in blue. What lies more than 8 mm
    away from the template's brain is black, so that no face is seen.
    """
    target = template(COARSE_MM)
    shown = brain.shown / max(float(np.percentile(brain.shown[brain.brain], 98)) * 1.2, 1e-6)
    grey = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    middle = [round(x) for x in np.argwhere(target.brain).mean(axis=0)]
    cuts = []
    for axis, place in ((2, middle[2]), (1, middle[1]), (0, middle[0] - 3)):
        picture = _upright(np.take(grey, place, axis), order=1)
        colour = np.repeat(picture[..., None], 3, axis=2)
        for volume, paint in ((brain.brain, BRAIN_COLOUR), (target.brain, TEMPLATE_COLOUR)):
            inside = _upright(np.take(volume, place, axis).astype(np.uint8), order=0) > 0
            colour[inside & ~binary_erosion(inside)] = paint
        cuts.append(colour)
    height = max(cut.shape[0] for cut in cuts)
    row = [np.pad(cut, ((height - cut.shape[0], 0), (0, 6), (0, 0))) for cut in cuts]
    buffer = BytesIO()
    Image.fromarray(np.concatenate(row, axis=1)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def write_page(manifest: dict[str, Any], target: Path) -> None:
    """Write ``quality.html``, which needs no other file: flagged heads first, then by overlap."""
    entries = [
        (part, entry) for part in ("training", "validation", "test") for entry in manifest[part]
    ]
    entries.sort(key=lambda told: (not told[1]["flags"], told[1]["overlap"]))
    flagged = sum(bool(entry["flags"]) for _, entry in entries)
    figures = "\n".join(_figure(part, entry, target) for part, entry in entries)
    skipped = "".join(f"<li>{escape(line['reason'])}</li>" for line in manifest["skipped"])
    chosen = manifest["preparation"]
    bounds = "; ".join(f"{WORDS[name]} {low:g} to {high:g}" for name, (low, high) in BOUNDS.items())
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Prepared heads</title>
<style>{STYLE}</style></head><body>
<h1>Prepared heads: {len(entries)}, of which {flagged} to look at</h1>
<p>Map: {escape(str(chosen["map"]))}, {chosen["spacing_mm"]:g} mm. Each head as it was brought
to the template, in three cuts: the outline of <span class="t">the template's brain</span> and of
<span class="b">the brain that was found</span> should run together along the edge of the brain.
A head is flagged where a number lies outside its bounds ({escape(bounds)}); it is
kept: leave it out of the source if it is wrong, and prepare again.</p>
<div class="grid">
{figures}
</div>
{f"<h2>Left out: {len(manifest['skipped'])}</h2><ul>{skipped}</ul>" if skipped else ""}
</body></html>
"""
    with whole(target / PAGE) as partial:
        partial.write_text(text, encoding="utf-8")


def _figure(part: str, entry: dict[str, Any], target: Path) -> str:
    try:
        content = base64.b64encode((target / entry["thumbnail"]).read_bytes()).decode()
    except OSError:
        content = ""
    why = "".join(f'<div class="why">{escape(reason)}</div>' for reason in entry["flags"])
    age = "" if entry["age"] is None else f", {entry['age']:g} years"
    return (
        f'<figure class="{"flagged" if entry["flags"] else "good"}">'
        f'<img alt="three cuts of {entry["patient"]}" src="data:image/jpeg;base64,{content}">'
        f"<figcaption>{entry['patient']} ({part}{age}){why}<div>overlap {entry['overlap']:.3f}, "
        f"{entry['volume_ml']:.0f} ml, correlation {entry['correlation']:.2f}, grey/white/CSF "
        f"{entry['grey_share']:.0%} / {entry['white_share']:.0%} / {entry['csf_share']:.0%}"
        "</div></figcaption></figure>"
    )


def _upright(cut: npt.NDArray[Any], order: int) -> npt.NDArray[Any]:
    """Columns along the first axis, the second upwards; larger."""
    return np.asarray(zoom(cut.T[::-1], LARGER, order=order, mode="nearest", grid_mode=True))
