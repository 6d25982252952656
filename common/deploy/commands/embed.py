"""``python -m common embed BUNDLE PATHS --output DIR``."""

from collections.abc import Sequence

from common.deploy.commands.arguments import Parser, loaded, write
from common.deploy.prediction_folder import PredictionFolder

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Embed; return the exit code.

    Raises:
        InputError: no model, or wrong arguments.
    """
    parser = Parser("embed", "Write how a trained model's encoder sees files: embeddings.npz.")
    parser.add_argument("--format", choices=("npz", "zarr"), default="npz")
    options = parser.parse_args(list(words))
    folder = PredictionFolder(options.output, None, options.format)
    return write(folder, loaded(options), options)
