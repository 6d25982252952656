"""The folder of the images, as MONAI Label's datastore."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any

from monailabel.datastore.local import LocalDatastore

from common.checks import InputError, require
from common.data.dicom_mark import is_dicom
from common.data.image import is_image, is_picture
from common.data.manifest import MANIFEST, PARTS
from common.files import is_relative, leads_below, read_json, whole
from common.label.labels import Sample, parse_label, read_label, suffix_of
from common.label.pictures import picture
from common.label.server.settings import OURS

__all__ = ["FINAL", "Studies"]

FINAL = "final"
TAGS = (FINAL, "original")
LONGEST = 200  # bytes of a name: a disk takes 255, with the ending
RECORD = "datastore_v2.json"
GONE = "/dev/null/gone"  # a path that cannot be


class Studies(LocalDatastore):
    """A folder of images with its sub-folders: PNG, JPEG, TIFF, DICOM, NIfTI.

    An image is called by its path in the folder, without the ending; the DICOM files of one series
    in a folder are one image, called by that folder. Nothing is read or written outside the folder.

    Args:
        folder: of the images; labels go to ``labels/final`` in it.

    Raises:
        InputError: MONAI Label's record of it, or a manifest in it, is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._guard = RLock()
        try:
            super().__init__(str(folder), extensions=("*",), auto_reload=False)
        except (ValueError, OSError) as error:
            raise InputError(
                f"{folder / RECORD}: must be what MONAI Label noted of the studies, in a folder "
                f"that one may write to, got an error ({type(error).__name__}). Remove the file: "
                "labels stay in labels/final."
            ) from None
        self._patients = self._of_manifest()

    @property
    def folder(self) -> Path:
        """The folder of the images."""
        return Path(self._datastore_path)

    def samples(self, below: str = "") -> list[Sample]:
        """Return the images, with their labels.

        Args:
            below: a sub-folder; "" for all.
        """
        found = []
        for name in self.list_images():
            if not below or PurePosixPath(name).is_relative_to(below):
                path = Path(self.get_image_uri(name) or GONE)
                if path.exists():
                    patient = self._patients.get(name, "")
                    found.append(Sample(name, path, self.label_of(name), patient))
        return found

    def _of_manifest(self) -> dict[str, str]:
        """Whose the images are, by name, where the studies are a folder that data_prep wrote."""
        path = self.folder / MANIFEST
        listed = read_json(path, "Repair or remove it.") if path.is_file() else {}
        entries = [e for part in PARTS for e in listed.get(part) or () if isinstance(e, dict)]
        return {
            self._to_id(e["image"])[0]: str(e.get("patient", ""))
            for e in entries
            if isinstance(e.get("image"), str)
        }

    def sample(self, name: str) -> Sample:
        """Return one image.

        Raises:
            InputError: there is none of this name.
        """
        require(name in self._datastore.objects, "image: must be one of the studies, got another.")
        path = Path(self.get_image_uri(name) or GONE)
        require(
            path.exists(),
            "image: must lie below the folder of the studies, got one that is gone or leads out.",
        )
        return Sample(name, path, self.label_of(name), self._patients.get(name, ""))

    def label_of(self, name: str) -> dict[str, Any] | None:
        """Return the final label of an image; None without a readable one."""
        where = self.get_label_uri(name, FINAL)
        try:
            return read_label(Path(where)) if where else None
        except InputError:
            return None

    def faults(self) -> Counter[str]:
        """Return how many label files cannot be read or are of no image, by the reason."""
        folder = Path(self._datastore.label_path(FINAL))
        files = self._list_files(str(folder), ()) if folder.is_dir() else ()
        labelled = [name for name in self.list_images() if self._datastore.label(name, FINAL)]
        known = set(labelled)
        found = Counter("of no image" for file in files if self._to_id(file)[0] not in known)
        for name in labelled:
            if not self.get_label_uri(name, FINAL):
                found["that are links to elsewhere"] += 1
            elif self.label_of(name) is None:
                found["that cannot be read as JSON with a label or an age"] += 1
        return found

    def label(self, name: str, content: Any) -> None:
        """Save the final label of an image.

        Raises:
            InputError: no such image, no label, or it cannot be written.
        """
        self.sample(name)
        told = parse_label(content)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "label.json"
            path.write_text(json.dumps(told), encoding="utf-8")
            self.save_label(name, str(path), FINAL, {})

    def get_image_uri(self, image_id: str) -> str:
        """Return the file of an image; "" where there is none, or a link that leads out."""
        path = str(super().get_image_uri(image_id))
        return path if leads_below(Path(path), self.folder) else ""

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the file of a label; "" where there is none, or a link that leads out."""
        path = str(super().get_label_uri(label_id, label_tag))
        folder = Path(self._datastore.label_path(label_tag))
        return path if path and leads_below(Path(path), folder) else ""

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Take an image in, once it was read.

        Raises:
            InputError: a name that leads out of the folder or is taken, or no readable image.
        """
        source = Path(image_filename)
        suffix = suffix_of(source.name)
        name = checked_name(image_id or source.name[: len(source.name) - len(suffix)])
        target = self.folder / f"{name}{suffix}"
        with told_once("image: must be a name that can be written below the folder of the studies"):
            require(
                leads_below(target.parent, self.folder) and not target.exists(),
                "image: must be a new name below the folder of the studies, got another.",
            )
            require(
                is_image(source),
                "image: must be PNG, JPEG, TIFF, DICOM or NIfTI, got another file.",
            )
            picture(source)
            with self._guard:
                target.parent.mkdir(parents=True, exist_ok=True)
                with whole(target) as partial:
                    shutil.copyfile(source, partial)
                self.refresh()
        return name

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Save a label file, once it was read; see MONAI Label.

        Raises:
            InputError: no such image, no JSON label, another tag than final and original, or it
                cannot be written.
        """
        require(label_tag in TAGS, f"tag: must be {' or '.join(TAGS)}, got {label_tag[:40]!r}.")
        self.sample(image_id)
        read_label(Path(label_filename))
        folder = Path(self._datastore.label_path(label_tag))
        place = folder / image_id
        with told_once("label: must be written to the folder labels of the studies"):
            place.parent.mkdir(parents=True, exist_ok=True)
            require(
                leads_below(folder / f"{image_id}{suffix_of(label_filename)}", folder),
                "label: must lie below the folder labels, got a link that leads out.",
            )
            with self._guard:
                return str(super().save_label(image_id, label_filename, label_tag, label_info))

    def _list_files(self, path: str, patterns: Any) -> dict[str, str]:
        """The images below the folder; of its labels, all files."""
        root = Path(path)
        inside = root.resolve() != self.folder.resolve()
        found: dict[str, str] = {}
        for place, folders, names in os.walk(root):
            folder = Path(place)
            if not inside:
                hidden = {name for name in folders if name.startswith(".")}
                top = set(OURS) if folder == root else set()
                folders[:] = sorted(set(folders) - hidden - top)
            files = [folder / name for name in sorted(names) if not name.startswith(".")]
            if not inside:
                files = [file for file in files if is_image(file)]
                if folder != root and _is_series(files):
                    files, folders[:] = [folder], []
            found |= {file.relative_to(root).as_posix(): "" for file in files}
        return {name: name for name in found}

    def _to_id(self, file: str) -> tuple[str, str]:
        """Name and ending: ``a/b.nii.gz`` is ``a/b`` and ``.nii.gz``; that of a folder has none."""
        place = self.folder / file
        suffix = "" if place.is_dir() else suffix_of(file)
        return file[: len(file) - len(suffix)], suffix


@contextmanager
def told_once(rule: str) -> Iterator[None]:
    """Tell what the disk refuses without the name of a file, which may be a patient's.

    Raises:
        InputError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{rule}, got an error ({error.strerror}).") from None


def checked_name(name: str) -> str:
    """Return the name of an image, if it leads nowhere else.

    Raises:
        InputError: an absolute path, ``..``, a hidden part, one too long for a file's name, or
            characters that cannot be seen.
    """
    parts = name.split("/")
    fine = name.isprintable() and is_relative(name) and "\\" not in name
    require(
        fine and all(part and not part.startswith(".") for part in parts) and parts[0] not in OURS,
        "image: must be a name below the folder of the studies, without .. or a leading dot.",
    )
    require(
        len(name) <= LONGEST and all(len(part.encode()) <= LONGEST for part in parts),
        f"image: must be a name of at most {LONGEST} bytes, got a longer one.",
    )
    return name


def _is_series(files: list[Path]) -> bool:
    """Whether the files of a folder are the slices of one series."""
    if len(files) < 2 or any(is_picture(file) or not is_dicom(file) for file in files):
        return False
    from pydicom import dcmread

    wanted = ["SeriesInstanceUID"]
    try:
        headers = (dcmread(file, stop_before_pixels=True, specific_tags=wanted) for file in files)
        return len({str(header.get("SeriesInstanceUID", id(header))) for header in headers}) == 1
    except Exception:  # a damaged header: each file by itself, and each tells its reason
        return False
