"""The command line: ``python -m data_prep <source> --source DIR --target DIR [options]``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.checks import InputError, require
from common.data.manifest import PARTS, class_names
from data_prep import (
    biased_mnist,
    brats,
    chest_xray,
    chexpert,
    digits,
    fundus,
    openbhb,
    phantom,
    photos,
)
from data_prep.runner import run

SOURCES: dict[str, Any] = {
    "biased_mnist": biased_mnist,
    "brats": brats,
    "chest_xray": chest_xray,
    "chexpert": chexpert,
    "digits": digits,
    "fundus": fundus,
    "openbhb": openbhb,
    "phantom": phantom,
    "photos": photos,
}
NEEDS_NO_SOURCE = ("phantom",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare one source and say in a few lines what came of it.

    Returns:
        0 when the manifest is written, 2 for a bad input (one line on standard error), 130 when
        interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        require(options.workers >= 0, f"--workers must be >= 0, got {options.workers}.")
        plan = SOURCES[options.command].plan(options)
        for note in plan.notes:
            print(note)
        manifest = run(plan, options.target, options.workers or None)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nInterrupted: run the same command again and it goes on where it stopped.",
            file=sys.stderr,
        )
        return 130
    print(_summary(manifest, options.target))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="data_prep", description="Turn scans into a manifest.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in SOURCES.items():
        lines = (module.__doc__ or "").strip().splitlines()
        command = commands.add_parser(name, help=lines[0], description=lines[0])
        if name not in NEEDS_NO_SOURCE:
            command.add_argument("--source", type=Path, required=True, help="folder to read")
        command.add_argument("--target", type=Path, required=True, help="folder to write")
        command.add_argument("--workers", type=int, default=0, help="processes; 0: all cores")
        module.add_arguments(command)
    return parser


def _summary(manifest: dict[str, Any], target: Path) -> str:
    """At most seven lines: counts of each part, quality, skipped files, the manifest."""
    lines = []
    names = class_names(manifest)
    for part in PARTS:
        counts = manifest["counts"][part]
        labels = ", ".join(f"{n} {_named(names, k)}" for k, n in counts["labels"].items())
        lines.append(
            f"{part}: {counts['images']} images of {counts['patients']} patients ({labels})"
        )
    if "quality" in manifest:
        words = ", ".join(f"{count} {word}" for word, count in manifest["quality"].items())
        lines.append(f"quality: {words}")
    skipped = manifest["skipped"]
    if skipped:
        lines.append(f"skipped: {len(skipped)} files, the first: {skipped[0]['reason']}")
    lines.append(f"manifest: {target / 'manifest.json'}")
    return "\n".join(lines)


def _named(names: list[str], label: str) -> str:
    """A class as the user reads it: its name and its number."""
    number = int(label)
    if number < 0:
        return "not labelled"
    return f"{names[number]} = {label}" if number < len(names) else f"labelled {label}"


if __name__ == "__main__":
    sys.exit(main())
