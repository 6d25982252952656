"""What the commands have in common: their arguments, and how they end."""

import argparse
import csv
import logging
from pathlib import Path

from common.checks import InputError, require
from common.command_line import CommandParser
from common.data import CellFiles
from common.deploy.loading import load
from common.deploy.prediction_folder import PredictionFolder
from common.deploy.predictor import Predictor
from common.report.words import plural

__all__ = ["Parser", "loaded", "say", "say_if_released", "write"]

LEFT_OUT = 3  # exit code
FEW = 5  # images, or files without one, at most of which all is printed too


class Parser(CommandParser):
    """The arguments of a command that reads files with a trained model."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(f"python -m common {command}", description=description, epilog=EPILOG)
        self.add_argument("bundle", help="name of a bundle, or its folder")
        self.add_argument(
            "paths",
            nargs="+",
            help="files, folders, DICOM series, or JSON datalists",
        )
        self.add_argument("--output", type=_folder, required=True, help="folder to write to")
        self.add_argument(
            "--weights",
            help="model.pt, or its folder; models/ of the bundle unless given, or "
            "else what came with it",
        )
        self.add_argument("--device", help="cpu or cuda; the GPU, where there is one, unless given")
        self.add_argument("--batch-size", type=int, help="images at once")
        self.add_argument(
            "--nucleus",
            type=float,
            help="of fields of cells: diameter of a nucleus in pixels, about",
        )
        self.add_argument(
            "--workers", type=int, help="processes that read; one for each core, at most 4"
        )


EPILOG = (
    "Given again after an interruption, a command goes on where it was. Exit code 0: all files; "
    f"{LEFT_OUT}: some were left out, see skipped.csv; 1: an error. Research use only; not a "
    "medical device."
)


def loaded(options: argparse.Namespace) -> Predictor:
    """Return the predictor that the options name."""
    for name in ("batch_size", "workers"):
        least, given = int(name == "batch_size"), getattr(options, name)
        require(
            given is None or given >= least,
            f"--{name.replace('_', '-')} must be at least {least}, got {given}.",
        )
    predictor = load(options.bundle, options.weights, options.device)
    predictor.batch_size = options.batch_size or predictor.batch_size
    if options.workers is not None:
        predictor.num_workers = options.workers
    if options.nucleus is not None:
        require(options.nucleus >= 4, f"--nucleus must be at least 4, got {options.nucleus}.")
        if not isinstance(predictor.dataset, CellFiles):
            raise InputError(f"--nucleus: {options.bundle} looks for no nuclei. Leave it out.")
        predictor.dataset.nucleus = options.nucleus
    return predictor


def say_if_released(predictor: Predictor) -> None:
    """Print where it stands what weights that came with the bundle are good for."""
    if predictor.model.released:
        card = (predictor.model.folder / "docs" / "model_card.md").resolve()
        card = card.relative_to(Path.cwd()) if card.is_relative_to(Path.cwd()) else card
        print(f"by the weights that came with the bundle: {card} says what they are good for")


def write(folder: PredictionFolder, predictor: Predictor, options: argparse.Namespace) -> int:
    """Predict into the folder, say what was done, and return the exit code."""
    logging.getLogger("common").setLevel(logging.WARNING)  # what it would say is printed below
    replaced = folder.complete
    counts = folder.write(predictor, predictor.files(options.paths))
    if folder.table == "csv" and counts["images"] <= FEW:
        for row in _rows(folder.path / "predictions.csv"):
            said = [f"{name} {value}" for name, value in row.items() if value]
            print(", ".join([row["file"], *said[1:]]))
        rule = predictor.model.call_rule
        if rule is not None and rule.thresholds and predictor.model.head_fitted:
            print(rule.told(predictor.model.classes(predictor.network.head.out_features)))
    say_if_released(predictor)
    if folder.resumed:
        files = plural(folder.resumed, "file")
        print(f"{folder.path}: {files} had been done by a command that was interrupted")
    if replaced:
        print(f"{folder.path}: what an earlier command had written there was replaced")
    say(folder)
    unusual = counts["skipped"] + counts["unwritten"]
    if 0 < unusual <= FEW:
        print(*(row["reason"] for row in _rows(folder.path / "skipped.csv")), sep="\n")
    return LEFT_OUT if unusual else 0


def say(folder: PredictionFolder) -> None:
    """Print how many images were predicted into the folder, and how many with a warning or not."""
    counts = folder.counts
    done = "predicted" if folder.table else "embedded"
    print(f"{folder.path}: {plural(counts['images'], 'image')} {done}")
    if counts["warned"]:
        print(f"{counts['warned']} of them with a warning, see its column")
    if counts["skipped"]:
        print(f"{folder.path / 'skipped.csv'}: {counts['skipped']} left out, with the reason")
    if counts["unwritten"]:
        files = plural(counts["unwritten"], "file")
        print(
            f"{folder.path / 'skipped.csv'}: {files} predicted, but without a report or JSON, with "
            "the reason"
        )


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("must be a folder, got an empty name")
    return Path(text)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
