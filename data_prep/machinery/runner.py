"""Runs any preparation: in parallel, resumable, never half-written, the same bytes every time.

A source describes its work as a `Plan`: a list of items (patients or files), a function that turns
one item into files and manifest entries, and a function that splits the entries. While it runs,
each finished item has a record in a journal in ``TARGET/.progress``; an interrupted run picks up
there, and does again what has changed or does not match its SHA-256. The manifest is written last
and the records are then removed. A lock, which ends with its process, keeps a second run out.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from common.checks import InputError, require
from common.cluster import BACKENDS, cores
from common.data import read_manifest, write_manifest
from common.files import whole
from common.text import plain
from data_prep.machinery.collect import collect, damaged, read_json, remove, remove_torn, unfinished
from data_prep.machinery.faults import MachineFault, describe
from data_prep.machinery.journal import PROGRESS
from data_prep.machinery.names import Names, digest
from data_prep.machinery.plan import Item, Plan
from data_prep.machinery.pool import Workers, convert_all
from data_prep.machinery.worker import Job

__all__ = ["run"]

CURE = "Choose another --target or delete this one."


def run(
    plan: Plan,
    target: Path,
    workers: int | None = None,
    names: Names | None = None,
    isolate: bool = False,
    backend: str = BACKENDS[0],
    address: str | None = None,
) -> dict[str, Any]:
    """Do what `plan` says, or what is left of it, and write the manifest.

    Args:
        plan: the work.
        target: output folder: new, empty, or holding an earlier run of the same plan.
        workers: processes; all cores if None. The output does not depend on it.
        names: numbers of the plan's origins; made if None.
        isolate: read in a process of its own even with one worker, so that a decoder that crashes
            does not end this one.
        backend: where items are converted, as of `common.cluster.spread`; source and target are
            where its workers see them too.
        address: of the cluster.

    Returns:
        The manifest.

    Raises:
        InputError: `target` holds something else or cannot be written, the machine fails, another
            run writes there, or no item could be used.
    """
    names = names or Names(plan)
    here = not isolate and (workers == 1 or len(plan.items) < 2)
    converters = Workers(0 if here else workers or cores(), backend, address)
    try:
        if _is_finished(target, plan, names) and not (target / PROGRESS).exists():
            return _finished(plan, target)
        (target / PROGRESS).mkdir(parents=True, exist_ok=True)
        with _locked(target):
            whole = _is_finished(target, plan, names, say=True)
            if not whole and not _mended(plan, target, converters, names):
                _prepare(plan, target, converters, names)
            shutil.rmtree(target / PROGRESS)
        return _finished(plan, target)
    except MachineFault as fault:
        raise describe(fault, target) from None
    except OSError as error:
        raise describe(MachineFault.of(error), target) from None
    except MemoryError:
        raise describe(MachineFault(0, "no memory"), target) from None


def _finished(plan: Plan, target: Path) -> dict[str, Any]:
    """The manifest, and what the plan makes of the whole."""
    manifest = read_manifest(target)
    if plan.finish is not None:
        plan.finish(manifest, target)
    return manifest


def _prepare(plan: Plan, target: Path, converters: Workers, names: Names) -> None:
    """Convert what is not yet converted, and write the manifest."""
    identity = _identity(plan, names)
    earlier = _read(target / "manifest.json")
    with whole(target / PROGRESS / "run.json") as partial:
        partial.write_bytes(_json(identity))
    (target / "manifest.json").unlink(missing_ok=True)
    _convert(plan, plan.items, target, converters, names)
    manifest = collect(plan, target, identity, names)
    manifest["inputs"] = _inputs(names, manifest["skipped"])
    remove(target, set(earlier.get("sha256", {})) - set(manifest["sha256"]))
    remove_torn(target)
    write_manifest(target, manifest)


def _mended(plan: Plan, target: Path, converters: Workers, names: Names) -> bool:
    """Make damaged files of a finished run again, where it is known what they came from."""
    manifest = _read(target / "manifest.json")
    bad = set(damaged(target, manifest.get("sha256", {})))
    origins = {path: manifest["origins"][path] for path in bad & set(manifest.get("origins", {}))}
    if not bad or len(origins) < len(bad) or _skipped_have_changed(manifest, names):
        return False
    numbers = {n for value in origins.values() for n in (value if type(value) is list else [value])}
    items = [item for item in plan.items if numbers & set(names.of(item).values())]
    _convert(plan, items, target, converters, names)
    return not damaged(target, manifest["sha256"])


def _convert(
    plan: Plan, items: list[Item], target: Path, converters: Workers, names: Names
) -> None:
    def job_of(item: Item) -> Job:
        return Job(item, names.of(item), _token(item))

    pending = unfinished(plan, items, target, _token)
    bar = tqdm(total=len(items), initial=len(items) - len(pending), disable=None)
    with bar:
        convert_all(plan.convert, pending, job_of, target, converters, bar)


def _identity(plan: Plan, names: Names) -> dict[str, Any]:
    """What must be equal for a run to be the same: source, arguments, names of inputs, classes."""
    return {
        "source": plan.source,
        "arguments": {
            key: plain(value) if isinstance(value, str) else value
            for key, value in plan.arguments.items()
        },
        "files": digest(sorted(names.origins) or [item.key for item in plan.items]),
        **{key: plan.extra[key] for key in ("classes",) if key in plan.extra},
    }


def _inputs(names: Names, skipped: list[dict[str, str]]) -> str:
    """SHA-256 of everything that was used; what was left out may change and is then tried again."""
    out = {line["file"] for line in skipped}
    return digest(
        part
        for name, number in sorted(names.numbers.items())
        if f"file {number}" not in out
        for part in (name, names.origins[name].stamp())
    )


def _token(item: Item) -> str:
    """Of one item, while the run goes on: also the times of its files."""
    parts = [(origin.name, origin.stamp(), origin.state()) for origin in item.origins]
    return digest([item.key, *(text for part in parts for text in part)])


def _is_finished(target: Path, plan: Plan, names: Names, say: bool = False) -> bool:
    """Whether `target` holds this run, whole; raises if it holds anything else.

    It is not whole where a file does not match its digest, or one that was left out has changed.
    """
    manifest = _read(target / "manifest.json")
    _require_same(target, manifest or _read(target / PROGRESS / "run.json"), plan, names)
    if not manifest:
        return False
    reason = None
    if _skipped_have_changed(manifest, names):
        reason = "a file that was left out has changed"
    elif bad := damaged(target, manifest["sha256"]):
        reason = f"{len(bad)} of {len(manifest['sha256'])} files do not match their SHA-256"
    if reason and say:
        print(f"{target}: {reason}: prepared again.", file=sys.stderr)
    return reason is None


def _require_same(target: Path, earlier: dict[str, Any], plan: Plan, names: Names) -> None:
    """Refuse a target that holds another run, or anything else."""
    if not earlier:
        others = list(target.iterdir()) if target.is_dir() else []
        require(
            all(path.name == PROGRESS for path in others),
            f"{target}: target must be an empty folder, got other files. Choose another --target.",
        )
        return
    changed = [key for key, value in _identity(plan, names).items() if earlier.get(key) != value]
    if "skipped" in earlier and not changed:
        out = {line["file"] for line in earlier["skipped"]}
        used = [o for name, o in names.origins.items() if f"file {names.numbers[name]}" not in out]
        written = (target / "manifest.json").stat().st_mtime_ns
        now = time.time_ns()  # a date in the future says nothing
        newer = any(written < origin.newest() <= now for origin in used)
        if newer or earlier.get("inputs") != _inputs(names, earlier["skipped"]):
            changed = ["files"]
    words = " and ".join(changed).replace("files", "inputs")
    require(
        not changed,
        f"{target}: target must be empty or hold the same run, got one with other {words}. {CURE}",
    )


def _skipped_have_changed(manifest: dict[str, Any], names: Names) -> bool:
    by_alias = {f"file {number}": name for name, number in names.numbers.items()}
    return any(
        names.skipped(by_alias[line["file"]], "")["state"] != line["state"]
        for line in manifest["skipped"]
        if line["file"] in by_alias
    )


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the target's lock, which the system takes back when this process ends."""
    lock = FileLock(target / PROGRESS / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"{target}: target must be written by one run at a time, got another that is at work "
            "there. Wait for it or choose another --target."
        ) from None
    except NotImplementedError:
        print(
            f"{target}: this file system knows no locks; start no second run there.",
            file=sys.stderr,
        )
    try:
        yield
    finally:
        lock.release()


def _read(path: Path) -> dict[str, Any]:
    """A manifest or the identity of a run; empty where there is none."""
    if not path.is_file():
        return {}
    content = read_json(path)
    manifest = {"skipped": list, "sha256": dict} if path.name == "manifest.json" else {}
    kinds: dict[str, type] = {"arguments": dict, "source": str, **manifest}
    require(
        all(isinstance(content.get(key), kind) for key, kind in kinds.items()),
        f"{path}: must be what an earlier run wrote, got something else. {CURE}",
    )
    return content


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
