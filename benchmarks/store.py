"""Real small images in files, LMDB, an Arrow file and tar archives: one by one, in any order.

``python benchmarks/store.py --images images.zip --out DIR`` writes ``store.json`` there: images a
second by the clock and by the processor, and what they take on the disk. Every image is read once
as bytes, in a random order; cold means that the system was asked to forget the pages of the files
(``posix_fadvise``; the names of files stay known to it, which favours plain files). What decoding
an image costs once its bytes are there is measured beside them. All stores take turns; the figures
are medians of the rounds. ``lmdb`` must be there (``pip install lmdb``).
"""

import argparse
import io
import json
import os
import platform
import shutil
import statistics
import time
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pyarrow as pa
from costs import apart
from PIL import Image

from common.data.image_store import image_bytes, write_images
from data_prep.machinery import STORED

ROUNDS = 5
Read = Callable[[int], bytes]
Images = Sequence[bytes]


def files(folder: Path, images: Images | None = None) -> Read:
    """A file each, 1,000 in a folder."""

    def path(number: int) -> Path:
        return folder / f"{number // 1000:04d}" / f"{number:07d}.png"

    for number, image in enumerate(images or ()):
        path(number).parent.mkdir(exist_ok=True)
        path(number).write_bytes(image)
    return lambda number: path(number).read_bytes()


class Lightning:
    """One LMDB, without read-ahead; a process has it open once."""

    def __init__(self) -> None:
        self.opened: Any = None

    def __call__(self, folder: Path, images: Images | None = None) -> Read:
        """Write the images, or open what is written."""
        if images is not None:
            with (
                lmdb.open(str(folder), map_size=2**31) as written,
                written.begin(write=True) as transaction,
            ):
                for number, image in enumerate(images):
                    transaction.put(number.to_bytes(4, "big"), image)
        if self.opened is not None:
            self.opened.close()
        self.opened = lmdb.open(str(folder), readonly=True, readahead=False, lock=False)
        transaction = self.opened.begin()
        return lambda number: bytes(transaction.get(number.to_bytes(4, "big")))


def arrow(folder: Path, images: Images | None = None) -> Read:
    """One Arrow file in batches, by memory map."""
    path = folder / "images.arrow"
    if images is not None:
        schema = pa.schema([("image", pa.binary())])
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for start in range(0, len(images), STORED):
                writer.write_batch(pa.record_batch([images[start : start + STORED]], schema=schema))
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    columns = [reader.get_batch(n).column(0) for n in range(reader.num_record_batches)]
    return lambda number: bytes(columns[number // STORED][number % STORED].as_py())


def archives(folder: Path, images: Images | None = None) -> Read:
    """Tar archives, whose index is a list of blocks: what ``--store`` writes."""
    index = folder / "blocks.npy"
    if images is not None:
        blocks = []
        for start in range(0, len(images), STORED):
            some = enumerate(images[start : start + STORED], start)
            named = ((f"{number:07d}.png", image) for number, image in some)
            blocks += write_images(folder / f"{start // STORED:04d}.tar", named)
        np.save(index, np.array(blocks))
    places = np.load(index)
    return lambda number: image_bytes(folder / f"{number // STORED:04d}.tar", int(places[number]))


STORES = {"files": files, "lmdb": Lightning(), "arrow": arrow, "tar": archives}


def main() -> None:
    options = _options()
    with zipfile.ZipFile(options.images) as archive:
        names = sorted(n for n in archive.namelist() if n.lower().endswith((".jpeg", ".png")))
        images = [archive.read(name) for name in names[: options.most]]
    if options.read:
        print(json.dumps(_read(options.read, images, options.seed, options.out)))
        return
    found: dict[str, Any] = {name: _written(name, images, options.out) for name in STORES}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in STORES}
    words = ["--images", str(options.images), "--out", str(options.out)]
    words += ["--most", str(options.most)]
    for seed in range(ROUNDS):
        for name in STORES:  # in a process of its own: pages that a process maps are not forgotten
            read = [*words, "--read", name, "--seed", str(seed)]
            rounds[name].append(apart(__file__, read, {}))
    for name, measured in rounds.items():
        for key in measured[0]:
            found[name][key] = statistics.median(one[key] for one in measured)
    about = {"images": len(images), "bytes": sum(map(len, images)), "rounds": ROUNDS}
    about["decode_cpu_us"] = statistics.median(_decoded(images) for _ in range(ROUNDS))
    about |= {"machine": f"{os.cpu_count()} cores, {platform.machine()}, shared with other work"}
    path = options.out / "store.json"
    record = {**about, "date": date.today().isoformat(), "stores": found}
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(path)


def _written(name: str, images: Images, out: Path) -> dict[str, float]:
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begun = time.process_time()
    STORES[name](folder, images)
    used = time.process_time() - begun
    paths = [path for path in folder.rglob("*") if path.is_file()]
    taken = sum(path.stat().st_blocks * 512 for path in paths)
    return {"write_cpu_us": 1e6 * used / len(images), "files": len(paths), "disk_bytes": taken}


def _decoded(images: Images) -> float:
    """Microseconds of the processor to decode an image once its bytes are there."""
    begun = time.process_time()
    for image in images:
        np.asarray(Image.open(io.BytesIO(image)))
    return 1e6 * (time.process_time() - begun) / len(images)


def _read(name: str, images: Images, seed: int, out: Path) -> dict[str, float]:
    """Cold and then warm, in a random order."""
    order = np.random.default_rng(seed).permutation(len(images)).tolist()
    measured = {}
    for state in ("cold", "warm"):
        if state == "cold":
            _forget(out / name)
        read = STORES[name](out / name)
        begun, cpu = time.perf_counter(), time.process_time()
        for number in order:
            assert len(read(number)) == len(images[number])
        seconds, used = time.perf_counter() - begun, time.process_time() - cpu
        measured[f"{state}_images_per_second"] = len(order) / seconds
        measured[f"{state}_cpu_us"] = 1e6 * used / len(order)
    return measured


def _forget(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="a ZIP file of images")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most", type=int, default=3000, help="images")
    parser.add_argument("--read", choices=STORES, help="one round of one store, in this process")
    parser.add_argument("--seed", type=int, default=0, help="of that round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
