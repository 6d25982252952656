"""What the brain-age benchmarks share: kept runs, paired bootstrap over subjects, markdown."""

import json
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

DRAWS = 2000
Array = np.ndarray


def kept(path: Path, compute: Callable[[], Any]) -> Any:
    """Return what an earlier run wrote to `path`, or compute and write it."""
    if not path.is_file():
        started = time.process_time()
        value = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
        print(f"{path.stem}: {time.process_time() - started:.0f} s", flush=True)
    return json.loads(path.read_text())


def paired_interval(
    group: Array, statistic: Callable[[Array], Sequence[float]], draws: int = DRAWS
) -> list[list[float]]:
    """95 % percentile intervals of `statistic(rows)`, subjects drawn with replacement.

    The predictions stay as they are: the interval says how much a figure depends on who was tested,
    and a difference computed inside `statistic` is paired.
    """
    members = [np.flatnonzero(group == name) for name in np.unique(group)]
    generator = np.random.default_rng(0)
    values = []
    for _ in range(draws):
        chosen = generator.integers(len(members), size=len(members))
        values.append(statistic(np.concatenate([members[k] for k in chosen])))
    return np.quantile(np.array(values), [0.025, 0.975], axis=0).T.tolist()


def mean_and_spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean (standard deviation over seeds), the latter only where there are several."""
    text = f"{np.mean(values):.{digits}f}"
    return f"{text} ({np.std(values, ddof=1):.{digits}f})" if len(values) > 1 else text


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance() -> dict[str, str]:
    """Commit, versions and processor of a run."""
    folder = Path(__file__).resolve().parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True
    )
    return {
        "commit": commit.stdout.strip(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
    }


def publish(result: Any, text: str, out: Path | None, page: Path | None) -> None:
    """Print a page; write the figures as JSON and the page where a file is named."""
    print(text)
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n")
    if page:
        page.write_text(text)
