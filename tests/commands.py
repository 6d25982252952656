"""The shell commands that a Markdown page shows."""

import re
import shlex
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue

ROOT = Path(__file__).parents[1]
BUNDLES = sorted(path.parent for path in (ROOT / "bundles").glob("*/configs"))
VOLUMES = [  # they train on stacks of whole brains and predict from volumes
    path for path in BUNDLES if "LoadStoredd" in (path / "configs" / "inference.json").read_text()
]
PICTURES = [path for path in BUNDLES if path not in VOLUMES]


def blocks(page: Path) -> list[str]:
    """The text of every ```bash block, without its indentation in a list."""
    actual = re.findall(r"^ *```bash\n(.*?)^ *```", page.read_text(), flags=re.M | re.S)
    return [re.sub(r"^ +", "", text.replace("\\\n", " "), flags=re.M) for text in actual]


def commands(page: Path) -> list[list[str]]:
    """Every command of every block as words; comments and ``VARIABLE=value`` before it left out."""
    lines = [line for text in blocks(page) for line in text.splitlines()]
    parts = [part for line in lines for part in re.split(r"&&|;|\|", line)]
    actual = []
    for part in parts:
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            actual.append(words)
    return actual


def module_commands(page: Path) -> list[list[str]]:
    """The words after ``python -m`` of every such command, options of the interpreter left out."""
    actual = []
    for words in commands(page):
        if re.fullmatch(r"(\S*/)?python3?", words[0]) and "-m" in words:
            actual.append(words[words.index("-m") + 1 :])
        elif words[0] == "torchrun":
            actual.append(["torch.distributed.run", *words[1:]])
    return actual


def options(words: list[str]) -> dict[str, Any]:
    """Read ``--key value`` and ``--key=value`` as Fire does."""
    actual, rest = {}, list(words[1:])
    while rest:
        key, equals, value = rest.pop(0).removeprefix("--").partition("=")
        actual[key] = DefaultParseValue(value if equals else rest.pop(0))
    return actual
