"""What 1.4 million images cost: their manifest, a start on it, its workers; preparing many files.

``python benchmarks/million.py --out DIR`` writes ``million.json`` there, stage by stage; a stage
that is done is kept. It wants 3 GB. The images of the manifest are names: links of 64 small PNG
files in folders of 1,000, so that each is really looked for, and read as any other, with the blocks
of 64 files. What is prepared are as many small files as it says. Linux only.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from costs import apart

from common.data import fingerprint, keep_labels, load_datalist, read_manifest, write_manifest
from common.data import manifest as tables
from data_prep.machinery import encode_png

SHARD = 1_000  # images of a folder
SOURCES = 64  # files of which all images are links; one of ext4 has at most 65,000
SIDE = 32
LARGER = 256  # pixels of a small photograph
TURNS = 2
PARTS = {"training": 0.8, "validation": 0.1, "test": 0.1}
BUNDLE = Path(__file__).parents[1] / "bundles" / "chest_xray_learned_transforms"
MB = 1e6
BATCHES = 20


def main() -> None:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.stage:
        print(json.dumps(STAGES[options.stage](options)))
        return
    every = [*STAGES, *PREPARED]
    for name in options.only or every:
        if not _record(options, name).is_file():
            words = ["--out", str(options.out), "--count", str(options.count)]
            words += ["--files", str(options.files)]
            made = PREPARED[name](options) if name in PREPARED else None
            made = made or apart(__file__, [*words, "--stage", name], {"OMP_NUM_THREADS": "1"})
            _record(options, name).write_text(json.dumps(made))
    done = {name: _record(options, name) for name in every if _record(options, name).is_file()}
    found = {name: json.loads(record.read_text()) for name, record in done.items()}
    about = {"images": options.count, "files": options.files, "date": date.today().isoformat()}
    about |= {"machine": f"{os.cpu_count()} cores, {platform.machine()}"}
    path = options.out / "million.json"
    path.write_text(json.dumps({**about, **found}, indent=1) + "\n")
    print(path)


def _record(options: argparse.Namespace, name: str) -> Path:
    return Path(options.out) / f"{name}.json"


def folder_of(options: argparse.Namespace) -> Path:
    return options.out / f"images_{options.count}"


def make(options: argparse.Namespace) -> dict[str, float]:
    """Write the names and the manifest."""
    folder: Path = folder_of(options)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    files = _files(folder, SOURCES)
    for number in range(options.count):
        name = f"{folder}/{_name(number)}"
        if number % SHARD == 0:
            Path(name).parent.mkdir()
        os.link(files[number % SOURCES], name)
    manifest = _manifest(options.count)
    tables.MOST = min(tables.MOST, options.count)
    spent = _spent(lambda: write_manifest(folder, manifest))
    written = [folder / "manifest.json", *folder.glob("manifest/*")]
    return {**spent, "file_mb": sum(path.stat().st_size for path in written) / MB}


def read(options: argparse.Namespace) -> dict[str, Any]:
    """Read the manifest in a new process, then what else a start asks of it."""
    folder = folder_of(options)
    first = _spent(lambda: read_manifest(folder))
    again = _spent(lambda: read_manifest(folder))
    printed = _spent(lambda: fingerprint(folder))
    listed = load_datalist(folder, "training")
    kept = _spent(lambda: keep_labels(listed, 0.1, 0))
    every = np.random.default_rng(0).integers(len(listed), size=1000)
    rows = _spent(lambda: [listed[int(row)] for row in every])
    return {
        **{"first": first, "again": again, "fingerprint": printed},
        **{"keep_labels": kept, "entry_us": 1e6 * rows["cpu_seconds"] / len(every)},
    }


def parquet(options: argparse.Namespace) -> dict[str, Any]:
    """The columns of the training part as Parquet, decoded by one process."""
    from pyarrow import parquet as files

    rows = read_manifest(folder_of(options))["training"]
    import pyarrow as pa

    path = options.out / "training.parquet"
    files.write_table(pa.table({name: rows.array(name) for name in rows.columns}), path)
    code = "import json, sys, million\nfrom pyarrow import parquet\nheld = []\n"
    code += "read = lambda: held.append(parquet.read_table(sys.argv[1], memory_map=True))\n"
    code += "print(json.dumps(million._spent(read)))"
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, check=True)
    size = path.stat().st_size / MB
    path.unlink()
    return {**json.loads(done.stdout), "file_mb": size}


def start(options: argparse.Namespace) -> dict[str, float]:
    """From the start of a process to the first batch of a bundle's training."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    parser.update({"dataset_dir": str(folder_of(options)), "bundle_root": str(BUNDLE)})
    parser.update({"image_size": SIDE, "cache_rate": 0.0, "batch_size": 64, "label_fraction": 0.1})
    loader = parser.get_parsed_content("train#dataloader")
    batch = next(iter(loader))
    assert len(batch["image"]) == 64
    used = resource.getrusage(resource.RUSAGE_SELF)
    began = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return {
        "seconds": up - began / os.sysconf("SC_CLK_TCK"),
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * 1024 / MB,
        "images": len(loader.dataset),
    }


