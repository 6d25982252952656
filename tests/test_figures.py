"""Every figure of ours on a page stands in the results file that the page names."""

from pathlib import Path

import pytest

from tests.commands import BUNDLES, ROOT
from tests.figures import figures, of_page, without_source

PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "benchmarks").glob("*.md")),
    ROOT / "docs" / "scale.md",
    *(bundle / "docs" / "README.md" for bundle in BUNDLES),  # their results
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_figure_of_a_page_stands_in_the_file_it_names(page: Path) -> None:
    assert without_source(of_page(page)) == []


WRONG = {  # a page, and what it must not pass
    "no comment": "0.5 years",
    "another figure": "<!-- figures: strategies_ixi -->\n| m | AUC |\n| random | 0.123 (0.075) |",
    "figures of two records in a row": (
        "<!-- figures: strategies_ixi -->\n| strategy | AUC |\n|---|---|\n| random | 0.556, 0.957 |"
    ),
    "a wrong ratio": "<!-- figures: losses -->\nis 4.9 times as fast as 12.3 ms",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_figure_that_the_file_does_not_hold_is_found(text: str) -> None:
    assert without_source(text) != []


def test_what_is_no_figure_of_ours_needs_no_source() -> None:
    text = "torch 2.13.0, `0.5`, 2026-11-21, section 3.1, paper .955, a 95 % interval, 3 seeds"
    assert figures(text) == []
    assert figures("1,024 MB, 22 % and .5; 3 to 4 times") == ["1,024 MB", "22", ".5", "3", "4"]
