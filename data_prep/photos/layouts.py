"""Where the published sets of photographs keep their images, labels and biases.

========================  ==========================================================================
``imagenet9``             ImageNet's ``train/<wnid>/…`` and ``val/<wnid>/…``: 42 of the classes make
                          the nine of ReBias (Bahng et al. 2020)
``corrupted_cifar10``     ``<ratio>/align/<class>/…``, ``<ratio>/conflict/…``, ``<ratio>/valid/…``,
                          ``test/<class>/…`` with files ``<number>_<label>_<bias>.png``
``bffhq``                 ``<ratio>/align/…``, ``<ratio>/conflict/…``, ``valid/…``, ``test/…`` with
                          files ``<number>_<label>_<bias>.png``
========================  ==========================================================================

The last two are those of Lee et al. (DFA, 2021), which Barbano et al. (ICLR 2023) use.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from common.checks import InputError, require
from data_prep.machinery import (
    SPLITS,
    canonical,
    check_once,
    number_names,
    read_table,
    says_nothing,
)

__all__ = ["Photo", "find_photos", "with_biases"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")
NAMED = re.compile(r".*_(?P<label>\d{1,3})_(?P<bias>\d{1,3})", re.ASCII)
NINE = ["dog", "cat", "frog", "turtle", "bird", "monkey", "fish", "crab", "insect"]
SYNSETS = {
    "dog": "n02085620 n02099601 n02106550 n02106662 n02110958",
    "cat": "n02123045 n02123159 n02123394 n02123597 n02124075",
    "frog": "n01641577 n01644373 n01644900",
    "turtle": "n01664065 n01665541 n01667114 n01667778 n01669191",
    "bird": "n01819313 n01820546 n01833805 n01843383 n01847000",
    "monkey": "n02486410 n02487347 n02488291 n02488702 n02492035",
    "fish": "n02607072 n02640242 n02641379 n02643566 n02655020",
    "crab": "n01978287 n01978455 n01980166 n01981276",
    "insect": "n02174001 n02177972 n02190166 n02206856 n02219486",
}
CLASS_OF_SYNSET = {
    synset: NINE.index(name) for name, synsets in SYNSETS.items() for synset in synsets.split()
}


@dataclass(frozen=True)
class Photo:
    """One file.

    Args:
        path: the file.
        name: relative to the source, with ``/``.
        part: "training", "validation" or "test".
        label: class number.
        bias: number of the bias attribute; None where it is not known.
    """

    path: Path
    name: str
    part: str
    label: int
    bias: int | None = None


def is_photo(path: Path) -> bool:
    """Whether a file is a photograph by its name."""
    return path.suffix.lower() in SUFFIXES


def find_photos(
    source: Path,
    paths: list[Path],
    kind: str,
    ratio: str | None,
) -> tuple[list[Photo], list[str]]:
    """List the photographs of a published layout, in sorted order, and the class names.

    Args:
        source: the folder.
        paths: the photographs below it.
        kind: one of the table above.
        ratio: name of the folder of a ratio, such as "0.5pct", where the layout has several.

    Raises:
        InputError: the layout is not there.
    """
    if kind in ("corrupted_cifar10", "bffhq"):
        return _named_by_bias(source, paths, kind, ratio)
    require(ratio is None, f"photos: --ratio must be left out for --kind {kind}, got {ratio}.")
    by_folder = _by_folder(paths)
    photos = [
        Photo(path, path.relative_to(source).as_posix(), part, CLASS_OF_SYNSET[folder.name])
        for part, top in _parts(source).items()
        for folder in sorted(top.iterdir())
        if folder.is_dir() and folder.name in CLASS_OF_SYNSET
        for path in by_folder[folder]
    ]
    return photos, NINE


def _parts(source: Path) -> dict[str, Path]:
    """The folder of each part that is there; without a test part, what validates is one."""
    present: dict[str, Path] = {}
    for top in sorted(path for path in source.iterdir() if path.is_dir()):
        part = SPLITS.get(top.name.lower())
        if part is None:
            continue
        other = present.setdefault(part, top)
        require(
            other == top,
            f"{source}: source must hold one folder for {part}, got {other.name} and {top.name}. "
            "Bring them together.",
        )
    require(
        bool(present),
        f"{source}: source must hold train/<class>, val/<class> or test/<class>, got none of them. "
        "Check the folder.",
    )
    if "test" not in present and "validation" in present:
        present["test"] = present.pop("validation")
    return present


def with_biases(photos: list[Photo], table: Path) -> tuple[list[Photo], list[str], list[str]]:
    """Add the bias attribute of each photograph from a CSV with the columns file and bias.

    Args:
        photos: as `find_photos` lists them; those the table does not name keep none.
        table: ``file`` relative to the source, ``bias`` any text; numbered in sorted order.

    Returns:
        The photographs, the names of the biases, and lines for the user: how many have none.

    Raises:
        InputError: no such file or columns, or no row that fits.
    """
    rows = read_table(table, "file", "bias")
    check_once((row["file"] for row in rows), (row.where for row in rows))
    known = [row for row in rows if not says_nothing(row["bias"])]
    names = list(number_names(canonical(row["bias"]) for row in known))
    number = {row["file"]: names.index(canonical(row["bias"])) for row in known}
    biased = [replace(photo, bias=number.get(photo.name, photo.bias)) for photo in photos]
    require(
        any(photo.name in number for photo in photos),
        f"{table}: file must name images below the source, got none that exist. Write the names "
        "relative to --source.",
    )
    known_names = {photo.name for photo in photos}
    lacking = sum(photo.bias is None for photo in biased)
    strange = len(number.keys() - known_names)
    notes = [f"{table.name}: {lacking} images have no bias"] if lacking else []
    notes += [f"{table.name}: {strange} rows name no image of this layout"] if strange else []
    return biased, names, notes


def _named_by_bias(
    source: Path, paths: list[Path], kind: str, ratio: str | None
) -> tuple[list[Photo], list[str]]:
    ratios = sorted(path.parent.name for path in source.glob("*/align"))
    require(
        ratio in ratios,
        f"{source}: --ratio must name one of its folders {', '.join(ratios) or '(none found)'}, "
        f"got {ratio}.",
    )
    top = source / str(ratio)
    valid = top / "valid" if kind == "corrupted_cifar10" else source / "valid"
    folders = [
        ("training", top / "align"),
        ("training", top / "conflict"),
        ("validation", valid),
        ("test", source / "test"),
    ]
    photos = []
    by_folder = _by_folder(paths)
    for part, folder in folders:
        require(folder.is_dir(), f"{folder}: must be a folder, got none. Unpack the archive again.")
        for path in by_folder[folder]:
            match = NAMED.fullmatch(path.stem)
            name = path.relative_to(source).as_posix()
            if match is None:
                raise InputError(
                    f"{folder}: every file must be named <number>_<label>_<bias>, label and bias "
                    "below 1000, got another name. Unpack the archive again."
                )
            photos.append(Photo(path, name, part, int(match["label"]), int(match["bias"])))
    classes = 1 + max((photo.label for photo in photos), default=-1)
    return photos, [str(number) for number in range(classes)]


def _by_folder(paths: list[Path]) -> dict[Path, list[Path]]:
    """Paths below each folder, in their order."""
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        for folder in path.parents:
            by_folder[folder].append(path)
    return by_folder
