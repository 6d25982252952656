"""``python -m common pack BUNDLE [BUNDLE ...] --output DIR``."""

from collections.abc import Sequence

from common.command_line import CommandParser
from common.deploy.export import KINDS
from common.deploy.pack import pack

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Pack; return the exit code.

    Raises:
        InputError: no such bundle, or what cannot be packed.
    """
    parser = CommandParser(
        "python -m common pack",
        description="Write bundles, each with its weights and the code it needs as one zip.",
    )
    parser.add_argument("bundles", nargs="+", help="names of bundles, or their folders")
    parser.add_argument("--output", default="dist", help="folder for the zip")
    parser.add_argument("--weights", help="folder of the model; that of the bundle unless given")
    parser.add_argument("--export", nargs="*", default=[], choices=list(KINDS), help="also export")
    parser.add_argument("--input_size", nargs="*", type=int, default=[], help="of ONNX's image")
    parser.add_argument(
        "--label", action="store_true", help="name the folder for MONAI Label's app monaibundle"
    )
    options = parser.parse_args(list(words))
    given = (options.output, options.export, options.input_size, options.weights, options.label)
    for bundle in options.bundles:
        path = pack(bundle, *given)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0
