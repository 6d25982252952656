"""What a page shows as printed is what the commands above it print, on real images.

``<!-- runs: films -->`` before a block of commands says that it is tried here, and in which of the
folders of `PLACES`; the block after it is what they print.
"""

import re
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from common.__main__ import main as common
from data_prep.__main__ import main as data_prep
from tests.commands import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"<!-- runs: (\w+) -->\n```bash\n(.*?)```\n\n```\n(.*?)```", flags=re.S)
SHOWN = [(page, *found) for page in PAGES for found in BLOCK.findall(page.read_text())]
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.png"))
NUMBER = r"(?<![\w.])\d+\.\d+"


def films(data: Path, folder: Path) -> None:
    """300 normal films and 300 with pneumonia of Kermany's training part, in two folders."""
    with zipfile.ZipFile(data / "cxr_kermany_224" / "images.zip") as archive:
        names, draw = sorted(archive.namelist()), Random(0)
        for source, target in (("NORMAL", "normal"), ("PNEUMONIA", "pneumonia")):
            (folder / "my_films" / target).mkdir(parents=True)
            for part, count in (("train", 300), ("test", 6)):
                among = [name for name in names if name.startswith(f"{part}/{source}/")]
                for name in draw.sample(among, count):
                    place = folder / "my_films" / target if part == "train" else folder
                    (place / Path(name).name).write_bytes(archive.read(name))


PLACES: dict[str, Callable[[Path, Path], None]] = {"films": films}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "place", "commands", "printed"), SHOWN, ids=[f"{s[0].name}-{s[2]}" for s in SHOWN]
)
def test_the_commands_print_what_the_page_shows(
    page: Path,
    place: str,
    commands: str,
    printed: str,
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    PLACES[place](shared_data, tmp_path)
    monkeypatch.chdir(tmp_path)
    for line in commands.replace("\\\n", " ").splitlines():
        _, _, module, *words = shlex.split(line)
        {"data_prep": data_prep, "common": common}[module](words)
    actual = capsys.readouterr().out.replace(f"{ROOT}/", "")
    assert re.sub(NUMBER, "#", actual) == re.sub(NUMBER, "#", printed)
    figures, shown = (list(map(float, re.findall(NUMBER, text))) for text in (actual, printed))
    assert figures == pytest.approx(shown, rel=0.02, abs=0.01)


def test_every_picture_is_small_and_shown() -> None:
    shown = {path.name for path in PICTURES}
    text = "".join(page.read_text() for page in PAGES)
    assert shown == set(re.findall(r"!\[[^\]]+\]\((?:docs/)?pictures/([\w.]+)\)", text))
    assert shown != set()
    assert all(path.stat().st_size < 150_000 for path in PICTURES)
    for path in PICTURES:
        with Image.open(path) as picture:
            assert picture.width <= 900
