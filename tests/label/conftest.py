"""Studies of three bundles, their small models, and the server over them."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.label import Model
from tests.commands import ROOT
from tests.models import BRAINS, EYES, FILMS, deployed
from tests.synthetic import ramp, write_dicom, write_nifti, write_picture

CLASSES = ("clear", "lesion")
BOUNDARY = "----------7d1a"


def film(lesion: bool, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A noisy ramp, with a bright square where it is a lesion."""
    image = np.random.default_rng(number).integers(0, 90, (40, 40)).astype(np.uint8)
    if lesion:
        image[8:22, 8:22] = 230
    return image


def write_studies(folder: Path) -> Path:
    """Films of twelve patients, every second with a lesion, brains and fundus pictures."""
    for number in range(24):
        patient = number // 2
        path = folder / "films" / f"p{patient:02d}_{number:02d}.png"
        write_picture(path, film(patient % 2 == 1, number))
    write_dicom(folder / "films" / "header.dcm", ramp(40, 36), Modality="DX", PatientID="Doe^Jane")
    for number, name in enumerate(("ward/2024/a.dcm", "ward/2024/b", "ward/ct/1", "ward/ct/2")):
        series = f"1.2.{min(number, 2)}"  # two films, and two slices of one series
        write_dicom(folder / "films" / name, ramp(40, 36 + number), SeriesInstanceUID=series)
    (folder / "films" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    for number in range(30):
        rng = np.random.default_rng(number)
        voxels = rng.normal(0.3, 0.05, (16, 16, 16)) + number / 100
        write_nifti(folder / "brains" / f"b{number:02d}.nii.gz", voxels.astype(np.float32))
    for number in range(3):
        colours = np.random.default_rng(number).integers(60, 200, (48, 48, 3))
        write_picture(folder / "eyes" / f"e{number}.png", colours.astype(np.uint8))
    return folder


def models(work: Path) -> dict[str, Model]:
    """Small models of three bundles, deployed as a training would."""
    made = {name: Model(name, work) for name in (FILMS, BRAINS, EYES)}
    for name, model in made.items():
        model.deploy(deployed(work / "made" / name, name))
    return made


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studies(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    return models(tmp_path_factory.mktemp("work"))


@dataclass
class Server:
    """A server that runs."""

    url: str
    studies: Path
    log: Path

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the content; `body` is JSON, or bytes."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, sent, {**kind, **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=900) as reply:
                content, status = reply.read(), reply.status
        except urllib.error.HTTPError as error:
            content, status = error.read(), error.code
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content

    def send(self, method: str, path: str, name: str, content: bytes, field: str = "file") -> Any:
        """Upload a file."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"'
        body = f"{head}\r\n\r\n".encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.ask(method, path, body, **kind)

    def until(self, path: str, wanted: Callable[[Any], bool], seconds: int = 900) -> Any:
        """Ask until the answer is as wanted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            told = self.ask("GET", path)[1]
            if wanted(told):
                return told
            time.sleep(0.5)
        raise AssertionError(f"{path}: {told}")

    def embed(self) -> None:
        """Wait until every image is embedded."""
        self.until("/scoring/", lambda told: told.get("status") in ("DONE", "ERROR"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server over films, brains and eyes, as the command starts it."""
    if find_spec("monailabel") is None:
        pytest.skip(
            "MONAI Label is not installed here: make test-label makes an environment for it"
        )
    folder = write_studies(tmp_path_factory.mktemp("served"))
    models(folder / ".label")
    port, log = free_port(), folder.with_suffix(".log")
    bundles = f"{FILMS}=films,{BRAINS}=brains,{EYES}=eyes"
    words = ["--studies", str(folder), "--bundles", bundles, "--port", str(port)]
    words += ["--classes", f"{FILMS}={','.join(CLASSES)}"]
    with log.open("w") as file:
        command = [sys.executable, "-W", "ignore", "-m", "common.label", *words]
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT)
        one = Server(f"http://127.0.0.1:{port}", folder, log)
        try:
            wait(one, process)
            yield one
        finally:
            process.terminate()
            process.wait(30)


def wait(server: Server, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(1800):
        assert process.poll() is None, server.log.read_text()
        try:
            assert server.ask("GET", "/info/")[0] == 200
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(server.log.read_text())
