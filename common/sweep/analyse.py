"""``python -m common analyse SWEEP [SWEEP ...]``: which classes win and lose over a sweep.

Reads the tables of sweeps and writes ``analysis.json`` and ``analysis.html``, self-contained:
accuracy of every class against the dial, classes with an opposite beside what chance gives, curves
of superclasses, and, with ``--data``, what the images of the classes look like.
`common.evaluation.class_bias` says what is computed.
"""

import json
import platform
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from common.checks import InputError, require
from common.command_line import CommandParser
from common.evaluation.class_bias import class_bias
from common.evaluation.class_images import properties_of_classes
from common.files import replacing
from common.report.class_bias import ClassBias, in_words, write_analysis
from common.report.schema import to_json
from common.sweep.table import read_table

__all__ = ["main"]

ANALYSIS, PAGE = "analysis.json", "analysis.html"
PACKAGES = ("monai-contrastive-bundles", "numpy", "scipy", "statsmodels", "scikit-image")
IMAGES, DRAWS = 300, 200


def main(words: Sequence[str]) -> int:
    """Analyse sweeps; return the exit code.

    Raises:
        InputError: no table, nothing in it to analyse, or a package is missing.
    """
    options = _parser().parse_args(list(words))
    require(options.draws >= 1, f"--draws must be at least 1, got {options.draws}.")
    _require_statsmodels()
    folders: list[Path] = options.sweeps
    output = options.output or (folders[0] if folders[0].is_dir() else folders[0].parent)
    require(
        not output.is_file(), f"--output: must be a folder, got the file {output}. Name a folder."
    )
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    require(len(set(names)) == len(names), "analyse: every sweep must be named once.")
    tables = {name: read_table(folder) for name, folder in zip(names, folders)}
    properties = None
    if options.data is not None:
        classes = {name for table in tables.values() for name in table["class"]}
        properties = properties_of_classes(options.data, options.images, sorted(classes))
    found = class_bias(tables, options.measure, properties, options.draws)
    found = replace(found, versions=_versions(), images=options.images if properties else 0)
    return _write(found, output, options.title)


def _write(found: ClassBias, output: Path, title: str | None) -> int:
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / ANALYSIS) as partial:
        partial.write_text(json.dumps(to_json(found), indent=1) + "\n", encoding="utf-8")
    page = write_analysis(found, output / PAGE, title or f"Classes over {', '.join(found.sweeps)}")
    for line in in_words(found):
        print(line)
    print(f"analysis: {page}", flush=True)
    return 0


def _require_statsmodels() -> None:
    """Say at once what would be missed after minutes."""
    try:
        version("statsmodels")
    except PackageNotFoundError:
        raise InputError(
            "analyse: needs the package statsmodels, got none. pip install "
            '"monai-contrastive-bundles[analysis]", or pip install -e ".[analysis]" in a checkout.'
        ) from None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _parser() -> ArgumentParser:
    parser = CommandParser(
        "python -m common analyse",
        description="Which classes win and lose over a sweep, beside what chance gives: "
        f"{ANALYSIS} and {PAGE}.",
        epilog="A dial is analysed where it has at least three numbers as values. "
        "Research use only; not a medical device.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "sweeps",
        nargs="+",
        type=Path,
        metavar="SWEEP",
        help="folder that python -m common sweep wrote; several are set side by side",
    )
    parser.add_argument(
        "--output", type=Path, help="folder to write to; the first sweep's unless given"
    )
    parser.add_argument(
        "--measure",
        help="of classes, as the table calls it; recall, or what there is, unless given",
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="folder that data_prep wrote: what its classes look like, beside how they behave",
    )
    parser.add_argument(
        "--images", type=int, default=IMAGES, help=f"of each class that are looked at ({IMAGES})"
    )
    parser.add_argument(
        "--draws", type=int, default=DRAWS, help=f"of shuffled accuracies and walks ({DRAWS})"
    )
    parser.add_argument("--title", help="heading of the page")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
