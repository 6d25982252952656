"""What every test shares: one thread, where the real images are, the count of bad inputs."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images, which the repository does not hold."""
    folder = Path(os.environ.get("CONTRASTIVE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}; set CONTRASTIVE_TEST_DATA to their folder")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write the area of each bad input where its report can carry it, also between processes."""
    for item in items:
        for mark in item.iter_markers("bad_input"):
            item.user_properties.append(("bad_input", mark.args[0]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many bad inputs were tried and held, by area."""
    tried: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            if outcome == "passed" and report.when != "call":
                continue
            for key, area in getattr(report, "user_properties", ()):  # not of collection
                tried[area] += key == "bad_input"
                held[area] += key == "bad_input" and outcome == "passed"
    if not tried:
        return
    terminalreporter.section("bad inputs: tried / held")
    for area in sorted(tried):
        terminalreporter.write_line(f"{area:<12} {tried[area]:>4} / {held[area]}")
    terminalreporter.write_line(f"{'all':<12} {tried.total():>4} / {held.total()}")
