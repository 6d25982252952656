"""``python -m common audit --dataset_dir DIR [--transforms BUNDLE ...] [--output audit.html]``.

What a choice of transformations does to one's own images, before anything is trained: one page to
look at, beside it all numbers (``audit.json``) and, for each set of transformations of a bundle, a
proposal that its training accepts (``audit_proposal.json``). No GPU is needed.
"""

import glob
import json
import shlex
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from common.audit.images import AuditImages
from common.audit.reading import read_images
from common.audit.run_audit import audit
from common.checks import require
from common.command_line import CommandParser
from common.files import replacing
from common.report.audit.page import in_words, write_audit
from common.report.audit.proposal import overlay_text
from common.report.audit.result import Audit

__all__ = ["main"]

GREY = ("brain_mri_learned_transforms+strategy_base_simclr", "chest_xray_decoupled_uniformity")
COLOURED = ("fundus_photo_dino", "natural_image_ssl_study")
VOLUMES = ("brain_mri_y_aware", "brain_mri_y_aware+augmentation_cutout")
MAX_IMAGES = 2000
LARGEST = 2048  # pixels of a side: all images are held in memory


def main(words: Sequence[str]) -> int:
    """Audit sets of transformations; return the exit code.

    Raises:
        InputError: nothing that can be read, no such set, wrong numbers, or nowhere to write to.
    """
    options = _parser().parse_args(list(words))
    output: Path = options.output
    require(
        output.suffix in (".html", ".htm") and not output.is_dir(),
        f"--output must be a file that ends in .html, got {output}. Write audit.html.",
    )
    require(0 < options.keep <= 1, f"--keep must be in (0, 1], got {options.keep:g}.")
    for name in ("max_images", "image_size"):
        given = getattr(options, name)
        require(given is None or given >= 2, f"--{name} must be at least 2, got {given}.")
    size = options.image_size or 2
    require(size <= LARGEST, f"--image_size must be at most {LARGEST}, got {size}.")
    require(0 <= options.seed < 2**32, f"--seed must be 0 to 4294967295, got {options.seed}.")
    _make_place(output)
    images: Path | AuditImages = options.dataset_dir
    sets = options.transforms
    if not sets:
        given = {"max_images": options.max_images, "seed": options.seed}
        images = read_images(options.dataset_dir, size=options.image_size, **given)
        sets = _fitting(images)
    found = audit(
        images,
        sets,
        encoder=options.encoder,
        size=options.image_size,
        max_images=options.max_images,
        keep=options.keep,
        seed=options.seed,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    title = options.title or f"Audit of {found.images.source}"
    return _write(found, output, title, options.dataset_dir)


def _fitting(images: AuditImages) -> tuple[str, ...]:
    """Sets of the papers that fit the images."""
    if images.spatial_dims == 3:
        return VOLUMES
    return GREY + COLOURED if images.x.shape[1] == 3 else GREY


def _make_place(output: Path) -> None:
    """Make the page's folder, and see whether a file can be written there, before the work."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        require(
            False,
            f"--output must lie in a folder that can be written to, got {output} "
            f"({error.strerror}). Choose another.",
        )


def _write(found: Audit, output: Path, title: str, data: Path) -> int:
    page = write_audit(found, output, title)
    for old in output.parent.glob(f"{glob.escape(output.stem)}_proposal*.json"):
        old.unlink()  # of an earlier audit of that name: another page's proposals
    text = json.dumps(found.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    numbers = _written(output.with_suffix(".json"), text)
    for line in in_words(found):
        print(line)
    for at, one in enumerate(found.sets):
        if one.proposal is not None and one.proposal.words and one.proposal.overlay:
            behind = f"_{at + 1}" if len(found.sets) > 1 else ""
            path = output.with_name(f"{output.stem}_proposal{behind}.json")
            _written(path, overlay_text(one.proposal.overlay))
            print(f"proposal: {path}; {_training(one.proposal.bundle, data, output, path)}")
    print(f"numbers: {numbers}")
    print(f"audit: {page}", flush=True)
    return 0


def _training(bundle: str, data: Path, output: Path, proposal: Path) -> str:
    """Say how to train with a proposal; only a folder that was prepared can be trained on."""
    trained = proposal.stem.replace(f"{output.stem}_proposal", f"{output.stem}_trained")
    prepared = (data / "manifest.json").is_file()
    words = ["python", "-m", "common", "train", bundle, str(data) if prepared else "data/mine"]
    words += ["--output", trained, "--overlays", str(proposal)]
    first = ["python", "-m", "data_prep", "folders", "--source", str(data), "--target", "data/mine"]
    before = "" if prepared else f"prepare the folder: {shlex.join(first)}; then "
    return f"{before}train with it: {shlex.join(words)}"


def _written(path: Path, text: str) -> Path:
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def _parser() -> ArgumentParser:
    parser = CommandParser(
        "python -m common audit",
        description="What transformations do to images: a page, and its numbers beside it.",
        epilog="The page holds pictures of the images. Research use only; not a medical device.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--dataset_dir",
        type=Path,
        required=True,
        help="folder that data_prep wrote, or any folder of images (2D or 3D)",
    )
    parser.add_argument(
        "--transforms",
        nargs="+",
        metavar="SET",
        help="bundles by name, with overlays as in BUNDLE+augmentation_strong or BUNDLE+FILE.json; "
        "folders of trained runs. Sets of the papers that fit the images unless given: "
        f"{', '.join(GREY)}, in colour also {', '.join(COLOURED)}; of volumes {', '.join(VOLUMES)}",
    )
    parser.add_argument(
        "--encoder",
        metavar="MODEL",
        help="bundle with a model, or a model's folder; an untrained encoder unless given",
    )
    parser.add_argument("--output", type=Path, default=Path("audit.html"), help="the page")
    parser.add_argument(
        "--keep",
        type=float,
        default=0.9,
        help="share of the label's information, and of lesions, that a proposal must keep (0.9)",
    )
    parser.add_argument(
        "--max_images",
        type=int,
        default=MAX_IMAGES,
        help=f"whole patients are drawn until there are as many ({MAX_IMAGES:,})",
    )
    parser.add_argument("--image_size", type=int, help="pixels of the longer side")
    parser.add_argument("--seed", type=int, default=0, help="of all draws (0)")
    parser.add_argument("--title", help="heading of the page")
    return parser
