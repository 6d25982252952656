"""Every loss, method and bundle leads to its paper: a DOI or an arXiv number to click on."""

import json
import re
import sys
from pathlib import Path

import pytest
from torch import nn

from common import losses, methods
from tests.commands import BUNDLES, ROOT

LINK = r"https://(?:arxiv\.org/abs/\d{4}\.\d{4,5}|doi\.org/10\.\d{4,}/\S+)"
OUR_OWN = ("Method", "MomentumEncoder", "ViewGroup")  # what methods are made of
COMPONENTS = [
    value
    for room in (losses, methods)
    for name, value in vars(room).items()
    if isinstance(value, type) and issubclass(value, nn.Module) and name not in OUR_OWN
]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__qualname__)
def test_the_file_of_a_loss_or_method_links_its_paper(component: type) -> None:
    assert re.search(LINK, sys.modules[component.__module__].__doc__ or "")


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_every_reference_of_a_bundle_and_every_catalogue_links_its_paper(bundle: Path) -> None:
    references = json.loads((bundle / "configs" / "metadata.json").read_text())["references"]
    assert [text for text in references if not re.search(LINK + "$", text)] == []
    page = (bundle / "docs" / "README.md").read_text().split("## Licence and citation")[1]
    assert re.search(LINK, page)
    for catalogue in (ROOT / "README.md", ROOT / "bundles" / "README.md"):
        lines = catalogue.read_text().splitlines()
        (row,) = (r for r in lines if r.startswith("|") and f"{bundle.name}/docs" in r)
        assert re.search(LINK, row)
