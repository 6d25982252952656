"""The figures a Markdown page prints, and the results files they must come from.

A comment says where the figures after it come from, up to the next such comment::

    <!-- figures: losses, strategies_ixi#rows, trainable_crop_grid_seed? -->
    <!-- figures: none (settings of a trial) -->

A name is that of a file in ``benchmarks/results``, or a pattern of several, whose means and
standard deviations count too; behind ``#`` stands a path in it, which running text needs where
the file is large. A row of a table must find all
its figures in one record of the named files; ``figures in any record:`` lifts that. Without a
comment a figure has no source. What a page computes from its files (ratios, differences) is in
`tests.derived_figures`.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from tests.commands import ROOT
from tests.derived_figures import DERIVED

RESULTS = ROOT / "benchmarks" / "results"
ABOUT = ("versions", "commit", "commits", "torch", "python", "processor", "hardware", "date")
SCALES = (1.0, 100.0, 1e3, 1e-6, 1 / 60)  # as it is, %, ms, MB, minutes
OF_UNIT = {"ms": (1.0, 1e3), "s": (1.0, 1e-3), "MB": (1.0, 1e-6), "GB": (1.0, 1e-9)}
RECORD = 300  # numbers at most in what a row of a table is about
UNITS = r"(?:%|×|x\b(?! ?\d)|(?:times|points?|years|seconds|minutes|ms|s|MB|GB)\b)"
UNIT = rf"(?=(?:\s(?:to|and|or)\s[\d.,]+)?\s?{UNITS})"
FIGURE = re.compile(
    rf"(?<![\w.])(?:\d[\d,]*\.\d+(?:e-?\d+)?|\.\d+|\d[\d,]*{UNIT})(?!\.?\d)(?:\s?(?:ms|s|MB|GB)\b)?"
)
COMMENT = re.compile(r"<!-- figures( in any record)?: (.*?) -->", flags=re.S)
NO_FIGURE = (
    r"`[^`]*`",  # code
    r"\]\([^)]*\)",  # the address of a link
    r"https?://\S+",
    r"\d{4}-\d\d-\d\d",
    r"\b(?:torch|kornia|MONAI|Python|lightly|Pillow|pytorch-metric-learning) \d[\w.+]*",
    r"\b(?:section|slide|Table|Fig\.|Eq\.) [\d.]+",
    r"\b(?:paper|talk)(?:'s|:)?(?: \w+)? (?:[.\d][\d.]*(?: ±| and|,| to| %| against)? ?)+",
    r"95 %",  # the level of an interval
)


@dataclass(frozen=True)
class Printed:
    """Figures that stand together: of a row of a table, or one alone."""

    line: int
    words: tuple[str, ...]
    sources: tuple[str, ...]
    one_record: bool


def printed(text: str) -> Iterator[Printed]:
    """The figures of a page in order; those of a scope without figures are left out."""
    sources: tuple[str, ...] = ()
    one_record, in_code, heads = True, False, [""]
    for number, line in enumerate(_joined(text), 1):
        in_code ^= line.lstrip().startswith("```")
        if comment := COMMENT.search(line):
            names = comment[2]
            sources = ("none",) if names.startswith("none (") else tuple(re.split(r",\s*", names))
            one_record = not comment[1]
        if in_code or line.startswith("    ") or sources == ("none",):
            continue
        plain = COMMENT.sub("", line)
        if not plain.startswith("|"):
            heads = [""]
            yield from (Printed(number, (word,), sources, False) for word in figures(plain))
        elif heads == [""] or set(plain) <= set("|-: "):
            heads = plain.split("|") if heads == [""] else heads
        elif plain.startswith(("| paper", "| talk")):
            continue
        elif words := tuple(row_figures(plain, heads)):
            yield Printed(number, words, sources, one_record)


def _joined(text: str) -> list[str]:
    """Lines, a comment over several lines put on its first."""
    flat = COMMENT.sub(
        lambda found: found[0].replace("\n", " ") + "\n" * found[0].count("\n"), text
    )
    return flat.split("\n")


def figures(text: str) -> list[str]:
    """Figures in running text: with a decimal point, or with a unit."""
    for pattern in NO_FIGURE:
        text = re.sub(pattern, " ", text)
    return FIGURE.findall(text)


def row_figures(line: str, heads: list[str]) -> Iterator[str]:
    """Figures of a table's row, numbers alone in a cell too; not those of its name or the paper."""
    for place, (cell, head) in enumerate(zip(line.split("|"), heads)):
        if re.fullmatch(r"\s*[\d,]+\s*", cell):
            yield cell.strip()
        elif place > 1 and ("ours" in head or not re.search(r"paper|talk", head)):
            yield from figures(cell)


