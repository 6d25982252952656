"""``python -m common.label --studies DIR --bundles A,B``: start MONAI Label with these bundles."""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from common.checks import InputError, require
from common.command_line import CommandParser
from common.files import is_relative
from common.label.models import Model, name_of
from common.label.server.archive import FOLDER
from common.label.server.settings import OURS, Options, are_classes, require_folder

FOLDER_EACH = "folder"
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
    require(
        bool(given.host.strip()),
        "label: --host must be an address of this machine, got none. 0.0.0.0 is all of them.",
    )
    query = _query(given.query, given.dicomweb)
    bundles = _pairs(given.bundles.split(","), "--bundles")
    for _, below in bundles.values():
        require(
            not below or _is_below(given.studies, below) or (below == FOLDER and given.dicomweb),
            f"label: --bundles must name a folder below the studies with images, got {below!r}.",
        )
    studies = given.studies.resolve()
    work = (given.work or studies / ".label").resolve()
    require(
        not work.is_relative_to(studies) or work.relative_to(studies).as_posix().startswith("."),
        "label: --work must be outside the studies, or a folder of them whose name starts with a "
        "dot: what is made there would count as studies.",
    )
    classes = _classes(given.classes, bundles)
    return Options(
        studies,
        dict(bundles.values()),
        work,
        classes,
        given.host,
        given.port,
        given.dicomweb,
        query,
        given.patients == FOLDER_EACH,
    )


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
        "--patients",
        choices=(FOLDER_EACH, "name"),
        default=FOLDER_EACH,
        help="whose an image is, if its label, DICOM header or manifest does not say: a sub-folder "
        "is a patient; or only the start of the file's name tells (wards, years as sub-folders)",
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


def _is_below(studies: Path, below: str) -> bool:
    parts = PurePosixPath(below).parts
    if not parts or not is_relative(below) or any(part.startswith(".") for part in parts):
        return False
    return parts[0] not in OURS and (studies / below).is_dir()


def _query(text: str, dicomweb: str) -> dict[str, str]:
    """The attributes of ``A=b,C=d``."""
    pairs = [part.partition("=") for part in text.split(",") if text]
    query = {name.strip(): value.strip() for name, _, value in pairs}
    require(
        all([*query, *query.values()]) and len(query) == len(pairs) and bool(dicomweb or not query),
        f"label: --query must be attributes of --dicomweb, each once, as A=b,C=d, got {text!r}.",
    )
    return query


def _classes(texts: Sequence[str], bundles: Mapping[str, tuple[str, str]]) -> dict[str, list[str]]:
    """The classes that are given, by the name of their bundle."""
    pairs = _pairs(texts, "--classes")
    classes = {
        name: [each.strip() for each in text.split(",")] for name, (_, text) in pairs.items()
    }
    for name, names in classes.items():
        require(
            name in bundles and are_classes(names),
            "label: --classes must be two or more different names for one of the bundles, got "
            f"{','.join(names)!r}.",
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
