"""``python -m common.label --studies DIR --bundles A,B``: start MONAI Label with these bundles."""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from common.checks import InputError, require
from common.command_line import CommandParser
from common.files import is_relative
from common.label.models import Model, name_of
from common.label.server.archive import FOLDER
from common.label.server.settings import Options, require_folder

INSTALL = "make label-setup, or pip install --no-deps -r requirements-label.lock"


def main(words: Sequence[str]) -> int:
    """Start the server; return the exit code.

    Raises:
        InputError: a wrong argument, or MONAI Label is not installed.
    """
    options = read_options(words)
    require(
        find_spec("monailabel") is not None,
        f"label: MONAI Label must be installed, got none. {INSTALL}.",
    )
    from common.label.server.serve import serve

    serve(options)
    return 0


def read_options(words: Sequence[str]) -> Options:
    """Read the arguments.

    Raises:
        InputError: a wrong one.
    """
    given = _parser().parse_args(list(words))
    require_folder(str(given.studies))
    require(given.studies.is_dir(), f"{given.studies}: must be the folder of the images, got none.")
    require(0 <= given.port < 65536, f"label: --port must be 0 to 65535, got {given.port}.")
    coming = FOLDER if given.dicomweb else None
    query = dict(text.partition("=")[::2] for text in given.query.split(",") if text)
    require(
        all([given.dicomweb, *query.values()]) or not query,
        f"label: --query must be attributes of --dicomweb as A=b,C=d, got {given.query}.",
    )
    bundles = _pairs(given.bundles.split(","), "--bundles")
    for _, below in bundles.values():
        require(
            (is_relative(below) and (given.studies / below).is_dir()) or below == coming,
            f"label: --bundles must name a folder below the studies, got {below!r}.",
        )
    studies = given.studies.resolve()
    work = (given.work or studies / ".label").resolve()
    classes = _classes(given.classes, bundles)
    place = given.host, given.port
    return Options(studies, dict(bundles.values()), work, classes, *place, given.dicomweb, query)


def _parser() -> CommandParser:
    parser = CommandParser(
        "python -m common.label",
        description="Label whole images in the browser, with the scores of trained bundles.",
        epilog="Research use only; not a medical device.",
    )
    parser.add_argument("--studies", type=Path, required=True, metavar="DIR", help="the images")
    parser.add_argument(
        "--bundles", required=True, help="names or folders, A,B; A=films for a sub-folder of DIR"
    )
    parser.add_argument(
        "--classes",
        action="append",
        default=[],
        metavar="A=normal,pneumonia",
        help="of a bundle; remembered in the work folder",
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="what is made; .label in the studies unless given"
    )
    parser.add_argument(
        "--dicomweb", default="", metavar="URL", help="archive to fetch series from, into DIR"
    )
    parser.add_argument("--query", default="", metavar="Modality=DX", help="which series of it")
    parser.add_argument("--host", default="127.0.0.1", help="address; there is no log-in")
    parser.add_argument("--port", type=int, default=8000)
    return parser


def _classes(texts: Sequence[str], bundles: Mapping[str, tuple[str, str]]) -> dict[str, list[str]]:
    """The classes that are given, by the name of their bundle."""
    pairs = _pairs(texts, "--classes")
    classes = {name: text.split(",") for name, (_, text) in pairs.items()}
    for name, names in classes.items():
        require(
            name in bundles and len(set(names)) == len(names) > 1 and all(names),
            f"label: --classes must be two or more for one of the bundles, got {','.join(names)}.",
        )
        require(
            not Model(bundles[name][0], Path()).regression,
            f"label: --classes must be of a bundle that tells classes, got {name}, which "
            "predicts numbers.",
        )
    return classes


def _pairs(texts: Sequence[str], name: str) -> dict[str, tuple[str, str]]:
    """A and b of ``A=b``, or "" of ``A``, by the name of the bundle."""
    pairs: dict[str, tuple[str, str]] = {}
    for text in texts:
        bundle, _, value = text.partition("=")
        known = name_of(bundle)
        require(known not in pairs, f"label: {name} must name a bundle once, got {known} twice.")
        pairs[known] = bundle, value
    return pairs


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(str(error))
