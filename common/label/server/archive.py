"""A DICOMweb archive: its series become folders of the studies, and labels stay in the studies.

MONAI Label's own datastore keeps the labels of an archive as DICOM SEG in it, which a label of a
whole image is not; so series are fetched (QIDO-RS, WADO-RS), and nothing is ever sent. A log-in is
the one of ``~/.netrc``.

Nothing that an archive answers is trusted: it is asked for pages only as long as they bring series
that are new, waited for no longer than `PATIENCE`, never followed elsewhere (a redirection could
name a machine of this network), and written to the disk as it comes, at most `LARGEST` a series. A
series is kept once all of it is there, can be read and is the one that was asked for.
"""

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from common.checks import InputError, require
from common.data import read_image

__all__ = ["FOLDER", "fetch"]

FOLDER = "dicomweb"  # of the studies
STUDY, SERIES = "0020000D", "0020000E"  # Study and Series Instance UID
UID = re.compile(r"[0-9.]{1,64}")
PATIENCE = (10, 60)  # seconds until the archive takes a connection, and between two of its packets
LONGEST = 3600  # seconds of an answer
MOST = 100_000  # series
LARGEST = 4 * 2**30  # bytes of a series
IMAGES = 20_000  # of a series
LIST = 64 * 2**20  # bytes of a page of the search
PAGE = 500  # series asked for at once
CHUNK = 2**20
DICOM = 'multipart/related; type="application/dicom"'


def fetch(
    address: str, query: Mapping[str, str], studies: Path, say: Callable[[str], None] = print
) -> int:
    """Fetch the series that are not there yet; return how many were.

    Each becomes a folder ``dicomweb/<hash of its UID>`` of files ``1.dcm``, ``2.dcm``. A series
    that cannot be fetched is counted with the reason, left out, and tried again the next time.

    Args:
        address: of the archive, as ``https://pacs.example/dicom-web``.
        query: attributes that the series must have, as ``{"Modality": "DX"}``.
        studies: the folder of the studies.
        say: told how many came.

    Raises:
        InputError: the archive does not answer.
    """
    from requests import Session

    failed: Counter[str] = Counter()
    made = 0
    with Session() as session:
        known, nameless = _search(session, address, query)
        for series, study in known.items():
            target = studies / FOLDER / sha256(series.encode()).hexdigest()[:16]
            if target.is_dir():
                continue
            try:
                place = f"{address.rstrip('/')}/studies/{study}/series/{series}"
                _keep(session, place, series, target)
                made += 1
            except Exception as error:  # one series does not stop the others
                failed[f"not fetched ({_told(error)})"] += 1
    if nameless:
        failed["without a UID"] = nameless
    reasons = "".join(f", {count} {reason}" for reason, count in sorted(failed.items()))
    say(f"dicomweb: {len(known)} series in the archive, {made} new{reasons}")
    return made


def _search(session: Any, address: str, query: Mapping[str, str]) -> tuple[dict[str, str], int]:
    """The study of each series, by UID, and how many series have none.

    Raises:
        InputError: the archive does not answer.
    """
    known: dict[str, str] = {}
    nameless = 0
    try:
        for found in _pages(session, address, query):
            study, series = (_first(found, tag) for tag in (STUDY, SERIES))
            known |= {series: study} if study and series else {}
            nameless += not (study and series)
    except Exception as error:  # of requests, of its reader of JSON, or what is made up
        raise InputError(
            f"dicomweb: the archive must answer a search for series, got {_told(error)}. Is "
            "--dicomweb its address, --query right, and its log-in in ~/.netrc?"
        ) from None
    return known, nameless


def _told(error: Exception) -> str:
    """What went wrong, without an address or a UID."""
    return str(error) if isinstance(error, InputError) else type(error).__name__


