"""The pictures of a source: in its folders and in the ZIP archives that lie there."""

import io
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.dicom_mark import is_dicom
from common.data.fundus import read_fundus
from common.data.image import OTHERS
from data_prep.machinery import ARCHIVE, ARCHIVES, attempt, walk

__all__ = ["Eye", "Pictures", "Place"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".ppm")

OTHER = "an image or archive that is not read inside an archive; extract it first"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies.

    Args:
        path: the file, or the archive.
        name: relative to the source, with ``/``; of a member, its name in the archive.
        stamp: changes with the picture.
        member: name inside the archive; None for a file.
    """

    path: Path
    name: str
    stamp: str
    member: str | None = None

    @property
    def whole_name(self) -> str:
        """The name, and for a member that of its archive, which no other picture has."""
        return self.name if self.member is None else f"{self.path.name}: {self.name}"

    def read(self, size: int) -> tuple[npt.NDArray[np.uint8], bool]:
        """Read the photograph, as `common.data.fundus.read_fundus`."""
        if self.member is None:
            return read_fundus(self.path, size)
        try:
            with zipfile.ZipFile(self.path) as archive:
                content = archive.read(self.member)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise InputError(
                f"{self.name}: must be whole in {self.path.name}, got a damaged or locked member "
                f"({type(error).__name__}). Copy the archive again."
            ) from None
        return read_fundus(self.name, size, io.BytesIO(content))


@dataclass(frozen=True)
class Eye:
    """One photograph and what the layout knows of it.

    Args:
        place: where it lies.
        patient: who it is of; never written.
        eye: "L", "R" or None.
        part: of the published split, or None.
        facts: columns of the manifest: ``label``, ``grade``, ...
    """

    place: Place
    patient: str
    eye: str | None = None
    part: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Pictures:
    """All pictures below a folder, and in the ZIP archives directly in it.

    Args:
        source: the folder.

    Attributes:
        places: in the order of their names.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.walked = walk(source, _is_picture)
        packed = self._packed()
        self.places = sorted([*self._files(), *packed], key=lambda place: place.name)
        require(
            bool(self.places),
            f"{source}: source must hold JPEG, PNG, TIFF, BMP or DICOM pictures, got none. Check "
            "the folder.",
        )
        self._by_stem: dict[str, list[Place]] = defaultdict(list)
        for place in self.places:
            self._by_stem[PurePosixPath(place.name).stem.lower()].append(place)

    def named(self, name: str) -> list[Place]:
        """Return the pictures of a name such as ``IDRiD_001`` or ``IM0001.JPG``, sorted.

        The suffix does not matter, nor do capitals.
        """
        stem = name.lower()
        stem = PurePosixPath(stem).stem if stem.endswith(SUFFIXES) else stem
        return self._by_stem.get(stem, [])

    def find(self, name: str) -> Place | None:
        """Return the first picture of a name; None where there is none."""
        places = self.named(name)
        return places[0] if places else None

    def tables(self, pattern: str) -> list[Path]:
        """Return the files below the source whose name, in lower case, fits; sorted."""
        walked = walk(self.source, lambda path: fnmatch(path.name.lower(), pattern))
        return walked.files

    def _files(self) -> list[Place]:
        return [
            Place(path, path.relative_to(self.source).as_posix(), str(path.stat().st_size))
            for path in self.walked.files
        ]

    def _packed(self) -> list[Place]:
        """Members of the ZIP archives directly in the source, no longer among the skipped."""
        places = []
        for line in list(self.walked.skipped):
            path = self.source / line["file"]
            archive = line["reason"] == ARCHIVE and path.suffix.lower() == ".zip"
            if archive and path.parent == self.source:
                try:
                    pictures, others = attempt(_members, path)
                except InputError as error:
                    line["reason"] = str(error)
                    continue
                places += pictures
                if pictures:
                    self.walked.skipped.remove(line)
                self.walked.skipped += [
                    {"file": f"{line['file']}: {name}", "reason": OTHER} for name in others
                ]
        return places


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES or is_dicom(path)


def _members(path: Path) -> tuple[list[Place], list[str]]:
    """The pictures of an archive, and its other images and archives, which are not read in it."""
    with zipfile.ZipFile(path) as archive:
        infos = [
            info
            for info in archive.infolist()
            if not PurePosixPath(info.filename).name.startswith(".")
            and "__macosx" not in info.filename.lower()
        ]
    pictures = [
        Place(path, info.filename, f"{info.file_size} {info.CRC}", info.filename)
        for info in infos
        if info.filename.lower().endswith(SUFFIXES)
    ]
    named = {place.name for place in pictures}
    others = [
        info.filename
        for info in infos
        if info.filename not in named and info.filename.lower().endswith((*OTHERS, *ARCHIVES))
    ]
    return pictures, others
