"""What is installed: its licences fit Apache-2.0, and every bound is one that was tested."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import common
from tests.commands import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPENDENCIES = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {package.lower(): version for package, version in pins}


def licence(package: str) -> str:
    """What the package's own metadata calls its licence."""
    about = metadata(package)
    words = [about.get("License-Expression"), *(about.get("License") or "").splitlines()[:1]]
    return " ".join(filter(None, [*words, *(about.get_all("Classifier") or [])]))


@pytest.mark.parametrize("package", sorted(pinned("requirements.lock")))
def test_no_installed_package_is_under_the_gpl(package: str) -> None:
    try:
        words = licence(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed here")
    assert not re.search(r"\bA?L?GPL|General Public License", words), words


def test_the_lock_holds_every_dependency_within_its_bound() -> None:
    lock = pinned("requirements.lock")
    outside = [d.name for d in DEPENDENCIES if lock.get(d.name.lower()) not in d.specifier]
    assert outside == []


def test_the_lowest_versions_tested_are_the_bounds() -> None:
    lowest = pinned("requirements-lowest.txt")
    bounds = {d.name.lower(): str(d.specifier).removeprefix(">=") for d in DEPENDENCIES}
    assert {name: Version(lowest[name]) for name in bounds} == {
        name: Version(bound) for name, bound in bounds.items()
    }


def test_the_build_backend_reads_a_licence_expression() -> None:
    assert PROJECT["build-system"]["requires"] == ["setuptools>=77"]  # PEP 639
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_the_public_workflow_runs_every_python_both_ends_and_the_checks_of_dependencies() -> None:
    needed = {"3.11", "3.12", "3.13", "requirements.lock", "requirements-lowest.txt"}
    assert [
        words for words in needed | {"pip-licenses", "pip-audit"} if words not in WORKFLOW
    ] == []


def test_the_wheel_holds_the_code_and_no_bundle_with_its_weights() -> None:
    built = PROJECT["tool"]["setuptools"]
    assert built["packages"]["find"]["include"] == ["common*", "data_prep*"]
    assert not any(
        "models" in pattern for kept in built["package-data"].values() for pattern in kept
    )


def test_the_version_is_the_same_wherever_it_stands() -> None:
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), flags=re.M)
    assert cited is not None
    assert common.__version__ == PROJECT["project"]["version"] == cited[1]


def test_every_tool_of_the_hooks_comes_from_this_environment() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
    assert all(f".venv/bin/{tool}" in hooks for tool in ("ruff check", "ruff format", "mypy"))
