"""``python -m common release BUNDLE MODELS [--licence FILE]``."""

from collections.abc import Sequence

from common.command_line import CommandParser
from common.deploy.release import release

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Release; return the exit code.

    Raises:
        InputError: no such bundle, or a model that cannot be released.
    """
    parser = CommandParser(
        "python -m common release",
        description="Put a trained model into its bundle as the one that comes with it.",
    )
    parser.add_argument("bundle", help="name of a bundle, or its folder")
    parser.add_argument("models", help="folder of model.pt and model.json, as evaluated")
    parser.add_argument("--licence", help="text of the weights' licence; as it was unless given")
    options = parser.parse_args(list(words))
    print(f"{release(options.bundle, options.models, options.licence)}: released")
    return 0
