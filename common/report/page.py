"""The page: sections in order, one style sheet, nothing fetched from anywhere."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from common.checks import require
from common.files import replacing
from common.report import facts, results
from common.report.load import EVALUATION, load_runs
from common.report.markup import Markup, render
from common.report.run import Run

Section = Callable[[Sequence[Run]], str]
OUTCOME: list[Section] = [results.verdict, results.by_strategy]
CONTEXT: list[Section] = [facts.settings, facts.origin, facts.how_to_read, facts.limits]


def build_report(runs: Sequence[Path], output: Path, title: str) -> Path:
    """Write one self-contained HTML page about `runs`.

    The same input gives the same bytes. The page is written beside its place and moved there, so
    an interruption leaves an older report as it was.

    Args:
        runs: run folders; several of one strategy count as its seeds.
        output: the HTML file; its folder is made when needed.
        title: heading of the page.

    Returns:
        `output`.

    Raises:
        InputError: a run is missing or invalid (see `load_runs`), or `output` cannot be written.
    """
    return write_page(_page(load_runs([Path(run) for run in runs]), title), output)


def bare_page(title: str, about: str, parts: Sequence[Markup]) -> Markup:
    """Return a page of other parts than a report's, in its style; `about` is below the title."""
    given = {"words": [], "decision": [], "sections": parts}
    return render("page", title=title, style=_style(), about=about, **given)


def write_page(page: str, output: Path) -> Path:
    """Write a page beside its place and move it there; return `output`.

    Raises:
        InputError: `output` is a folder, or cannot be written.
    """
    require(not output.is_dir(), f"{output}: output must be a file, got a folder. Add a file name.")
    with replacing(output) as partial:
        partial.write_text(page, encoding="utf-8", newline="\n")
    return output


def report_folder(folder: str | Path, title: str | None = None) -> Path:
    """Write ``report.html`` into `folder`, about every run in it, and print where it is.

    Args:
        folder: holds run folders.
        title: heading; the name of the folder unless given.

    Raises:
        InputError: there is no run in `folder`, or see `build_report`.
    """
    folder = Path(folder)
    title = title or folder.resolve().name
    report = build_report(find_runs(folder), folder / "report.html", title)
    print(f"report: {report}", flush=True)
    return report


def find_runs(folder: Path) -> list[Path]:
    """Return `folder` itself where it is a run, else its sub-folders that are, by name.

    Raises:
        InputError: neither is the case.
    """
    require(folder.is_dir(), f"{folder}: must be a folder, got no folder there. Check the path.")
    if (folder / EVALUATION).is_file():
        return [folder]
    folders = sorted(path.parent for path in folder.glob(f"*/{EVALUATION}"))
    require(
        len(folders) > 0,
        f"{folder}: must be or hold a folder with {EVALUATION}, got none. Run evaluate.json first.",
    )
    return folders


def sentences(folder: str | Path) -> list[str]:
    """Return what a report says first: what the models in `folder` do, a sentence each.

    Raises:
        InputError: there is no run in `folder`, or see `build_report`.
    """
    return _in_words(load_runs(find_runs(Path(folder))))


def outcome(folder: str | Path) -> list[str]:
    """Return the figure of the runs in `folder` with its interval, then what to beware of.

    Raises:
        InputError: there is no run in `folder`, or see `build_report`.
    """
    return results.outcome(load_runs(find_runs(Path(folder))))


def _in_words(runs: Sequence[Run]) -> list[str]:
    kinds = {run.kind.name: run.kind for run in runs}.values()
    said = [line for kind in kinds for line in kind.in_words(runs)]
    return list(dict.fromkeys([*said, *(results.beware(runs) if said else ())]))


def _page(runs: Sequence[Run], title: str) -> str:
    kinds = {run.kind.name: run.kind for run in runs}.values()
    decision = dict.fromkeys(make for kind in kinds for make in kind.decision)
    of_kind = dict.fromkeys(make for kind in kinds for make in kind.sections)
    return render(
        "page",
        title=title,
        style=_style(),
        about=facts.about(runs),
        words=_in_words(runs),
        decision=[make(runs) for make in decision],
        sections=[make(runs) for make in (*OUTCOME, *of_kind, *CONTEXT)],
    )


def _style() -> Markup:
    return Markup(files(__package__).joinpath("style.css").read_text(encoding="utf-8"))
