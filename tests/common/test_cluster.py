"""Tasks on a Dask cluster, as `common.cluster.spread` hands them out."""

import os
import signal
import sys
from typing import Any

import pytest

from common import cluster
from common.checks import InputError
from common.cluster import LostWorker, spread


def squared(task: int) -> int:
    if task < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task


def test_every_task_gives_its_result_once_in_any_order() -> None:
    assert sorted(spread(squared, range(5), jobs=2)) == [0, 1, 4, 9, 16]
    assert sorted(spread(squared, iter([3]))) == [9]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_task_that_dask_gives_up_is_told_of_and_no_call_waits_for_ever() -> None:
    dask: Any = pytest.importorskip("dask", reason="dask is not installed: .[cluster]")
    pytest.importorskip("distributed", reason="distributed is not installed: .[cluster]")
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        results = spread(squared, [3, -1], backend="dask", jobs=1, gpus=True)
        with pytest.raises(LostWorker):
            assert list(results) == []


@pytest.mark.bad_input("dials")
def test_an_address_where_nothing_answers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed: .[cluster]")
    monkeypatch.setattr(cluster, "CONNECTING", 0.3)
    with pytest.raises(InputError, match=r"--address: must be that of a running scheduler, got"):
        list(spread(squared, [1], "dask", "tcp://127.0.0.1:9"))
    with pytest.raises(InputError, match=r"must be the file that the scheduler wrote, got none"):
        list(spread(squared, [1], "dask", "/nowhere/scheduler.json"))


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_package_is_one_line(
    backend: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"--backend {backend}: needs the package .*cluster"):
        list(spread(squared, [1], backend, "x:1"))
