"""One walk over a source folder for every source: a file is taken, listed as skipped, or counted.

Folders that are links are not followed, so that no image is read twice and none from elsewhere; a
link to a file must lead below the source. What looks like an image, a volume or an archive and is
not read is skipped with its reason; tables, texts and the like are counted.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.checks import require
from common.data.dicom_mark import is_dicom
from common.data.image import is_image, why_no_image
from common.files import leads_below

__all__ = ["ARCHIVE", "ARCHIVES", "Walk", "header_facts", "walk", "walk_images"]

ARCHIVES = (
    *(".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".tar.zst"),
    *(".7z", ".rar"),
)
ARCHIVE = "an archive is not looked into; extract it first"


@dataclass
class Walk:
    """What lies below a source.

    Attributes:
        files: to read, sorted.
        skipped: images that are not read: ``{"file": name in the source, "reason"}``.
        others: number of files that are no images.
        unused: lines about images that a layout does not use.
    """

    files: list[Path] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    others: int = 0
    unused: list[str] = field(default_factory=list)

    def leave_out(self, used: set[Path], why: str) -> None:
        """Count the images that are not used; they are no fault, so they are not listed."""
        unused = sum(path not in used for path in self.files)
        if unused:
            self.unused.append(f"not used: {unused} images {why}")

    @property
    def notes(self) -> list[str]:
        """What the user should know besides the skipped files."""
        others = [f"passed over: {self.others} files that are no images"] if self.others else []
        return [*self.unused, *others]


def walk(source: Path, wanted: Callable[[Path], bool]) -> Walk:
    """Go through all folders below `source`.

    Args:
        source: the folder.
        wanted: whether a file is one to read; may open it.

    Raises:
        InputError: `source` is no folder or cannot be read.
    """
    archive = source.name.lower().endswith(ARCHIVES)
    got = "an archive. Extract it first" if archive else "none. Check the path"
    require(source.is_dir(), f"{source}: source must be a folder, got {got}.")
    require(
        os.access(source, os.R_OK | os.X_OK),
        f"{source}: source must be a folder one may read, got a locked one. Check its permissions.",
    )
    walked = Walk()

    def skip(path: str | Path, reason: str) -> None:
        walked.skipped.append({"file": Path(path).relative_to(source).as_posix(), "reason": reason})

    def locked(error: OSError) -> None:
        skip(str(error.filename), f"the folder cannot be read ({error.strerror})")

    for folder, folders, files in os.walk(source, onerror=locked):
        for name in list(folders):
            reason = _why_not_entered(Path(folder, name), source)
            if reason:
                folders.remove(name)
                skip(Path(folder, name), reason)
        for name in files:
            path = Path(folder, name)
            take, reason = _judge(path, source, wanted)
            if take:
                walked.files.append(path)
            elif reason:
                skip(path, reason)
            else:
                walked.others += 1
    walked.files.sort()
    walked.skipped.sort(key=lambda line: line["file"])
    return walked


def walk_images(source: Path) -> Walk:
    """Go through all folders below a source of images.

    Args:
        source: the folder.

    Raises:
        InputError: as `walk`, or there is no image.
    """
    walked = walk(source, is_image)
    archives = any(line["reason"] == ARCHIVE for line in walked.skipped)
    require(
        bool(walked.files),
        f"{source}: source must hold PNG, JPEG, TIFF, DICOM or NIfTI images, got none. "
        + ("Extract the archive in it first." if archives else "Check the folder."),
    )
    return walked


def header_facts(path: Path) -> dict[str, Any]:
    """Facts of a DICOM header (see `common.data.dicom.dicom_facts`); empty for another file."""
    if not is_dicom(path):
        return {}
    from common.data.dicom import dicom_facts  # pydicom and SimpleITK, for those who need them

    return dicom_facts(path)


def _why_not_entered(folder: Path, source: Path) -> str:
    if folder.is_symlink():
        if leads_below(folder, source):
            return "a folder that is a link; its images are read where they lie"
        return "a folder that is a link and leads out of the source; prepare that folder itself"
    if folder.name.startswith("."):
        return "a hidden folder is not looked into"
    return ""


def _judge(path: Path, source: Path, wanted: Callable[[Path], bool]) -> tuple[bool, str]:
    """Whether a file is read, and if not why; no reason for what is no image."""
    if path.name.startswith(".") or path.name.lower() == "dicomdir":
        return False, ""
    try:
        return _judge_visible(path, source, wanted)
    except OSError as error:
        return False, f"unreadable ({error.strerror})"


def _judge_visible(path: Path, source: Path, wanted: Callable[[Path], bool]) -> tuple[bool, str]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        if not leads_below(path, source):
            return False, "a link that leads out of the source folder"
        if not path.exists():
            return False, "a link that leads nowhere"
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        return False, "neither a file nor a folder"
    if not os.access(path, os.R_OK):
        return False, "unreadable (Permission denied)"
    if wanted(path):
        return True, ""
    return False, ARCHIVE if path.name.lower().endswith(ARCHIVES) else why_no_image(path)
