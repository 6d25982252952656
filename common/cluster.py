"""Where many tasks run: here, or on the workers of a Dask or a Ray cluster, by joblib.

::

    spread(function, tasks) ──joblib──▶ function(task) on some worker ──▶ results, as they end

Who calls it gives a function that does not raise for a fault of its task, and knows from its own
files what is done: a task whose worker died is given to another one, and so may be begun twice.
Workers read and write the same folders, and have this package installed.
"""

import os
import re
import signal
import socket
import warnings
from argparse import ArgumentParser
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from joblib import Parallel, delayed
from joblib.parallel import ParallelBackendBase

from common.checks import InputError, require

__all__ = ["BACKENDS", "LostWorker", "add_arguments", "cores", "spread"]

BACKENDS = ("processes", "dask", "ray")
CONNECTING = 20  # seconds until a scheduler that does not answer counts as none
WORKERS = 7 * 24 * 3600  # seconds to wait for the first worker: a batch system has queues
_ADDRESS = re.compile(r"(?:\w+://)?([^/:]+):(\d{1,5})/?")
RETRIES = 3  # of a task whose worker died

T = TypeVar("T")
R = TypeVar("R")


class LostWorker(Exception):
    """A worker died, and its cluster gave up the task it had."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add ``--backend`` and ``--address``."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default=BACKENDS[0],
        help="where tasks run: processes of this machine unless given",
    )
    parser.add_argument(
        "--address",
        help="of the cluster's scheduler (tcp://HOST:8786, or a scheduler file; ray://HOST:10001, "
        "or auto); unless given, a small cluster is started here",
    )


def cores() -> int:
    """Cores this process may use; fewer than the machine's in a container or a batch job."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spread(
    function: Callable[[T], R],
    tasks: Iterable[T] | Callable[[int], Iterable[T]],
    backend: str = BACKENDS[0],
    address: str | None = None,
    jobs: int | None = None,
    gpus: bool = False,
    ahead: str = "all",
) -> Generator[R, None, None]:
    """Yield the result of each task as it ends, in no order.

    Args:
        function: picklable; with "processes" it is called in threads, and starts a process.
        tasks: picklable; or what makes them of the number of tasks at once.
        backend: one of `BACKENDS`.
        address: of the scheduler.
        jobs: tasks at once here, or workers of a cluster that is started here; 1 unless given. Of
            a cluster that is there all workers are used.
        gpus: give each task a GPU of its own where the cluster has some.
        ahead: how many tasks are handed out before one ends, as joblib's ``pre_dispatch``.

    Raises:
        InputError: the package is missing, or nothing answers at `address`.
        LostWorker: see there; what is not done can be spread again.
        Exception: what `function` raises.
    """
    require(
        backend != BACKENDS[0] or address is None,
        f"--address: must come with --backend {' or '.join(BACKENDS[1:])}, got it alone.",
    )
    with ExitStack() as stack:
        where: str | ParallelBackendBase = "threading"
        if backend == "dask":
            where = _dask(stack, address, jobs or 1, gpus)
            jobs = where.effective_n_jobs(-1)
        elif backend == "ray":
            where, jobs = _ray(stack, address, jobs or 1, gpus)
        tasks = tasks(jobs or 1) if callable(tasks) else tasks
        if backend == "ray" and jobs == 1:
            results = _in_turn(function, tasks, gpus)
        else:
            parallel = Parallel(
                n_jobs=jobs or 1,
                backend=where,
                return_as="generator_unordered",
                pre_dispatch=ahead,
                batch_size=1,
            )
            results = parallel(delayed(function)(task) for task in tasks)
        try:
            for result in results:  # noqa: UP028  "yield from" closes them, with a warning
                yield result
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("distributed", "ray"):
                raise LostWorker(str(error).splitlines()[0]) from error
            raise
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that not all was done
                results.close()


