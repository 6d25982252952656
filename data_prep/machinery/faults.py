"""Whose fault it is: a file's, which is left out, or the machine's, which stops the run.

A file may be damaged, locked, or ask for absurd amounts of memory; the rest is still done. A target
that cannot be written, or a machine without memory or open files, says nothing about the file: to
leave it out would lose it. The run then ends, and goes on where it stopped.
"""

import errno
from collections.abc import Iterator
from pathlib import Path

from common.checks import InputError
from common.data.reading import ROOM

__all__ = ["MachineFault", "describe", "file_fault", "machine_fault", "out_of_memory"]

FULL = (errno.ENOSPC, errno.EDQUOT)
GONE = (errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENETUNREACH)
MACHINE = (*FULL, *GONE, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EFBIG)


class MachineFault(Exception):
    """The target or the machine failed: ``(errno, text)``; errno 0 for a lack of memory."""

    @classmethod
    def of(cls, error: OSError) -> "MachineFault":
        """What an error of writing, whatever it is, says of the target."""
        return cls(error.errno or errno.EIO, error.strerror or type(error).__name__)


def machine_fault(error: BaseException) -> MachineFault | None:
    """The fault of the machine behind an error of a reader, if there is one."""
    for cause in _chain(error):
        if isinstance(cause, MachineFault):
            return cause
        if isinstance(cause, OSError) and cause.errno in MACHINE:
            return MachineFault.of(cause)
    return None


def out_of_memory(error: BaseException) -> bool:
    """Whether a lack of memory is behind an error; `has_room` tells whose fault that is."""
    return any(
        isinstance(cause, MemoryError)
        or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM)
        for cause in _chain(error)
    )


def file_fault(error: BaseException) -> str:
    """Why a file is left out; the text of a foreign error may quote a header, so only its kind."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"unreadable ({error.strerror})"
    return f"unreadable ({type(error).__name__})"


def describe(fault: MachineFault, target: Path) -> InputError:
    """One line for the user."""
    code, text = fault.args
    again = "run the same command again; it goes on where it stopped."
    if code in FULL:
        return InputError(
            f"{target}: the disk must have room for the output, got a full disk. "
            f"Free some space and {again}"
        )
    if code in (0, errno.ENOMEM):
        return InputError(
            f"data_prep: reading an image must find {ROOM // 2**20} MB of memory, got less. Close "
            f"other programs or set fewer --workers, and {again}"
        )
    if code in (errno.EMFILE, errno.ENFILE, errno.EAGAIN):
        return InputError(
            f"data_prep: must be allowed its files and processes, got an error ({text}). Raise the "
            f"limits (ulimit -n, -u) or set fewer --workers, and {again}"
        )
    if code in GONE:
        return InputError(
            "data_prep: the files of source and target must stay where they are, got an error "
            f"({text}). Bring the disk back and {again}"
        )
    return InputError(
        f"{target}: target must be a folder one may write to, got an error ({text}). Mend it and "
        f"{again} Or choose another --target."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from or while handling; ``from None`` hides nothing here."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