def workers(options: argparse.Namespace) -> dict[str, Any]:
    """What two workers of a loader add, after some batches of entries."""
    from monai.data import CacheDataset
    from torch.utils.data import DataLoader

    from common.data import PrepareImaged
    from common.engines import EpochSampler

    entries = keep_labels(load_datalist(folder_of(options), "training"), 0.1, 0)
    data = CacheDataset(entries, PrepareImaged(size=SIDE), cache_rate=0.0, progress=False)
    batches = iter(DataLoader(data, 64, sampler=EpochSampler(data), num_workers=2))
    for _ in range(BATCHES):
        next(batches)
    mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {"main": _memory("self"), "workers": [_memory(pid) for pid in mine]}


def ranks(options: argparse.Namespace) -> dict[str, Any]:
    """Two processes with the same manifest: what each has for itself, what they share."""
    code = "import sys; from pathlib import Path; from common.data.manifest import read_manifest\n"
    code += "print(flush=True); input(); m = read_manifest(sys.argv[1])\n"
    code += "sum(1 for e in m['training']); print(flush=True); input()"
    command = [sys.executable, "-c", code, str(folder_of(options))]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [
        subprocess.Popen(command, env={**os.environ, "LOCAL_RANK": rank}, **pipes) for rank in "01"
    ]
    _told(both)
    before = [_memory(str(one.pid)) for one in both]
    for one in both:
        one.stdin.write("\n")
        one.stdin.flush()
    _told(both)
    after = [_memory(str(one.pid)) for one in both]
    for one in both:
        one.communicate("\n")
    return {"before": before, "after": after}


