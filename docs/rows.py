"""Writes docs/rows.md: every table row and figure of the five papers, from docs/rows.toml.

    python docs/rows.py

Ours is read from benchmarks/results as rows.toml says: ``FILE#PATH``, FILE the stem of a results
file, or a pattern of several, one a seed; PATH keys apart by ``/``, where in a list a number is an
index, ``*`` takes every entry and ``key=value,key=value`` the one entry that holds these.
"""

import json
import statistics
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TABLE = ROOT / "docs" / "rows.toml"
PAGE = ROOT / "docs" / "rows.md"
INTRODUCTION = """# Every row of the papers

<!-- Written by docs/rows.py from docs/rows.toml: change that one, then run it. -->
Every table row and figure of the five papers: its number there, what to run for it here, and ours,
or why there is none. **Overlays** are what follows `--overlays` (dials too) in

    python -m common train BUNDLE DATA --output OUT --overlays OVERLAYS

which trains, evaluates and reports; commas separate runs of their own. Two of them come first:
`prior` trains what `prior_vae` reads, and the overlays before `finetune`, alone, what that starts
from. **Ours** is of a smaller setting, named by its letter in [the list at the
end](#where-ours-come-from): for orders within a table, never for the paper's own value. Mean ±
standard deviation over seeds, in the paper's order where there are several.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(load()))


def load() -> dict[str, Any]:
    """Return the content of rows.toml, what a table hands on put into its rows."""
    content = tomllib.loads(TABLE.read_text())
    for paper in content["paper"]:
        for table in paper["table"]:
            shared = {
                key: table[key] for key in ("bundle", "data", "command", "why") if key in table
            }
            known = {key: value for key, value in shared.items() if key != "why"}
            table["rows"] = [
                (known if {"ours", "note"} & {*row} else shared) | row for row in table["rows"]
            ]
    return content


def page(content: dict[str, Any]) -> str:
    """Return the page as Markdown."""
    letters = {name: _letter(place) for place, name in enumerate(content["results"])}
    parts = [INTRODUCTION]
    for paper in content["paper"]:
        parts.append(f"## [{paper['title']}]({paper['link']})\n")
        for table in paper["table"]:
            parts.append(_table(table, content["why"], letters))
    lines = ["## Where ours come from\n", "| | page | setting | command |", "|---|---|---|---|"]
    for name, result in content["results"].items():
        where = f"[{Path(result['page']).stem}](../{result['page']})"
        cells = [f"**{letters[name]}**", where, result["about"], f"`{result['command']}`"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*parts, *lines]) + "\n"


def load_results() -> dict[str, Any]:
    """Return what rows.toml says of each results file."""
    return dict(tomllib.loads(TABLE.read_text())["results"])


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else "A" + chr(ord("A") + place - 26)


def _table(table: dict[str, Any], reasons: dict[str, str], letters: dict[str, str]) -> str:
    lines = [f"### {table['title']}\n"]
    if "bundle" in table:
        data = f", DATA by `{table['data']}`" if "data" in table else ""
        readme = f"../bundles/{table['bundle']}/docs/README.md"
        lines.append(f"BUNDLE is [{table['bundle']}]({readme}){data}.\n")
    lines += ["| row | paper | overlays or command | ours |", "|---|---|---|---|"]
    for row in table["rows"]:
        cells = [row["row"], row["paper"], _how(row, table), _ours(row, reasons, letters)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _how(row: dict[str, Any], table: dict[str, Any]) -> str:
    """What to run: overlays, or the command."""
    if "overlays" in row:
        names = ", ".join(f"`{one}`" if one else "none (the default)" for one in overlays(row))
        other = row["bundle"] if row["bundle"] != table.get("bundle") else ""
        return f"of {other}: {names}" if other else names
    command = row.get("command", "")
    return "–" if command in ("", "none") else f"`{command}`" if " -m " in command else command


def _ours(row: dict[str, Any], reasons: dict[str, str], letters: dict[str, str]) -> str:
    """Values with their letters, and the reason or a note; one of these at least."""
    why, note = (reasons.get(row.get(key, ""), row.get(key, "")) for key in ("why", "note"))
    shown = []
    several = references(row)
    if several:
        seeds = max(map(seeds_of, several))
        text = " / ".join(spread(values_of(reference)) for reference in several)
        which = "".join(dict.fromkeys(letters[one.partition("#")[0]] for one in several))
        shown.append(f"{text} ({which}, {seeds} seed{'s' if seeds > 1 else ''})")
    elif not why + note:
        raise ValueError(f"{row['row']}: needs ours, why or note")
    reason = note or (why if several or not why else f"not here: {why}")
    return "; ".join(filter(None, [*shown, reason]))


def overlays(row: dict[str, Any]) -> list[str]:
    """Return the combinations of overlays and dials of a row."""
    given = row.get("overlays", [])
    return [given] if isinstance(given, str) else list(given)


def references(row: dict[str, Any]) -> list[str]:
    """Return the ``FILE#PATH`` of a row's own values."""
    given = row.get("ours", [])
    return [given] if isinstance(given, str) else list(given)


def values_of(reference: str) -> list[Any]:
    """Return the value of each seed at ``FILE#PATH``, or one; text is as its file has it."""
    _, _, path = reference.partition("#")
    found = [leaf for content in _files(reference) for leaf in _at(content, path.split("/"))]
    return [leaf for one in found for leaf in (one if isinstance(one, list) else [one])]


def seeds_of(reference: str) -> int:
    """Return the number of seeds: of values, or as the file says beside a single one."""
    pattern, _, path = reference.partition("#")
    values = values_of(reference)
    own = load_results().get(pattern, {}).get("seeds")
    beside = own.split("/") if own else [*path.split("/")[:-1], "seeds"]
    try:
        (said,) = _at(_files(reference)[0], beside)
    except (KeyError, TypeError, ValueError, IndexError):
        return len(values)
    return max(len(values), len(said) if isinstance(said, list) else int(said))


def _files(reference: str) -> list[Any]:
    """Return the contents of the results files of a reference."""
    pattern = reference.partition("#")[0]
    files = sorted(p for p in RESULTS.glob("*.json") if fnmatch(p.stem, pattern))
    if not files:
        raise ValueError(f"{reference}: no such file in {RESULTS}")
    return [json.loads(p.read_text()) for p in files]


def _at(content: Any, path: list[str]) -> Iterator[Any]:
    """Yield what stands at a path of keys."""
    if not path:
        yield content
    elif path[0] == "*":
        for entry in content:
            yield from _at(entry, path[1:])
    elif isinstance(content, list) and not path[0].isdigit():
        wanted = dict(pair.split("=", 1) for pair in path[0].split(","))
        (entry,) = [e for e in content if all(str(e.get(k)) == v for k, v in wanted.items())]
        yield from _at(entry, path[1:])
    else:
        yield from _at(content[int(path[0]) if isinstance(content, list) else path[0]], path[1:])


def spread(values: list[Any]) -> str:
    """Return mean ± standard deviation, as many digits as the size asks for."""
    if isinstance(values[0], str):
        return ", ".join(values)
    mean = statistics.fmean(values)
    digits = 3 if abs(mean) < 2 else 2 if abs(mean) < 20 else 1
    text = f"{mean:.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


if __name__ == "__main__":
    main()
