"""The command line: ``python -m data_prep <source> --source DIR --target DIR [options]``.

With ``--key FILE`` it writes what no prepared folder holds: which file and patient of the source
each prepared image is of. ``python -m data_prep trace`` puts that beside predictions.
"""

import argparse
import pkgutil
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import data_prep
from common.checks import InputError, require
from common.cluster import BACKENDS
from common.cluster import add_arguments as add_cluster_arguments
from common.data.manifest import PARTS, class_names
from common.files import leads_below
from common.text import plain
from data_prep.machinery import MachineFault, Names, Plan, check_key, describe, run, write_key
from data_prep.machinery.trace import SUMMARY, trace
from data_prep.machinery.trace import add_arguments as add_trace_arguments


class _Sources(Mapping[str, Any]):
    """Every folder beside this file, but for the machinery, is a source of that name.

    One is imported when it is asked for: each knows libraries that the others do not need.
    """

    def __init__(self) -> None:
        folders = [found.name for found in pkgutil.iter_modules(data_prep.__path__) if found.ispkg]
        self.names = sorted(set(folders) - {"machinery"})

    def __getitem__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        return import_module(f"data_prep.{name}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


SOURCES = _Sources()
MOST_WORKERS = 512
MOST_PIXELS = 2**14  # of a side


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave."""
        self.exit(2, plain(f"{self.prog}: {message}. See {self.prog} --help.") + "\n")


def main(arguments: Sequence[str] | None = None, isolate: bool = False) -> int:
    """Prepare one source and say in a few lines what came of it.

    Args:
        arguments: of the command line.
        isolate: read in processes of their own even with one worker, so that a decoder that
            crashes does not end this one.

    Returns:
        0 when the manifest is written, 2 for a bad input (one line on standard error), 130 when
        interrupted, 1 for a fault of this program.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(words).parse_args(words)
    try:
        if options.command == "trace":
            print(trace(options))
        else:
            _prepare(options, isolate)
    except KeyboardInterrupt:
        line = "\nInterrupted: run the same command again and it goes on where it stopped."
        print(line, file=sys.stderr)
        return 130
    except Exception as error:  # a traceback could quote a header or a name
        line, code = _told(error, options)
        print(line, file=sys.stderr)
        return code
    return 0


def _prepare(options: argparse.Namespace, isolate: bool) -> None:
    _check_numbers(options)
    _check_backend(options)
    if not _reads(SOURCES[options.command]):
        options.source, options.key, isolate = None, None, False
    _check_folders(options)
    plan = SOURCES[options.command].plan(options)
    for note in plan.notes:
        print(plain(note))
    print(_summary(_run(plan, options, isolate), options, plan.units))


def _told(error: Exception, options: argparse.Namespace) -> tuple[str, int]:
    """One line for an error, and the exit code."""
    if isinstance(error, MemoryError):
        error = MachineFault(0, "no memory")
    if isinstance(error, MachineFault):
        error = describe(error, options.target)
    if isinstance(error, InputError):
        return str(error), 2
    if isinstance(error, OSError):
        problem = f"must be readable, got an error ({error.strerror}). Check disk and permissions."
        return plain(f"{getattr(options, 'source', 'data_prep')}: {problem}"), 2
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"data_prep: must not fail like this, got {type(error).__name__} in line {place.lineno} "
        f"of {Path(place.filename).name}. Please report that line.",
        1,
    )


def _check_numbers(options: argparse.Namespace) -> None:
    """Ranges of the options that most sources have."""
    for name, most in (("workers", MOST_WORKERS), ("seed", 2**32 - 1), ("size", MOST_PIXELS)):
        value = getattr(options, name, None)
        require(
            value is None or 0 <= value <= most,
            f"--{name} must lie in 0..{most}, got {value}.",
        )


def _check_backend(options: argparse.Namespace) -> None:
    """Refuse an address of nothing, also where all is done already."""
    require(
        options.backend != BACKENDS[0] or options.address is None,
        f"--address: must come with --backend {' or '.join(BACKENDS[1:])}, got it alone.",
    )


def _check_folders(options: argparse.Namespace) -> None:
    """Refuse from the start what would mix source, target and key."""
    source, target = options.source, options.target
    if source is not None and source.exists():
        require(
            not leads_below(target, source) and not leads_below(source, target),
            f"{target}: --target must lie outside --source and not around it, got one within the "
            "other. Choose another --target.",
        )
    if options.key is not None:
        check_key(options.key, source, target)


def _run(plan: Plan, options: argparse.Namespace, isolate: bool) -> dict[str, Any]:
    """Run a plan, and write the key file whether or not the run succeeds."""
    names = Names(plan)
    manifest: dict[str, Any] = {}
    try:
        where = (options.backend, options.address)
        manifest = run(plan, options.target, options.workers or None, names, isolate, *where)
    finally:
        if options.key is not None:
            write_key(options.key, names, manifest)
    return manifest


def _reads(door: Any) -> bool:
    """Whether a source reads files."""
    return bool(getattr(door, "NEEDS_SOURCE", True))


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the source that the words name; of all where they name none."""
    parser = _Parser(prog="data_prep", description="Turn scans into a manifest.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("trace", help=SUMMARY, description=SUMMARY)
    add_trace_arguments(command)
    for name in words[:1] if words and words[0] in SOURCES.names else SOURCES:
        module = SOURCES[name]
        lines = (module.__doc__ or "").strip().splitlines()
        command = commands.add_parser(name, help=lines[0], description=lines[0])
        if _reads(module):
            command.add_argument("--source", type=Path, required=True, help="folder to read")
            command.add_argument(
                "--key", type=Path, help="CSV to write: prepared file, source file, patient"
            )
        command.add_argument("--target", type=Path, required=True, help="folder to write")
        command.add_argument("--workers", type=int, default=0, help="processes; 0: all cores")
        add_cluster_arguments(command)
        module.add_arguments(command)
    return parser


def _summary(manifest: dict[str, Any], options: argparse.Namespace, units: str) -> str:
    """A few lines: counts of each part, quality, skipped files, the manifest, the key."""
    lines = []
    names = class_names(manifest)
    for part in PARTS:
        counts = manifest["counts"][part]
        labels = ", ".join(f"{n} {_named(names, k)}" for k, n in counts["labels"].items())
        lines.append(
            f"{part}: {counts['images']} images"
            + (f" of {counts['patients']} {units}" if units else "")
            + (f" ({labels})" if labels else "")
        )
    if "quality" in manifest:
        words = ", ".join(f"{count} {word}" for word, count in manifest["quality"].items())
        lines.append(f"quality: {words}")
    skipped = manifest["skipped"]
    if skipped:
        lines.append(f"skipped: {len(skipped)} files, the first: {skipped[0]['reason']}")
        if options.key is None:
            lines.append("which those are: add --key patients_key.csv to the same command")
    lines.append(f"manifest: {options.target / 'manifest.json'}")
    if options.key is not None:
        lines.append(f"key: {options.key} (names patients; keep it with the source)")
    return "\n".join(map(plain, lines))


def _named(names: list[str], label: str) -> str:
    """A class as the user reads it: its name and its number."""
    number = int(label)
    if number < 0:
        return "not labelled"
    known = number < len(names) and names[number] != label
    return f"{plain(names[number])} (class {label})" if known else f"of class {label}"


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main(isolate=True))