def prepare(
    count: int, workers: int, options: argparse.Namespace, side: int = SIDE
) -> dict[str, float]:
    """Prepare so many files; time, and the peak of the main process and of a worker."""
    source, target = options.out / f"source_{count}_{side}", options.out / "prepared"
    if not source.is_dir():
        for name in ("normal", "other"):
            (source / name).mkdir(parents=True)
        names = "{1}/{0:07d}_{2}.png"
        _files(
            source, count, lambda k: names.format(k // 2, ("normal", "other")[k % 2], k % 2), side
        )
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-c", WATCHED, "folders", "--source", str(source)]
    command += ["--target", str(target), "--workers", str(workers)]
    begun = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    shutil.rmtree(target)
    return {"seconds": seconds, **json.loads(done.stdout.splitlines()[-1])}


WATCHED = """
import json, resource, sys
from data_prep.__main__ import main
if __name__ == "__main__":
    assert main(isolate=True) == 0
    mine, theirs = (resource.getrusage(who) for who in (0, -1))
    cpu = [used.ru_utime + used.ru_stime for used in (mine, theirs)]
    peak = [round(used.ru_maxrss * 1024 / 1e6, 1) for used in (mine, theirs)]
    print(json.dumps({"main_cpu_seconds": cpu[0], "workers_cpu_seconds": cpu[1],
                      "main_peak_mb": peak[0], "worker_peak_mb": peak[1]}))
"""


def _of(share: int) -> Callable[[argparse.Namespace], dict[str, float]]:
    """Prepare a share of the files with two workers."""
    return lambda options: {
        "files": options.files // share,
        **prepare(options.files // share, 2, options),
    }


def _pairs(side: int, share: int) -> Callable[[argparse.Namespace], list[dict[str, Any]]]:
    """One worker and two in turn, on a share of the files, of `side` pixels."""

    def pairs(options: argparse.Namespace) -> list[dict[str, Any]]:
        count = options.files // share
        turns = [{str(n): prepare(count, n, options, side) for n in (1, 2)} for _ in range(TURNS)]
        faster = [round(turn["1"]["seconds"] / turn["2"]["seconds"], 2) for turn in turns]
        return [{**turn, "faster": times} for turn, times in zip(turns, faster)]

    return pairs


STAGES: dict[str, Callable[[argparse.Namespace], Any]] = {
    **{"make": make, "read": read, "parquet": parquet},
    **{"start": start, "workers": workers, "ranks": ranks},
}
PREPARED: dict[str, Callable[[argparse.Namespace], Any]] = {
    **{f"files_1_{share}": _of(share) for share in (20, 4, 2, 1)},
    f"pairs_{SIDE}": _pairs(SIDE, 1),
    f"pairs_{LARGER}": _pairs(LARGER, 5),
}


def _files(
    folder: Path, count: int, name: Callable[[int], str] = "{}.png".format, side: int = SIDE
) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [f"{folder}/{name(number)}" for number in range(count)]
    for path in paths:
        Path(path).write_bytes(encode_png(rng.integers(0, 256, (side, side), np.uint8)))
    return paths


def _name(number: int) -> str:
    return f"images/{number // SHARD:04d}/p{number // 2:07d}_{number % 2:03d}.png"


def _manifest(count: int) -> dict[str, Any]:
    parts: dict[str, list[dict[str, Any]]] = {}
    start = 0
    for part, share in PARTS.items():
        end = start + 2 * round(share * count / 2)
        parts[part] = [_entry(number) for number in range(start, end)]
        start = end
    names = list(map(_name, range(count)))
    about = {key: {} for key in ("arguments", "versions", "counts")}
    return {
        **parts,
        **about,
        **{"source": "names", "licence": "CC0-1.0", "skipped": []},
        "sha256": {name: hashlib.sha256(name.encode()).hexdigest() for name in names},
        "origins": dict(zip(names, range(count))),
        "classes": {"label": ["normal", "other"]},
        "preparation": {"kind": "grey", "size": SIDE, "bits": 8},
    }


def _entry(number: int) -> dict[str, Any]:
    patient = number // 2
    facts = {"label": patient % 2, "age": 20 + patient % 60, "site": patient % 5}
    return {"image": _name(number), "patient": f"p{patient:07d}", **facts}


def _spent(run: Callable[[], object]) -> dict[str, float]:
    """Wall and processor time of a call, and by how much the peak resident size grew."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from the present size
    before, begun, cpu = _status("VmRSS"), time.perf_counter(), time.process_time()
    run()
    seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    grown = (_status("VmHWM") - before) / MB
    return {"seconds": seconds, "cpu_seconds": used, "peak_growth_mb": grown}


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def _memory(process: str) -> dict[str, float]:
    """Resident, proportional and private size of a process."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    pairs = (line.split(":") for line in lines)
    sizes = {name: int(rest.split()[0]) * 1024 / MB for name, rest in pairs}
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {"rss_mb": sizes["Rss"], "pss_mb": sizes["Pss"], "private_mb": own}


def _told(processes: list[Any]) -> None:
    for one in processes:
        one.stdout.readline()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1_400_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=[*STAGES, *PREPARED], help="these stages")
    parser.add_argument("--stage", choices=STAGES, help="one, in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