def has_source(found: Printed, tables: tuple[float, ...] = ()) -> bool:
    """Whether the named files hold all figures of `found`, within the rounding printed.

    A row of a table must find them in one record. A figure in running text must stand in a table
    of its page (`tables`, checked before), among the settings, or in a source of at most `RECORD`
    numbers.
    """
    if found.one_record:
        nodes = [node for name in found.sources for node in _records(name)]
        scales = [SCALES if _may_be_scaled(word) else (1.0,) for word in found.words]
        return any(all(map(_holds, repeat(node), found.words, scales)) for node in nodes)
    pools = [pool for name in found.sources for pool in _contents(name)]
    if len(found.words) == 1:
        settings = [_settings(name) for name in found.sources]
        pools = [tables, *settings, *(pool for pool in pools if len(pool) <= RECORD)]
    return all(any(_holds(p, word, _scales(word)) for p in pools) for word in found.words)


def _scales(word: str) -> tuple[float, ...]:
    in_per_cent = (1.0, 100.0) if _may_be_scaled(word) else (1.0,)
    return OF_UNIT.get(word.strip("0123456789., "), in_per_cent)


def _may_be_scaled(word: str) -> bool:
    """Whether the figure may be in per cent, ms or MB: not 0.05, which stands as it is."""
    plain = _plain(word)
    return float(plain) >= 1 or len(plain.partition(".")[2]) < 2


def _plain(word: str) -> str:
    return word.replace(",", "").rstrip(" msMGB")


def _holds(numbers: tuple[float, ...], word: str, scales: tuple[float, ...]) -> bool:
    plain = _plain(word)
    value, exponent = float(plain), plain.partition("e")[2]
    digits = len(plain.partition("e")[0].partition(".")[2]) - int(exponent or 0)
    half = 0.5 * 10.0**-digits * (1 + 1e-6)
    places = np.searchsorted(numbers, [(value - half) / scale for scale in scales])
    ends = [(value + half) / scale for scale in scales]
    return any(at < len(numbers) and numbers[at] <= end for at, end in zip(places, ends))


@cache
def _files(name: str) -> list[Any]:
    """The named content of each file, and where there are several their means and deviations."""
    pattern, _, path = name.partition("#")
    chosen = sorted(p for p in RESULTS.glob("*.json") if fnmatch(p.stem, pattern))
    assert chosen, f"{name}: no such file in {RESULTS.relative_to(ROOT)}"
    contents = []
    for file in chosen:
        content = json.loads(file.read_text())
        if file.stem in DERIVED:
            content = {**content, "derived": DERIVED[file.stem](content)}
        contents.append(_at(content, list(filter(None, path.split("/")))))
    return [*contents, *([_spread(_together(contents))] if len(contents) > 1 else [])]


def _at(content: Any, path: list[str]) -> Any:
    """What stands at a path of keys; in a list a key is a number, or text that one entry holds."""
    for key in path:
        if isinstance(content, list) and not key.isdigit():
            content = next(entry for entry in content if key in entry.values())
        else:
            content = content[int(key) if isinstance(content, list) else key]
    return content


