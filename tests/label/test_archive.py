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
from common.label.server.archive import fetch
from tests.synthetic import ramp, write_dicom

pytest.importorskip("dicomweb_client", reason="comes with requirements-label.lock")
BOUNDARY = "b0und"


def about(series: str) -> dict[str, Any]:
    values = {"0020000D": "1.1", "0020000E": series}
    return {tag: {"vr": "UI", "Value": [value]} for tag, value in values.items()}


class Archive(BaseHTTPRequestHandler):
    """Two series, of one image and of two; a third cannot be read."""

    files: dict[str, list[bytes]]

    def do_GET(self) -> None:
        place, _, asked = self.path.partition("?")
        series = place.rsplit("/", 1)[-1]
        kind, body = "application/dicom+json", b""
        if series == "series":
            begin = int(dict(parse_qsl(asked)).get("offset", 0))
            body = json.dumps([about(uid) for uid in (*self.files, "1.2.9")][begin:]).encode()
        elif series in self.files:
            kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
            head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            body = b"".join(head + one + b"\r\n" for one in self.files[series])
            body += f"--{BOUNDARY}--\r\n".encode()
        self.send_response(200 if body else 404)
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

    Archive.files = {"1.2.1": [image("1.2.1", "a")], "1.2.2": [image("1.2.2", n) for n in "bc"]}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_new_series_become_folders_and_what_fails_is_counted(address: str, tmp_path: Path) -> None:
    said: list[str] = []
    studies = tmp_path / "studies"
    assert fetch(address, {"Modality": "DX"}, studies, said.append) == 2
    assert fetch(address, {"Modality": "DX"}, studies, said.append) == 0
    files = sorted(studies.rglob("*.dcm"))
    assert sorted(file.name for file in files) == ["1.dcm", "1.dcm", "2.dcm"]
    assert {dcmread(file).SeriesInstanceUID for file in files} == {"1.2.1", "1.2.2"}
    assert not [file for file in files if "1.2" in str(file.relative_to(studies))]
    assert said == [
        "dicomweb: 3 series in the archive, 2 new, 1 could not be fetched",
        "dicomweb: 3 series in the archive, 0 new, 1 could not be fetched",
    ]


@pytest.mark.bad_input("label")
@pytest.mark.parametrize("place", ["http://127.0.0.1:9/dicom-web", "ftp://a", "pacs"])
def test_an_archive_that_does_not_answer_is_told_in_one_line(place: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must answer a search for series") as told:
        fetch(place, {}, tmp_path)
    assert "\n" not in str(told.value)
