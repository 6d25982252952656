"""``python -m common.report RUN_DIR... [--output report.html] [--title T]``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.checks import InputError
from common.report.groups import baseline_means, group_runs
from common.report.load import load_runs
from common.report.page import build_report, find_runs
from common.report.results import BASELINE_NAMES
from common.report.words import bundle_title


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report, print the figure of each strategy and baseline, and the path.

    Args:
        arguments: the command line after the program's name; this process's unless given.

    Returns:
        The exit status: 0, or 1 after a one-line message on standard error.
    """
    parser = argparse.ArgumentParser(prog="python -m common.report", description=__doc__)
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN_DIR",
        help="a run folder, or a folder that holds run folders",
    )
    parser.add_argument("--output", type=Path, default=Path("report.html"))
    parser.add_argument("--title", help="heading; the bundle unless given")
    options = parser.parse_args(arguments)
    try:
        runs = [run for folder in options.runs for run in find_runs(folder)]
        loaded = load_runs(runs)
        title = options.title or bundle_title(loaded[0].bundle)
        report = build_report(runs, options.output, title)
        for group in group_runs(loaded):
            figure = f"{group.value:.{group.measure.decimals + 1}f}{group.measure.unit}"
            print(f"{group.name}: {group.measure.name} {figure} ({group.interval_words})")
        for name, value in baseline_means(loaded).items():
            figure = f"{value:.{loaded[0].measure.decimals + 1}f}{loaded[0].measure.unit}"
            print(f"baseline, {BASELINE_NAMES.get(name, name)}: {loaded[0].measure.name} {figure}")
        print(f"report: {report}")
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
