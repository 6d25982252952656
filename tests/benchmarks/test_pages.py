"""Pages of benchmarks show their command and their results file; `make bench-smoke` runs all."""

import importlib
import re
from pathlib import Path

import pytest

from tests.commands import ROOT

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(
    path.stem
    for path in BENCHMARKS.glob("*.py")
    if "__name__ ==" in path.read_text() and path.stem != "smoke"
)
PAGES = sorted(path for path in BENCHMARKS.glob("*.md") if path.stem != "README")
NO_FILE = "none (measured before the script wrote a results file)"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_shows_its_command_and_names_its_results_file_or_says_why_not(
    page: Path,
) -> None:
    text = page.read_text()
    assert set(re.findall(r"\b(\w+)\.py\b", text)) & {*SCRIPTS, "trainable_crop"}
    sources = re.findall(r"<!-- figures[^:]*: (.*?) -->", text, flags=re.S)
    named = [name.split("#")[0] for source in sources for name in re.split(r",\s*", source)]
    assert NO_FILE in sources or any([*(BENCHMARKS / "results").glob(f"{n}.json")] for n in named)


def test_the_smoke_run_has_every_script_or_says_why_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    cases = importlib.import_module("smoke_cases")
    assert {*cases.CASES, *cases.EXPERIMENTS} == {*SCRIPTS}
    assert all(cases.EXPERIMENTS.values())
    assert not {*cases.CASES} & {*cases.EXPERIMENTS}
