"""A part of an HTML page as a small PNG, for the pages of this folder.

``python docs/screenshot.py PAGE.html OUT.png --top 120 --size 900 640`` opens the page, a file or
the address of a server here, in headless Chromium at 900 pixels of width and keeps 640 rows from
row 120 on, in as many colours as fit into `LARGEST` bytes.
"""

import argparse
import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

LARGEST = 150_000
COLOURS = (256, 128, 64, 32, 16)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def small(image: Image.Image) -> bytes:
    """Return the image as PNG with the most colours that fit into `LARGEST` bytes."""
    for colours in COLOURS:
        file = io.BytesIO()
        image.convert("RGB").quantize(colours).save(file, format="PNG", optimize=True)
        if file.tell() <= LARGEST:
            return file.getvalue()
    raise SystemExit("screenshot: the picture is too large; give a smaller --size.")


def screenshot(page: str, width: int, height: int) -> Image.Image:
    """Return the first `height` rows of a page that is `width` pixels wide."""
    address = page if page.startswith("http://") else Path(page).resolve().as_uri()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"screenshot: must find one of {', '.join(BROWSERS)}. Install Chromium.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.png"
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
        size = f"--window-size={width},{height}"
        patience = "--virtual-time-budget=60000"  # ms, for what the page asks a server for
        words = [browser, *options, size, patience, f"--screenshot={file}", address]
        subprocess.run(words, check=True, capture_output=True)
        return Image.open(file).convert("RGB")


def main() -> None:
    """Write the picture that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", help="a file, or an address that begins with http://")
    parser.add_argument("output", type=Path)
    parser.add_argument("--top", type=int, default=0, help="first row")
    parser.add_argument("--size", type=int, nargs=2, default=(900, 640), help="width and height")
    options = parser.parse_args()
    width, height = options.size
    image = screenshot(options.page, width, options.top + height)
    options.output.write_bytes(small(image.crop((0, options.top, width, options.top + height))))


if __name__ == "__main__":
    main()
