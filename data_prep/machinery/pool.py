"""Converting items in processes of their own, one of which a damaged file may end.

A decoder written in C can end its process. The items that were being done are then done again one
at a time, which finds the file at fault; it is left out, and the others go on in new processes. So
are those for which memory did not suffice beside others. On a cluster `part` does the first, and
the second is done here.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.checks import InputError
from common.cluster import BACKENDS, LostWorker, spread
from common.own_process import Wanted
from data_prep.machinery.journal import PROGRESS, Journal, recorded
from data_prep.machinery.part import Part, convert_part
from data_prep.machinery.plan import Item
from data_prep.machinery.worker import Job, convert, crashed, note_path

__all__ = ["Workers", "convert_all"]

PARTS = 4  # for each worker of a cluster, which takes seconds to begin one
LOSSES = 3  # rounds in which a cluster may lose workers
MOST = 64  # items that a process is given at once, which costs as much as converting a small one
SHARES = 8  # for each process at least, so that all end together
A_WHILE = 0.5  # seconds after which a process gives back what it has not begun

Function = Callable[[Any, Any], list[dict[str, Any]]]

_journals: dict[Path, Journal] = {}  # of a worker process


@dataclass(frozen=True)
class Workers:
    """Who converts.

    Args:
        count: processes; 0 for this one, which a decoder may then end. Of a cluster that is started
            here, its workers.
        backend: as of `common.cluster.spread`.
        address: likewise.
    """

    count: int
    backend: str = BACKENDS[0]
    address: str | None = None


class _Waiting:
    """Jobs that nobody has begun, made when they are taken: a million at once would not be small.

    Args:
        items: to be done.
        job_of: makes the job of an item.
    """

    def __init__(self, items: Sequence[Item], job_of: Callable[[Item], Job]) -> None:
        self._items = deque(items)
        self._back: deque[Job] = deque()
        self._job_of = job_of

    def __len__(self) -> int:
        return len(self._items) + len(self._back)

    def take(self, count: int) -> list[Job]:
        """Take some."""
        some = [self._back.popleft() for _ in range(min(count, len(self._back)))]
        rest = min(count - len(some), len(self._items))
        return some + [self._job_of(self._items.popleft()) for _ in range(rest)]

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Let jobs that were taken and not begun be the next ones."""
        self._back.extendleft(reversed(jobs))


def convert_all(
    function: Function,
    items: Sequence[Item],
    job_of: Callable[[Item], Job],
    target: Path,
    workers: Workers,
    bar: Any,
) -> None:
    """Convert every job; see `data_prep.machinery.worker.convert`.

    Args:
        function: the plan's `convert`, of module level.
        items: without a record.
        job_of: makes the job of an item.
        target: the folder.
        workers: who converts.
        bar: told of each item that is done.

    Raises:
        MachineFault: as `convert`; the items being done are done first.
        InputError: no process can be started, or no cluster is there.
    """
    if workers.backend != BACKENDS[0]:
        with Wanted.opened(target / PROGRESS / "wanted") as wanted:
            jobs = list(map(job_of, items))
            alone = _on_cluster(function, jobs, target.resolve(), workers, bar, wanted)
        _one_at_a_time(function, alone, target, bar)
        return
    if workers.count == 0 or not _has_processes(target):
        with Journal(target) as journal:
            for item in items:
                convert(function, job_of(item), target, journal, alone=True)
                bar.update()
        return
    waiting = _Waiting(items, job_of)
    later: list[Job] = []
    while waiting:
        suspects = _in_parallel(function, waiting, later, target, workers.count, bar)
        _one_at_a_time(function, suspects, target, bar)
    _one_at_a_time(function, later, target, bar)