def _dask(stack: ExitStack, address: str | None, jobs: int, gpus: bool) -> ParallelBackendBase:
    """Connect to a scheduler, or start one with its workers; wait until there is a worker."""
    try:
        from distributed import Client, LocalCluster
        from joblib._dask import DaskDistributedBackend
    except ImportError:
        raise _missing("dask", "dask[distributed]") from None
    _reach(address)

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        """joblib's, which would wait for ever for a task that Dask has given up."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, int(super().effective_n_jobs(n_jobs)))  # of one job joblib does all here

        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: done.exception() and callback(done.exception()))
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, Exception):
                raise out
            return super().retrieve_result_callback(out)

    try:
        if address is None:
            local = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
            address = stack.enter_context(local)
        file = {"scheduler_file": address} if str(address).endswith(".json") else {}
        client = stack.enter_context(
            Client(**file, timeout=CONNECTING) if file else Client(address, timeout=CONNECTING)
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise _silent(address, error) from None
    if not client.ncores():
        print(f"{address}: waiting for a first worker", flush=True)
    backend = Backend(client=client, wait_for_workers_timeout=WORKERS)
    backend.effective_n_jobs(-1)  # waits
    workers = client.scheduler_info()["workers"].values()
    if gpus and any("GPU" in worker["resources"] for worker in workers):
        backend.submit_kwargs["resources"] = {"GPU": 1}
    return backend


def _ray(
    stack: ExitStack, address: str | None, jobs: int, gpus: bool
) -> tuple[ParallelBackendBase, int]:
    """Connect to a cluster, or start one with as many processors; return it and its size."""
    try:
        import ray
        from ray.util.joblib.ray_backend import RayBackend
    except ImportError:
        raise _missing("ray", "ray") from None
    _reach(address)

    class Backend(RayBackend):  # type: ignore[misc]
        """Ray's, which can tell of each result as it ends, but does not say so."""

        supports_return_generator = True

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports to its makers
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    ending = signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            ray.init(num_cpus=jobs, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise _silent(address, error) from None
    stack.callback(ray.shutdown)
    with suppress(ValueError):  # not the main thread, where Ray leaves it too
        signal.signal(signal.SIGTERM, ending)  # Ray's aborts
    resources = ray.cluster_resources()
    own = "GPU" if gpus and resources.get("GPU", 0) >= 1 else "CPU"
    options = {f"num_{own.lower()}s": 1, "max_restarts": -1, "max_task_retries": RETRIES}
    return Backend(ray_remote_args=options), int(resources.get(own, 1))


def _in_turn(
    function: Callable[[T], R], tasks: Iterable[T], gpus: bool
) -> Generator[R, None, None]:
    """Do one task after the other on a Ray cluster of one GPU or processor.

    joblib does all in the calling process where there is one job, which may be elsewhere.
    """
    import ray

    own = "num_gpus" if gpus and ray.cluster_resources().get("GPU", 0) >= 1 else "num_cpus"
    work = ray.remote(**{own: 1, "max_retries": RETRIES})(_call)
    for task in tasks:
        yield ray.get(work.remote(function, task))


def _call(function: Callable[[T], R], task: T) -> R:
    return function(task)


def _reach(address: str | None) -> None:
    """Refuse an address where nothing is, which Ray tries for minutes and Dask for ever."""
    if str(address).endswith(".json"):
        require(
            Path(str(address)).is_file(),
            f"--address: must be the file that the scheduler wrote, got none at {address!r}. Start "
            "it with --scheduler-file, or correct the path.",
        )
    if match := _ADDRESS.fullmatch(address or ""):
        try:
            socket.create_connection((match[1], int(match[2])), CONNECTING).close()
        except OSError as error:
            raise _silent(address, error) from None


def _missing(backend: str, package: str) -> InputError:
    return InputError(
        f"--backend {backend}: needs the package {package}, got none. pip install "
        '"monai-contrastive-bundles[cluster]", or pip install -e ".[cluster]" in a checkout.'
    )


def _silent(address: str | None, error: Exception) -> InputError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        f"--address: must be that of a running scheduler, got {address!r}, where none answers "
        f"({reason}). Start it, or correct the address."
    )
