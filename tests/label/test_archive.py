"""Series of a DICOMweb archive, from a small one on this machine."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydicom import dcmread

from common.checks import InputError
from common.label.server import archive
from common.label.server.archive import fetch
from tests.synthetic import ramp, write_dicom

pytest.importorskip("requests", reason="comes with requirements-label.lock")
BOUNDARY = "b0und"
GOOD, PAIR, GONE, CUT, SHORT, OTHER, MOVED, EMPTY = (f"1.2.{n}" for n in range(1, 9))


def about(series: str) -> dict[str, Any]:
    values = {"0020000D": "1.1", "0020000E": series}
    return {tag: {"vr": "UI", "Value": [value]} for tag, value in values.items() if value}


class Archive(BaseHTTPRequestHandler):
    """Series of one image and of two; the others are damaged in ways of their own."""

    files: dict[str, list[bytes]]
    knows_offset: bool
    asked: list[str]

    def do_GET(self) -> None:
        place, _, query = self.path.partition("?")
        self.asked.append(place)
        series = place.rsplit("/", 1)[-1]
        kind, body = "application/dicom+json", b""
        if series == "series":
            begin = int(dict(parse_qsl(query)).get("offset", 0)) if self.knows_offset else 0
            body = json.dumps(
                [about(uid) for uid in (*self.files, GONE, MOVED, "")][begin:]
            ).encode()
        elif series in self.files:
            kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
            head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            body = b"".join(head + one + b"\r\n" for one in self.files[series])
            body += f"--{BOUNDARY}--\r\n".encode()
            body = body[:-40] if series == CUT else body
        self.send_response(302 if series == MOVED else 200 if body else 404)
        self.send_header("Location", "http://127.0.0.1:9/metadata")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    def image(series: str, name: str) -> bytes:
        return write_dicom(tmp_path / name, ramp(8, 9), SeriesInstanceUID=series).read_bytes()

    Archive.files = {GOOD: [image(GOOD, "a")], PAIR: [image(PAIR, n) for n in "bc"]}
    Archive.files |= {CUT: [image(CUT, "d")], SHORT: [image(SHORT, "e"), image(SHORT, "f")[:-50]]}
    Archive.files |= {OTHER: [image(OTHER, "g"), image(GOOD, "h")], EMPTY: []}
    Archive.knows_offset, Archive.asked = True, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.bad_input("label")
def test_new_series_become_folders_and_what_fails_is_counted_and_not_kept(
    address: str, tmp_path: Path
) -> None:
    said: list[str] = []
    studies = tmp_path / "studies"
    assert fetch(address, {"Modality": "DX"}, studies, said.append) == 2
    assert fetch(address, {"Modality": "DX"}, studies, said.append) == 0
    files = sorted(one for one in studies.rglob("*") if one.is_file())
    assert sorted(file.name for file in files) == ["1.dcm", "1.dcm", "2.dcm"]
    assert {dcmread(file).SeriesInstanceUID for file in files} == {GOOD, PAIR}
    assert not [file for file in files if "1.2" in str(file.relative_to(studies))]
    reasons = (
        "1 not fetched (an answer that ends too early), 1 not fetched (an image of another series, "
        "or none), 1 not fetched (an image that cannot be read), 1 not fetched (no images), "
        "1 not fetched (status 302), 1 not fetched (status 404), 1 without a UID"
    )
    start = "dicomweb: 8 series in the archive"
    assert said == [f"{start}, 2 new, {reasons}", f"{start}, 0 new, {reasons}"]
    assert not [path for path in studies.rglob(".*")]


def test_an_archive_that_knows_no_offset_is_asked_twice(address: str, tmp_path: Path) -> None:
    Archive.knows_offset = False
    assert fetch(address, {}, tmp_path / "studies", lambda _: None) == 2
    assert Archive.asked.count("/series") == 2


@pytest.mark.bad_input("label")
def test_a_series_larger_than_the_limit_is_not_kept(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LARGEST", 100)
    monkeypatch.setattr(archive, "CHUNK", 60)
    said: list[str] = []
    assert fetch(address, {}, tmp_path / "studies", said.append) == 0
    assert "5 not fetched (more than 0 MiB)" in said[0]


@pytest.mark.bad_input("label")
@pytest.mark.parametrize("place", ["http://127.0.0.1:9/dicom-web", "ftp://a", "pacs"])
def test_an_archive_that_does_not_answer_is_told_in_one_line(place: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must answer a search for series") as told:
        fetch(place, {}, tmp_path)
    assert "\n" not in str(told.value)
