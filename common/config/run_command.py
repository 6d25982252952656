"""``python -m common run ...``: ``python -m monai.bundle run ...``, any mistake in one line.

MONAI reads the configuration files before anything of this collection is loaded, so a file that is
not there, ``--help``, or ``--a#b#c 1`` without an ``a#b`` end in its tracebacks. Here they end in
one line, and ``--help`` in the table of dials of ``--config_file`` (configs/train.json).
"""

import re
from collections.abc import Sequence
from pathlib import Path

import fire
import monai.bundle
from monai.bundle import ConfigParser

from common.checks import require
from common.config import limits
from common.config.effects import check_overlay, layered
from common.config.guard import check_first
from common.files import read_json

_USAGE = (
    "python -m common run --config_file \"['configs/train.json','OVERLAY']\" [--DIAL VALUE ...]"
)


def main(words: Sequence[str]) -> int:
    """Run a bundle's configuration; see the module.

    Args:
        words: what follows ``run``.

    Raises:
        InputError: it names a file that is not there.
    """
    files = [Path(name) for name in re.findall(r"[^\s,'\"\[\]=]+\.(?:json|ya?ml)", " ".join(words))]
    for path in files:
        check_overlay(path)
        require(path.is_file(), f"{path}: must be a file, got none. {_USAGE}")
        if path.suffix == ".json":
            read_json(path, "Correct it, or copy it anew.")
    check_first(layered(files[:1]))
    if {"--help", "-h"} & set(words):
        print(dials(files[0] if files else Path("configs/train.json")))
        return 0
    require(files != [], f"common: --config_file must be given, got none. {_USAGE}")
    fire.Fire({"run": monai.bundle.run}, command=["run", *words], name="common")
    return 0


def dials(path: Path) -> str:
    """Return the usage and a table: each dial with its default, rule and source."""
    require(path.is_file(), f"{path}: must be a file, got none. {_USAGE}")
    content = ConfigParser.load_config_file(path)
    sources = content.get("sources", {})
    rows = [
        f"  --{dial} {limits.as_text(content.get(dial))}\n      {rule}. {sources.get(dial, '')}"
        for dial, rule in content.get("limits", content.get("+limits", {})).items()
    ]
    return "\n".join([_USAGE, f"dials of {path}, with default, rule and source:", *rows])
