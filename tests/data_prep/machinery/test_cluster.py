"""A preparation on a Dask or Ray cluster gives what it gives here, whatever dies meanwhile."""

import errno
from pathlib import Path

import pytest

from common.own_process import Wanted
from data_prep.machinery import pool
from data_prep.machinery.faults import MachineFault
from data_prep.machinery.part import Part, convert_part
from data_prep.machinery.plan import Item, Origin, Plan
from data_prep.machinery.runner import run
from data_prep.machinery.worker import Job
from tests.data_prep.machinery import deadly


def plan() -> Plan:
    items = [Item(f"k{n}", n, (Origin(f"case{n}"),)) for n in range(8)]
    return Plan("test", "none", {}, items, deadly.convert, deadly.split)


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the preparation gives on this machine."""
    folder = tmp_path_factory.mktemp("here")
    run(plan(), folder, workers=1, isolate=True)
    return files(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the clusters, in threads of theirs
@pytest.mark.parametrize(
    ("backend", "package"), [("dask", "distributed"), ("ray", "ray")], ids=["dask", "ray"]
)
def test_a_cluster_gives_the_same_bytes_whatever_dies(
    here: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    package: str,
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[cluster]'")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it leaves a file in the home folder
    monkeypatch.setattr(pool, "PARTS", 1)
    (tmp_path / "deadly").touch()
    manifest = run(plan(), tmp_path / "there", workers=2, backend=backend)
    assert not (tmp_path / "deadly").exists()
    assert files(tmp_path / "there") == here
    assert len(manifest["training"]) == 7
    assert len(manifest["skipped"]) == 1


def part(folder: Path, *payloads: int) -> Part:
    (folder / ".progress").mkdir()
    jobs = [Job(Item(f"k{n}", n, (Origin(f"case{n}"),)), {f"case{n}": 1}, "") for n in payloads]
    return Part(deadly.convert, tuple(jobs), folder, Wanted(folder / "wanted", ""), Path.cwd())


@pytest.mark.slow
def test_a_part_hands_back_what_ends_its_process_and_goes_on_behind_it(tmp_path: Path) -> None:
    (tmp_path / "wanted").touch()
    whole = part(tmp_path, 1, deadly.CRASHES, 2)
    assert [job.item.payload for job in convert_part(whole)] == [deadly.CRASHES]
    assert [job.item.payload for job in whole.left()] == [deadly.CRASHES]


@pytest.mark.slow
def test_a_full_disk_ends_a_part_and_blames_no_file(tmp_path: Path) -> None:
    (tmp_path / "wanted").touch()
    with pytest.raises(MachineFault) as caught:
        convert_part(part(tmp_path, deadly.FILLS_THE_DISK))
    assert caught.value.args[0] == errno.ENOSPC


@pytest.mark.slow
def test_a_part_ends_with_the_preparation_that_wanted_it(tmp_path: Path) -> None:
    assert convert_part(part(tmp_path, deadly.CRASHES)) == []
