"""The page on which images are labelled, in a browser."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.label.conftest import Server, free_port
from tests.models import FILMS

pytestmark = pytest.mark.slow
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's name of a reference


class Browser:
    """Headless Chromium through its driver (W3C WebDriver, plain HTTP)."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        flags = ["--headless=new", "--no-sandbox", "--window-size=1360,860", "--disable-gpu"]
        chosen = {"alwaysMatch": {"goog:chromeOptions": {"args": flags}}}
        self.url += (
            f"/session/{self.call('POST', '/session', {'capabilities': chosen})['sessionId']}"
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, sent, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)["value"]

    def run(self, script: str) -> Any:
        return self.call("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def text(self, id: str) -> str:
        return str(self.run(f"document.getElementById('{id}').textContent"))

    def click(self, css: str) -> None:
        found = self.call("POST", "/element", {"using": "css selector", "value": css})
        self.call("POST", f"/element/{found[ELEMENT]}/click", {})

    def press(self, key: str) -> None:
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": keys}]})

    def until(self, script: str, seconds: int = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(script):
                return
            time.sleep(0.1)
        raise AssertionError(f"never: {script}; the page says {self.text('message')!r}")

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    if driver is None or not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("no Chromium and its driver here: apt-get install chromium chromium-driver")
    port = free_port()
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                one = Browser(port)
                break
            except OSError:
                time.sleep(0.2)
        yield one
        one.call("DELETE", "")
    finally:
        process.terminate()
        process.wait(20)


READY = "!busy && now && now.image && !document.getElementById('image').hidden"


def test_ten_images_are_labelled_by_click_and_by_key(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    server.embed()
    browser.call("POST", "/url", {"url": f"{server.url}/review"})
    browser.until(READY)
    first, labelled = browser.run("now.image"), int(browser.run("now.labelled"))
    assert browser.run("document.getElementById('image').naturalWidth") >= 32
    assert len(browser.text("why")) > 20
    assert browser.run("document.querySelectorAll('#choices button').length") == 2
    for number in range(10):
        image = browser.run("now.image")
        if number % 2:
            browser.press("2")
        else:
            browser.click("#choices button")
        browser.until(f"{READY} && now.image !== {json.dumps(image)}")
    assert browser.run("now.labelled") == labelled + 10
    assert f"{labelled + 10} of" in browser.text("count")
    told = json.loads((server.studies / "labels" / "final" / f"{first}.json").read_text())
    assert told == {"label": "clear", "bundle": FILMS}
    browser.picture(tmp_path / "review.png")


def test_skip_back_and_the_map_work_by_key(server: Server, browser: Browser) -> None:
    browser.call("POST", "/url", {"url": f"{server.url}/review"})
    browser.until(READY)
    first = browser.run("now.image")
    browser.press("\ue014")  # →
    browser.until(f"{READY} && now.image !== {json.dumps(first)}")
    browser.press("\ue012")  # ←
    browser.until(f"{READY} && now.image === {json.dumps(first)}")
    browser.press("m")
    browser.until("document.getElementById('image').src.endsWith('map=true') && !busy")
    assert browser.text("message") == ""
