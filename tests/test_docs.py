"""The site of `make docs`, without building it: its pages, pictures, and what it installs."""

import importlib.util
import io
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from common.transforms.declaration import DECLARED
from tests.commands import BUNDLES, ROOT
from tests.test_packaging import pinned

NAV = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]


def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_navigation_lists_every_page_once() -> None:
    rooms = ["kernels", *(path.parent.name for path in ROOT.glob("common/*/__init__.py"))]
    pages = [
        *("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bundles/README.md"),
        *(name(bundle / "docs" / "README.md") for bundle in BUNDLES),
        *map(name, ROOT.glob("benchmarks/*.md")),
        *(path.name for path in ROOT.glob("docs/*.md")),
        *(f"api/{room}.md" for room in (*rooms, "data_prep")),
    ]
    assert sorted(re.findall(r"[\w./-]+\.md$", NAV, flags=re.M)) == sorted(pages)


@pytest.mark.parametrize("transformation", sorted(DECLARED))
def test_every_transformation_is_drawn_from_weak_to_strong(transformation: str) -> None:
    drawing = pictures()
    image = Image.open(io.BytesIO(drawing.strip(transformation).png))
    shown = len(drawing.STEPS) + 1
    assert image.size == (shown * drawing.SIZE + (shown - 1) * drawing.GAP, drawing.SIZE)


def test_what_builds_the_site_is_installed_for_the_site_only() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[>=]", line)[0] for line in project["optional-dependencies"]["docs"]}
    docs, default = pinned("requirements-docs.lock"), pinned("requirements.lock")
    assert wanted <= docs.keys()
    assert not docs.keys() & default.keys()
    assert not any(re.match("mkdocs", line) for line in project["dependencies"])
