"""``python -m common COMMAND ...``: one front door, at which any mistake ends in one line."""

import sys
from collections.abc import Sequence
from importlib import import_module

from common.checks import require
from common.config.endings import end_in_one_line

COMMANDS = {  # name: (module with main(words) -> exit code, what it does)
    "train": ("common.deploy.commands.train", "train, evaluate and report, in one go"),
    "sweep": ("common.sweep.command", "train and evaluate over a grid of dials; one table"),
    "analyse": ("common.sweep.analyse", "which classes win and lose over a sweep, beside chance"),
    "audit": ("common.audit.command", "what transformations do to images, before a training"),
    "predict": ("common.deploy.commands.predict", "predict on files with a trained model"),
    "embed": ("common.deploy.commands.embed", "write how a trained model's encoder sees files"),
    "explain": ("common.deploy.commands.explain", "show what predictions depend on, as pictures"),
    "pack": ("common.deploy.commands.pack", "write a bundle and its code as one zip"),
    "release": ("common.deploy.commands.release", "make a model the one that a bundle comes with"),
    "seal": ("common.deploy.commands.seal", "accept a model of an earlier version as it is"),
    "federated": ("common.federated.command", "train on several hospitals' data, kept apart"),
    "run": ("common.config.run_command", "run a configuration, as python -m monai.bundle run does"),
}


def main(words: Sequence[str]) -> int:
    """Run a command; return its exit code.

    Raises:
        InputError: no such command, or what the command refuses.
    """
    end_in_one_line({})
    if not words or words[0] in ("--help", "-h"):
        print("python -m common COMMAND --help")
        for name, (_, summary) in COMMANDS.items():
            print(f"  {name:<8} {summary}")
        return 0
    require(
        words[0] in COMMANDS,
        f"common: the command must be {', '.join(COMMANDS)}, got {words[0]!r}.",
    )
    code: int = import_module(COMMANDS[words[0]][0]).main(words[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
