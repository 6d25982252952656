"""Runs any preparation: in parallel, resumable, never half-written, the same bytes every time.

A source describes its work as a `Plan`: a list of items (patients or files), a function that turns
one item into files and manifest entries, and a function that splits the entries. While it runs,
each finished item has a small record in ``TARGET/.progress``; a run that was interrupted picks up
there. The manifest is written last and the records are then removed.
"""

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.checks import InputError, require
from common.data import read_manifest, write_manifest
from data_prep.collect import PROGRESS, collect, record_path
from data_prep.files import Output, write_atomically
from data_prep.plan import Item, Plan
from data_prep.split import Entry

__all__ = ["run"]

FULL = (errno.ENOSPC, errno.EDQUOT)


def run(plan: Plan, target: Path, workers: int | None = None) -> dict[str, Any]:
    """Do what `plan` says, or what is left of it, and write the manifest.

    Args:
        plan: the work.
        target: output folder: new, empty, or holding an earlier run of the same plan.
        workers: processes; all cores if None. The output does not depend on it.

    Returns:
        The manifest.

    Raises:
        InputError: `target` holds something else, the disk is full, or no item could be used.
    """
    identity = _identity(plan)
    try:
        if _finished(target, identity):
            shutil.rmtree(target / PROGRESS, ignore_errors=True)
            return read_manifest(target)
        (target / PROGRESS).mkdir(parents=True, exist_ok=True)
        write_atomically(target / PROGRESS / "run.json", _json(identity))
        _convert_all(plan, target, workers or _cores())
        manifest = collect(plan, target, identity)
        write_manifest(target, manifest)
    except OSError as error:
        if error.errno not in FULL:
            raise InputError(
                f"{target}: target must be a folder one may write to, got an error "
                f"({error.strerror}). Choose another --target."
            ) from None
        raise InputError(
            f"{target}: the disk must have room for the output, got a full disk. "
            "Free some space and run the same command again; it goes on where it stopped."
        ) from None
    shutil.rmtree(target / PROGRESS)
    return manifest


def _cores() -> int:
    """Cores this process may use; fewer than the machine's in a container or a batch job."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _identity(plan: Plan) -> dict[str, Any]:
    """What must be equal for a run to be the same: source, arguments and inputs."""
    inputs = [[item.key, item.name, item.stamp] for item in plan.items]
    return {
        "source": plan.source,
        "arguments": plan.arguments,
        "inputs": hashlib.sha256(_json(inputs)).hexdigest(),
    }


def _finished(target: Path, identity: dict[str, Any]) -> bool:
    """Whether `target` holds this run's manifest; raises if it holds anything else."""
    for path in (target / "manifest.json", target / PROGRESS / "run.json"):
        if not path.is_file():
            continue
        earlier = json.loads(path.read_text(encoding="utf-8"))
        changed = [key for key, value in identity.items() if earlier.get(key) != value]
        require(
            not changed,
            f"{target}: target must be empty or hold the same run, got one with other "
            f"{' and '.join(changed)}. Choose another --target or delete this one.",
        )
        return path.name == "manifest.json"
    require(
        not target.is_dir() or not any(target.iterdir()),
        f"{target}: target must be an empty folder, got other files. Choose another --target.",
    )
    return False


def _convert_all(plan: Plan, target: Path, workers: int) -> None:
    """Convert the items that have no record yet."""
    pending = [item for item in plan.items if not record_path(target, item).is_file()]
    bar = tqdm(total=len(plan.items), initial=len(plan.items) - len(pending), disable=None)
    with bar:
        if workers == 1 or len(pending) < 2:
            for item in pending:
                _convert_one(plan.convert, item, target)
                bar.update()
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(pending)), mp_context=context) as pool:
            with _interrupts_ignored():  # inherited by the workers: Ctrl-C is ours to handle
                futures = [
                    pool.submit(_convert_one, plan.convert, item, target) for item in pending
                ]
            _collect(pool, futures, bar)


def _collect(pool: ProcessPoolExecutor, futures: list[Future[None]], bar: Any) -> None:
    """Wait for all; on the first failure or Ctrl-C, let the running ones end and drop the rest."""
    try:
        for future in as_completed(futures):
            future.result()
            bar.update()
    except BrokenProcessPool:
        raise InputError(
            "data_prep: every worker must live, got one that was killed (out of memory?). "
            "Run the same command again with fewer --workers; it goes on where it stopped."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: Ctrl-C does not come here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _convert_one(convert: Callable[[Any, Output], list[Entry]], item: Item, target: Path) -> None:
    """Convert one item and leave its record: entries and digests, or why it was skipped."""
    output = Output(target)
    record: dict[str, Any]
    try:
        entries = convert(item.payload, output)
        record = {"entries": entries, "sha256": output.digests, "left_out": output.skipped}
    except InputError as error:
        if isinstance(error.__cause__, OSError):  # the output could not be written
            raise error.__cause__ from None
        record = {"skipped": {"file": item.name, "reason": str(error)}}
    except OSError as error:
        if error.errno in FULL:
            raise
        record = {"skipped": _skip(item, f"unreadable ({error.strerror})")}
    except Exception as error:  # its text may quote a header, so only its kind is kept
        record = {"skipped": _skip(item, f"unreadable ({type(error).__name__})")}
    if "skipped" in record:
        for relative in output.digests:
            (target / relative).unlink(missing_ok=True)
    write_atomically(record_path(target, item), _json(record))


def _skip(item: Item, reason: str) -> dict[str, str]:
    return {"file": item.name, "reason": f"{item.name}: {reason}"}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