def _on_cluster(
    function: Function, jobs: list[Job], target: Path, workers: Workers, bar: Any, wanted: Wanted
) -> list[Job]:
    """Convert on the workers of a cluster; return the jobs that are to be done alone."""

    def parts(count: int) -> Iterator[Part]:
        left = Part(function, tuple(jobs), target, wanted, Path.cwd()).left()
        size = max(1, -(-len(left) // (PARTS * count)))
        for begin in range(0, len(left), size):
            yield Part(function, tuple(left[begin : begin + size]), target, wanted, Path.cwd())

    for _ in range(LOSSES):
        alone: list[Job] = []
        try:
            where = (workers.backend, workers.address, max(1, workers.count))
            with closing(spread(_converted, parts, *where, ahead="2 * n_jobs")) as results:
                for done, later in results:
                    alone += later
                    bar.update(done)
            return alone
        except LostWorker as lost:
            reason = str(lost)
    raise InputError(
        f"--backend {workers.backend}: workers must stay alive, got {LOSSES} losses ({reason}). "
        "Run the same command again; it goes on where it stopped."
    )


def _converted(part: Part) -> tuple[int, list[Job]]:
    later = convert_part(part)
    return len(part.jobs) - len(later), later


def _in_parallel(
    function: Function,
    waiting: _Waiting,
    later: list[Job],
    target: Path,
    workers: int,
    bar: Any,
) -> list[Job]:
    """Convert until none waits or a process ends; return the jobs that were then being done."""
    flight: dict[Future[list[bool]], list[Job]] = {}
    pool = _pool(min(workers, len(waiting)), target)

    def send() -> None:
        jobs = waiting.take(min(MOST, max(1, len(waiting) // (SHARES * workers))))
        flight[pool.submit(_convert_some, function, jobs, target)] = jobs

    try:
        with _interrupts_ignored():  # inherited by the workers: Ctrl-C is ours to handle
            while waiting and len(flight) < 2 * workers:
                send()
        while flight:
            for future in wait(flight, return_when=FIRST_COMPLETED).done:
                done = future.result()
                jobs = flight.pop(future)
                later += [job for job, good in zip(jobs, done) if not good]
                bar.update(sum(done))
                waiting.give_back(jobs[len(done) :])
                if waiting:
                    send()
    except BrokenProcessPool:
        return _suspects(list(flight.values()), waiting, later, target, bar)
    finally:
        pool.shutdown(cancel_futures=True)
    return []


def _suspects(
    flight: list[list[Job]], waiting: _Waiting, later: list[Job], target: Path, bar: Any
) -> list[Job]:
    """Of the jobs each process had, those it may have been at; the others wait again."""
    there = recorded(target)
    suspects = []
    for jobs in flight:
        left = [job for job in jobs if (job.item.key, job.token) not in there and job not in later]
        bar.update(len(jobs) - len(left))
        suspects += left[:1]
        waiting.give_back(left[1:])
    return suspects


def _convert_some(function: Function, jobs: list[Job], target: Path) -> list[bool]:
    """In a worker: convert jobs, for a while; return what `convert` says of those that were."""
    end, done = time.monotonic() + A_WHILE, list[bool]()
    for job in jobs:
        done.append(convert(function, job, target, _journals[target], alone=False))
        if time.monotonic() > end:
            break
    return done


def _convert_alone(function: Function, job: Job, target: Path, avoid: set[int]) -> bool:
    return convert(function, job, target, _journals[target], True, avoid)


def _one_at_a_time(function: Function, jobs: list[Job], target: Path, bar: Any) -> None:
    """Convert each job with nothing beside it; leave out what ends its process again."""
    pool = None
    for job in jobs:
        avoid: set[int] = set()
        done = False
        while not done:
            pool = pool or _started(target)
            try:
                with _interrupts_ignored():
                    future = pool.submit(_convert_alone, function, job, target, avoid)
                done = future.result()
            except BrokenProcessPool:
                pool.shutdown()
                pool = None
                done = not _blame(job, target, avoid)
            finally:
                note_path(target, job.item).unlink(missing_ok=True)
        bar.update()
    if pool is not None:
        pool.shutdown()


def _blame(job: Job, target: Path, avoid: set[int]) -> bool:
    """Note which origin ended the process; without one leave out the item and return False."""
    note = note_path(target, job.item)
    number = int(note.read_text()) if note.is_file() else 0
    if number and number not in avoid:
        avoid.add(number)
        return True
    with Journal(target) as journal:
        crashed(job, journal)
    return False


def _started(target: Path) -> ProcessPoolExecutor:
    """One process that has been seen to work, so that no file is blamed for one that never did."""
    pool = _pool(1, target)
    try:
        with _interrupts_ignored():
            future = pool.submit(os.getpid)
        future.result()
    except BrokenProcessPool:
        pool.shutdown()
        raise InputError(
            "data_prep: every worker must live, got one that was killed as it started (out of "
            "memory?). Run the same command again with fewer --workers; it goes on where it "
            "stopped."
        ) from None
    return pool


def _has_processes(target: Path) -> bool:
    """Whether this system lets processes share a queue; some sandboxes do not."""
    try:
        _pool(1, target).shutdown()
    except (OSError, NotImplementedError):
        return False
    return True


def _pool(workers: int, target: Path) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _settle, (target,))


def _settle(target: Path) -> None:
    """In a worker: open its journal, say nothing, and end with the parent.

    C libraries write names and header values to standard error. A worker whose parent was killed
    would go on writing where a second run may be at work.
    """
    _journals[target] = Journal(target)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.close(sink)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
