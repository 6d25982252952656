"""Reading run folders: who was evaluated, the result of its kind, the history."""

from collections.abc import Sequence
from pathlib import Path

from common.checks import require
from common.report.kinds import kind_of
from common.report.run import About, History, Run
from common.report.schema import from_json, read_json

EVALUATION = "evaluation.json"
HISTORY = "history.json"


def load_run(folder: Path) -> Run:
    """Read the run in `folder`.

    Args:
        folder: holds evaluation.json, and perhaps history.json and archives of arrays.

    Returns:
        The run; `history` is None where its file is absent.

    Raises:
        InputError: the folder or evaluation.json is missing, or a value breaks its rule.
    """
    require(
        folder.is_dir(),
        f"{folder}: must be a run folder, got no folder there. Check the path of the run.",
    )
    path, history = folder / EVALUATION, folder / HISTORY
    values = read_json(path)
    kind = kind_of(values, path)
    return Run(
        folder,
        from_json(About, values, path),
        kind,
        from_json(kind.result, values, path),
        from_json(History, read_json(history), history) if history.exists() else None,
    )


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """Read all `folders`; refuse none at all and the same strategy and seed twice.

    Raises:
        InputError: see `load_run`; or no folder; two runs that would count as one seed; runs
            judged by different figures, or evaluated on different data.
    """
    require(len(folders) > 0, "build_report: runs must be at least one folder, got none. Name one.")
    runs = [load_run(folder) for folder in folders]
    folder_of: dict[tuple[str, int], Path] = {}
    for run in runs:
        twin = folder_of.setdefault((run.strategy, run.seed), run.folder)
        require(
            twin is run.folder,
            f"{run.folder / EVALUATION}: strategy and seed must differ between runs, got "
            f"{run.strategy} with seed {run.seed} also in {twin}. Leave one of the two out.",
        )
        require(
            run.measure is runs[0].measure,
            f"{run.folder / EVALUATION}: must be judged by {runs[0].measure.name} as "
            f"{runs[0].folder} is, got {run.measure.name}. Make a report for each.",
        )
        seen_on, first = (_scored_on(each) for each in (run, runs[0]))
        require(
            seen_on == first,
            f"{run.folder / EVALUATION}: must be evaluated on the data that {runs[0].folder} is "
            f"({first}), got {seen_on}. Evaluate both alike, or give each an --output_dir of its "
            "own.",
        )
    return runs


def _scored_on(run: Run) -> str:
    """Name the data that gave a run its figure: `common.data.fingerprint`, part, whose head."""
    data = run.about.settings.get("data")
    named = ["data not recorded" if data is None else f"data {data}"]
    head = getattr(run.result, "head_fitted_on", None)
    named += [f"{run.part} part"] if run.part else []
    return ", ".join([*named, *([f"head fitted on {head}"] if head else [])])