def _together(contents: list[Any]) -> Any:
    """What is alike in several contents, every number as the list of its values."""
    first = contents[0]
    if isinstance(first, dict):
        keys = [key for key in first if all(key in content for content in contents)]
        return {key: _together([content[key] for content in contents]) for key in keys}
    if isinstance(first, list) and len({len(content) for content in contents}) == 1:
        return [_together(list(values)) for values in zip(*contents)]
    return contents


def _spread(content: Any) -> Any:
    """Mean and standard deviation of every list of numbers."""
    if isinstance(content, dict):
        return {key: _spread(value) for key, value in content.items()}
    if all(type(value) in (int, float) for value in content):
        return {"mean": float(np.mean(content)), "std": float(np.std(content, ddof=1))}
    return [_spread(value) for value in content if isinstance(value, dict | list)]


def _leaves(content: Any, by_column: bool = True) -> Iterator[float]:
    """Numbers; of several, one a seed, also how many, their mean and standard deviation."""
    if isinstance(content, bool) or content is None:
        return
    if isinstance(content, int | float):
        yield abs(float(content))
    elif isinstance(content, str):
        yield from map(float, re.findall(r"(?<![\w.])\d+\.?\d*(?![\w.])", content))
    elif isinstance(content, dict):
        parts = (part for item in content.items() if item[0] not in ABOUT for part in item)
        yield from (leaf for part in parts for leaf in _leaves(part, by_column))
    elif isinstance(content, list):
        for value in content:
            yield from _leaves(value, by_column)
        several = by_column and 2 <= len(content) <= 10
        if several and all(_is_alike(value, content[0]) for value in content):
            yield from _leaves(_together(content), by_column=False)
        if 2 <= len(content) <= 40 and all(type(v) in (int, float) for v in content):
            yield float(len(content))
            yield abs(float(np.mean(content)))
            yield float(np.std(content, ddof=1))


def _is_alike(value: Any, first: Any) -> bool:
    """Whether two entries hold the same things, as those of two seeds do."""
    if isinstance(first, dict):
        return isinstance(value, dict) and value.keys() == first.keys()
    return isinstance(first, list) and isinstance(value, list) and len(value) == len(first)


def _sorted(content: Any) -> tuple[float, ...]:
    return tuple(sorted(value for value in _leaves(content) if math.isfinite(value)))


@cache
def _contents(name: str) -> tuple[tuple[float, ...], ...]:
    """The numbers of each named file, and of their means and deviations."""
    return tuple(_sorted(content) for content in _files(name))


@cache
def _settings(name: str) -> tuple[float, ...]:
    """The dials of the runs, which a page may name."""
    alone = [content for content in _files(name) if isinstance(content, dict)]
    return _sorted([content.get(key) for content in alone for key in ("settings", "schedule")])


@cache
def _records(name: str) -> tuple[tuple[float, ...], ...]:
    def nodes(content: Any) -> Iterator[Any]:
        if isinstance(content, dict):
            yield content
            for value in content.values():
                yield from nodes(value)
        elif isinstance(content, list):
            yield content
            for value in content:
                yield from nodes(value)

    every = (_sorted(node) for node in nodes(_files(name)))
    return tuple(node for node in every if 0 < len(node) <= RECORD)


def without_source(text: str) -> list[str]:
    """``line: figures`` of what the named files do not hold."""
    every = list(printed(text))
    rows = [actual for actual in every if len(actual.words) > 1]
    kept = [float(_plain(word)) for row in rows if has_source(row) for word in row.words]
    tables = tuple(sorted(kept))
    return [f"{p.line}: {', '.join(p.words)}" for p in every if not has_source(p, tables)]


def of_page(page: Path) -> str:
    """The text that must have sources: a bundle's results, every other page whole."""
    text = page.read_text()
    if "## Results\n" not in text:
        return text
    before, text = text.split("## Results\n", 1)
    return "\n" * before.count("\n") + text.split("\n## ", 1)[0]
