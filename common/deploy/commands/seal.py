"""``python -m common seal FOLDER [FOLDER ...]``: a model.json of an earlier version is as it is."""

from collections.abc import Sequence
from pathlib import Path

from common.command_line import CommandParser
from common.deploy.model_file import digest_of, read_weights
from common.deploy.model_record import seal

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Seal; return the exit code.

    Raises:
        InputError: a folder without a model, or whose model.json is of other weights.
    """
    parser = CommandParser(
        "python -m common seal",
        description="Add to a model.json of an earlier version the digests by which an edited one "
        "is told. Do it for models you trust only.",
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="of model.pt and model.json"
    )
    for folder in parser.parse_args(list(words)).folders:
        done = seal(folder, digest_of(read_weights(folder / "model.pt")))
        print(f"{folder / 'model.json'}: {'sealed' if done else 'was sealed already'}")
    return 0