def _answer(
    session: Any, place: str, kind: str, query: Mapping[str, Any], largest: int
) -> tuple[str, Iterator[bytes]]:
    """Ask the archive; return the type of what it answers, and that, piece by piece.

    Raises:
        InputError: another status than 200 or 204, more than `largest`, or it takes too long.
    """
    reply = session.get(
        place,
        params=query,
        headers={"Accept": kind},
        timeout=PATIENCE,
        stream=True,
        allow_redirects=False,
    )

    def pieces() -> Iterator[bytes]:
        got, end = 0, time.monotonic() + LONGEST
        with reply:
            for chunk in reply.iter_content(CHUNK):
                got += len(chunk)
                require(got <= largest, f"more than {largest // 2**20} MiB")
                require(time.monotonic() < end, "no end within an hour")
                yield chunk

    if reply.status_code not in (200, 204):
        reply.close()
        raise InputError(f"status {reply.status_code}")
    return reply.headers.get("Content-Type", ""), pieces()


def _pages(session: Any, address: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """The series of the archive, each once; a page that has no new one is the last.

    An archive need not know ``offset``, and then sends the same again.
    """
    place, seen, offset = f"{address.rstrip('/')}/series", set[str](), 0
    while offset < MOST:
        asked = {**query, "limit": PAGE, "offset": offset}
        _, pieces = _answer(session, place, "application/dicom+json", asked, LIST)
        page = json.loads(b"".join(pieces) or b"[]")
        require(isinstance(page, list), "no list of series")
        new = [one for one in page if repr(one) not in seen]
        seen |= {repr(one) for one in new}
        yield from new
        if not new:
            return
        offset += len(page)


def _keep(session: Any, place: str, series: str, target: Path) -> None:
    """Write the images of a series beside their place, and move them there when all are good.

    Raises:
        InputError: none, too many bytes, one of another series, or one that cannot be read.
    """
    partial = target.with_name(f".{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        kind, pieces = _answer(session, place, DICOM, {}, LARGEST)
        files = list(_parts(kind, pieces, partial))
        require(bool(files), "no images")
        for path in files:
            _check(path, series)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(path: Path, series: str) -> None:
    from pydicom import dcmread

    uid = ""
    with suppress(Exception):  # no DICOM, or a damaged header
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        uid = str(header.get("SeriesInstanceUID", ""))
    require(uid == series, "an image of another series, or none")
    try:
        read_image(path)
    except InputError:
        raise InputError("an image that cannot be read") from None


def _parts(kind: str, pieces: Iterator[bytes], folder: Path) -> Iterator[Path]:
    """Write the parts of an answer to files by number, a piece at a time.

    Raises:
        InputError: it ends within a part, or is of another type.
    """
    if kind.startswith("application/dicom"):  # of archives that send one image as it is
        path = folder / "1.dcm"
        with path.open("wb") as file:
            file.writelines(pieces)
        yield path
        return
    named = re.search(r'boundary="?([^";]+)', kind)
    require(named is not None and kind.startswith("multipart/"), "an answer of another type")
    marker = b"\r\n--" + (named[1].encode() if named else b"")
    arriving = _Arriving(pieces)
    arriving.until(marker)
    number = 0
    while not arriving.ends():
        arriving.until(b"\r\n\r\n")
        number += 1
        require(number <= IMAGES, f"more than {IMAGES} images")
        path = folder / f"{number}.dcm"
        with path.open("wb") as file:
            arriving.until(marker, file)
        yield path


class _Arriving:
    """An answer of several parts, of which no more is held than a piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.held = bytearray(b"\r\n")  # so that the first marker is one too

    def until(self, mark: bytes, file: BinaryIO | None = None) -> None:
        """Take what comes up to a mark, and the mark; write the first to a file.

        Raises:
            InputError: it ends before.
        """
        while (found := self.held.find(mark)) < 0:
            spare = max(0, len(self.held) - len(mark) + 1)
            if file is not None:
                file.write(self.held[:spare])
            del self.held[:spare]
            piece = next(self.pieces, None)
            require(piece is not None, "an answer that ends too early")
            self.held.extend(piece or b"")
        if file is not None:
            file.write(self.held[:found])
        del self.held[: found + len(mark)]

    def ends(self) -> bool:
        """Whether the mark that was taken is the last."""
        while len(self.held) < 2 and (piece := next(self.pieces, None)) is not None:
            self.held.extend(piece)
        return self.held[:2] == b"--"


def _first(series: Mapping[str, Any], tag: str) -> str:
    """A UID among what the archive says of a series; "" where there is none."""
    try:
        uid = str(series[tag]["Value"][0])
    except (LookupError, TypeError):
        return ""
    return uid if UID.fullmatch(uid) else ""
