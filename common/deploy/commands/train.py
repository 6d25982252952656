"""``python -m common train BUNDLE DATA --output DIR [--DIAL VALUE ...]``: all that one trains for.

Runs the bundle's train.json on prepared images, then evaluate.json on what was trained, as
``python -m common run`` does one after the other, with everything in one folder::

    DIR/report.html               what the model is worth, and at which threshold
    DIR/models/                   model.pt and model.json, for ``predict --weights DIR/models``
    DIR/<strategy>_seed<seed>/    the run: checkpoints, history, evaluation.json

Dials are those of both files; what only an evaluation knows is kept from the training.
"""

import logging
import warnings
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from common.command_line import CommandParser, read_dials
from common.config import run_command
from common.deploy.loading import folder_of
from common.report import sentences

__all__ = ["config_files", "main", "train_and_evaluate"]


def main(words: Sequence[str]) -> int:
    """Train, evaluate, report and deploy; return the exit code.

    Raises:
        InputError: no such bundle or overlay, wrong dials, or what a training refuses.
    """
    options, dials = _parser().parse_known_args(list(words))
    places = {
        "dataset_dir": options.data,
        "output_dir": options.output,
        "ckpt_dir": options.output / "models",
    }
    given = read_dials(dials, "python -m common train")
    train_and_evaluate(folder_of(options.bundle), options.overlays, given, places)
    for line in (*sentences(options.output), f"model: {places['ckpt_dir']}/model.pt"):
        print(line)
    return 0


def train_and_evaluate(
    folder: Path,
    overlays: Sequence[str],
    dials: Mapping[str, Any],
    places: Mapping[str, Any],
    report: bool = True,
) -> None:
    """Run train.json, then evaluate.json on what was trained.

    Args:
        folder: of the bundle.
        overlays: names of configurations to lay over train.json, in order.
        dials: of both; what only an evaluation knows is kept from the training.
        places: where things lie: dataset_dir, output_dir, ckpt_dir.
        report: write the report over all runs in output_dir; else the evaluation alone is run.
    """
    files = config_files(folder, overlays)
    evaluation = folder / "configs" / "evaluate.json"
    content = ConfigParser.load_config_file(evaluation)
    late = content.get("+limits", {})
    places = {"bundle_root": folder, "logging_file": False, **places}
    # MONAI warns that a configuration can run code (this one was chosen by its name), prints its
    # input, and says that it writes no log file
    warnings.filterwarnings("ignore", "parsing config_file")
    for module, level in (("scripts", logging.WARNING), ("workflows", logging.ERROR)):
        logging.getLogger(f"monai.bundle.{module}").setLevel(level)
    _run(files, {**{k: v for k, v in dials.items() if k not in late}, **places})
    alone = [step for step in content["run"] if "@report" not in step]
    steps = {} if report else {"run": alone}
    again = {k: v for k, v in dials.items() if k != "resume"}
    _run([*files, evaluation], {**again, **places, **steps})


def config_files(folder: Path, overlays: Sequence[str]) -> list[Path]:
    """Return train.json of the bundle in `folder` and its overlays, by name or as files."""
    configs = folder / "configs"
    chosen = [Path(o) if o.endswith(".json") else configs / f"{o}.json" for o in overlays]
    return [configs / "train.json", *chosen]


def _parser() -> ArgumentParser:
    parser = CommandParser(
        "python -m common train",
        description="Train a bundle on prepared images, evaluate it, and write report and model.",
        epilog="All other options are dials of the bundle: python -m common run --config_file "
        "bundles/BUNDLE/configs/train.json --help lists them. Interrupted: the same command with "
        "--resume True. Research use only; not a medical device.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="name of a bundle, or its folder")
    parser.add_argument("data", help="folder that data_prep wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--overlays",
        nargs="+",
        default=[],
        metavar="NAME",
        help="configurations of the bundle to lay over its train.json, by name, or other files, "
        "such as the proposal of an audit",
    )
    return parser


def _run(files: Sequence[Path], dials: Mapping[str, Any]) -> None:
    named = ",".join(f"'{path.as_posix()}'" for path in files)
    words = [word for name, value in dials.items() for word in (f"--{name}", str(value))]
    run_command.main(["--config_file", f"[{named}]", *words])
