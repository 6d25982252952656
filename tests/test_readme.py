"""What the pages tell a reader to type: it exists, its options exist, and it runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser
from monai.utils import ensure_tuple

from common.config import check
from data_prep import __main__ as data_prep
from tests.commands import BUNDLES, ROOT, blocks, commands, module_commands, options

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "bundles" / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in (
            *("own_data", "chest_films", "brain_age", "federated", "deploy", "label"),
            *("sweeps", "audit", "cluster"),
        )
    ),
    *(bundle / "docs" / "README.md" for bundle in BUNDLES),
]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=name)


def folder_of(page: Path, words: list[str]) -> Path:
    """Where a bundle's command is typed: the repository, unless its files are the bundle's."""
    from_root = any("bundles/" in word for word in words)
    entered = re.findall(r"^cd (bundles/\w+)$", page.read_text(), flags=re.M)
    if page.parent == ROOT / "docs" and entered and not from_root:
        return ROOT / entered[-1]
    return page.parents[1] if page.parent.name == "docs" and not from_root else ROOT


@every_page
def test_every_module_in_a_command_exists(page: Path) -> None:
    shown = module_commands(page)
    assert commands(page) or page.parent.name == "bundles"
    assert [words[0] for words in shown if find_spec(words[0]) is None] == []


def merged(words: list[str]) -> tuple[dict[str, Any], list[Path]]:
    """The configuration of ``run --config_file ... --key value ...``, and its files."""
    given = options(words)
    files = given.pop("config_file")
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.update(given)
    return dict(parser.get()), [Path(path) for path in ensure_tuple(files)]


@every_page
def test_every_key_and_file_of_a_bundle_command_exists(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")  # of torchrun
    for words in module_commands(page):
        if "monai.bundle" not in words or "NAME" in " ".join(words):
            continue
        run = words[words.index("monai.bundle") + 1 :]
        monkeypatch.chdir(folder_of(page, run))
        check(*merged(run))
        for path in re.findall(r"[\w./]+\.json", " ".join(run)):
            assert Path(path).is_file() or "configs/" not in path, f"{name(page)}: {path}"


@every_page
def test_every_data_prep_command_parses(page: Path) -> None:
    for words in module_commands(page):
        if words[0] == "data_prep" and not words[1].startswith(("<", "SOURCE")):
            options = data_prep._parser(words[1:]).parse_args(words[1:])
            assert options.target is not None


def test_the_readme_prepares_every_source() -> None:
    shown = {w[1] for w in module_commands(ROOT / "README.md") if w[0] == "data_prep"}
    assert shown == {
        name for name in data_prep.SOURCES if data_prep._reads(data_prep.SOURCES[name])
    }


@every_page
def test_every_make_verb_exists(page: Path) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert {"setup", "demo", "test", "bundle-check"} <= verbs
    used = re.findall(r"(?:^|`|\*\*) *make ([a-z-]+)", page.read_text(), flags=re.M)
    assert set(used) <= verbs


@every_page
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


@every_page
def test_every_path_in_a_table_exists(page: Path) -> None:
    cells = re.findall(
        r"`((?:common|data_prep|bundles|tests|benchmarks)/[\w./]+)`", page.read_text()
    )
    assert [cell for cell in cells if not (ROOT / cell).exists()] == []


def test_the_readme_shows_the_demo_with_and_without_make() -> None:
    text = "\n".join(blocks(ROOT / "README.md"))
    assert "make demo" in text
    assert "sh demo.sh" in text
    assert "sh demo.sh" in (ROOT / "Makefile").read_text()


DEMO = json.loads((ROOT / "benchmarks" / "results" / "demo.json").read_text())
TRAINED = [name for name in DEMO["auc"] if name not in ("pixels", "untrained")]


def test_the_readme_shows_what_the_demo_printed() -> None:
    shown = re.findall(r"^(?:.+): AUC ([\d.]+)", (ROOT / "README.md").read_text(), flags=re.M)
    assert len(DEMO["seeds"]) >= 5
    first = [DEMO["auc"][name][0] for name in ("random_supervised", "self_supervised_supervised")]
    first += [DEMO["auc"][name][0] for name in ("pixels", "untrained")]
    assert shown == [f"{value:.3f}" for value in first]


@pytest.mark.slow
def test_the_demo_is_in_its_range_and_replaces_one_that_ran_before(tmp_path: Path) -> None:
    shutil.copy(ROOT / "demo.sh", tmp_path)
    shutil.copytree(ROOT / "bundles", tmp_path / "bundles")
    before = tmp_path / "demo" / "eval" / f"{TRAINED[0]}_seed0"
    before.mkdir(parents=True)
    (before / "checkpoint.pt").write_text("of another version")
    done = run_demo(tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    for path in (tmp_path / "demo" / "eval").glob("*/evaluation.json"):
        result = json.loads(path.read_text())
        lowest, _ = DEMO["lowest_and_highest"][result["strategy"]]
        assert result["auc_mean"] > max(lowest - 0.05, DEMO["lowest_and_highest"]["untrained"][1])
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
    rows = (tmp_path / "demo" / "predictions" / "predictions.csv").read_text().splitlines()
    assert len(rows) == 1 + 60 * 12
    assert done.stdout.splitlines()[-1] == "predictions: demo/predictions/predictions.csv"


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        ["sh", "demo.sh"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_changelog_keeps_its_form() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    heads = [line for line in lines if line.startswith("#")]
    versions = [line for line in heads if line.startswith("## ")]
    assert versions[0] == "## Unreleased"
    assert all(re.fullmatch(r"## \d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", v) for v in versions[1:])
    kinds = {line for line in heads if line.startswith("### ")}
    assert kinds <= {f"### {kind}" for kind in ("Added", "Changed", "Fixed", "Removed", "Security")}
    assert not any("Finding:" in line for line in lines)
