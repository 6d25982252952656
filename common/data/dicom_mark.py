"""Whether a file is DICOM, from its first bytes; needs no DICOM library."""

import re
from pathlib import Path

__all__ = ["is_dicom"]

MARK = slice(128, 132)
OTHERS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"RIFF")  # pictures
# the first element of a file without preamble: of group 2 or 8, explicit or implicit, its length
BARE = re.compile(
    rb"[\x02\x08]\0[\0-\x70]\0(?:[A-Z]{2}|[\0-\x40]\0\0\0)|\0[\x02\x08]\0[\0-\x70][A-Z]{2}"
)


def is_dicom(path: str | Path) -> bool:
    """Whether a file is DICOM: by its mark (PS3.10, section 7.1), its first element or its name.

    A picture named ``.dcm`` is none, and DICOM named ``.png`` is. A file that cannot be read counts
    as DICOM if its name says so, or has no suffix that says otherwise.
    """
    path = Path(path)
    named = path.suffix.lower() in (".dcm", ".dicom")
    try:
        if not path.is_file():
            return named
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return named or not path.suffix
    if start[MARK] == b"DICM":
        return True
    return bool(BARE.match(start)) or (named and not start.startswith(OTHERS))
