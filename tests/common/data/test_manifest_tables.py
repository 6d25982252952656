"""Beyond a size the manifest lies in tables, behind the same doors."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.checks import InputError
from common.data import (
    StackDataset,
    fingerprint,
    image_datalist,
    keep_labels,
    labelled_only,
    load_datalist,
    manifest,
    read_manifest,
    rows,
    with_prior,
    write_manifest,
    write_stack,
)
from common.data.label_check import check_labels
from common.data.unchanged import changed_files


def entry_of(number: int, folder: Path) -> dict[str, Any]:
    name = f"{number // 10}/{number}.png"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"%d" % number)
    entry: dict[str, Any] = {"image": name, "label": number % 3 - 1, "patient": f"p{number // 2}"}
    entry |= {"age": 20.5 if number % 2 else number} | ({"site": "a"} if number % 3 else {})
    entry |= {"odd": None if number % 8 else 3} if number % 4 else {}
    return entry | {"sex": None if number % 5 else "F", "codes": ["a", "b"][: number % 2]}


def manifest_of(folder: Path, **changes: Any) -> dict[str, Any]:
    entries = [entry_of(number, folder) for number in range(40)]
    sums = {e["image"]: hashlib.sha256((folder / e["image"]).read_bytes()) for e in entries}
    about: dict[str, Any] = {key: {} for key in ("arguments", "versions", "counts")}
    return {
        **{"training": entries[:20], "validation": entries[20:30], "test": entries[30:]},
        **{"sha256": {name: digest.hexdigest() for name, digest in sums.items()}, **about},
        **{"origins": {"0/1.png": [1, 2], "0/2.png": 3}, "source": "test", "licence": "none"},
        **{"skipped": [], **changes},
    }


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The same data with a manifest of JSON and with tables."""
    for name, most in (("json", 100), ("tables", 40)):
        monkeypatch.setattr(manifest, "MOST", most)
        write_manifest(tmp_path / name, manifest_of(tmp_path / name))
    return tmp_path / "json", tmp_path / "tables"


def test_tables_say_what_json_does(both: tuple[Path, Path]) -> None:
    plain, tables = map(read_manifest, both)
    assert isinstance(tables["training"], rows.Rows)
    assert {k: dict(v) if k in ("sha256", "origins") else v for k, v in tables.items()} == plain
    assert fingerprint(both[0]) == fingerprint(both[1])
    assert tables["sha256"]["3/39.png"] == plain["sha256"]["3/39.png"]
    assert "3/40.png" not in tables["sha256"]


def test_the_same_tables_have_the_same_bytes_and_names(both: tuple[Path, Path]) -> None:
    before = {path: path.read_bytes() for path in both[1].rglob("manifest*/*")}
    write_manifest(both[1], read_manifest(both[1]))
    assert {path: path.read_bytes() for path in both[1].rglob("manifest*/*")} == before


def test_a_smaller_manifest_takes_the_tables_away(both: tuple[Path, Path]) -> None:
    few = {**read_manifest(both[1]), "training": [], "validation": []}
    write_manifest(both[1], few)
    assert sorted(path.name for path in both[1].glob("manifest*")) == ["manifest.json"]
    assert read_manifest(both[1])["test"] == read_manifest(both[0])["test"]


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_the_same_patients_keep_labels(both: tuple[Path, Path], fraction: float) -> None:
    plain, tables = (load_datalist(folder, "training") for folder in both)
    for choose in (keep_labels, labelled_only):
        kept = choose(tables, fraction, 3)
        assert isinstance(kept, rows.Rows)
        wanted = [(e["patient"], e["label"]) for e in choose(plain, fraction, 3)]
        assert [(e["patient"], e["label"]) for e in kept] == wanted


def test_entries_are_found_one_by_one_in_slices_and_by_another_process(
    both: tuple[Path, Path],
) -> None:
    entries = load_datalist(both[1], "training")
    every = list(entries)
    assert every[3]["image"] == str(both[1] / "0/3.png")
    assert [entries[k] for k in range(-20, 20)] == every * 2
    assert entries[4:17:3] == every[4:17:3]
    assert list(entries[::-1]) == every[::-1]
    again = pickle.loads(pickle.dumps(labelled_only(entries, 0.5, 0)))
    assert again == labelled_only(every, 0.5, 0)


def test_other_readers_take_tables_too(both: tuple[Path, Path]) -> None:
    assert [e["name"] for e in image_datalist(both[1])] == [
        e["name"] for e in image_datalist(both[0])
    ]
    keyed = with_prior(load_datalist(both[1], "test"), both[1])
    assert keyed[0]["image_key"] == "3/30.png"
    (both[1] / "3/39.png").write_bytes(b"x")
    assert changed_files(both[1], read_manifest(both[1])["sha256"]) == ["3/39.png"]


def test_labels_of_tables_are_checked(both: tuple[Path, Path]) -> None:
    class Data:
        data = load_datalist(both[1], "training")

    check_labels(Data, ["label", "age"], 2)
    with pytest.raises(InputError, match="sex: must be known of every one of the 20"):
        check_labels(Data, [], 2, ["sex"])


def test_stacks_of_tables_give_the_same_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stack(tmp_path / "a.npy", np.arange(40).reshape(20, 2), (2,), "float32")
    write_stack(tmp_path / "b.npy", -np.arange(40).reshape(20, 2), (2,), "float32")
    stacked = [
        {"image": "ab"[n % 2] + ".npy", "index": n // 2, "label": n, "patient": str(n)}
        for n in range(40)
    ]
    written = manifest_of(tmp_path, training=stacked, validation=[], test=[])
    for most in (100, 40):
        monkeypatch.setattr(manifest, "MOST", most)
        write_manifest(tmp_path, written)
        data = StackDataset(tmp_path, "training", ["label", "patient", "image_key"])
        batch = data.__getitems__([3, 38])
        assert batch["image"].tolist() == [[-2.0, -3.0], [38.0, 39.0]]
        assert [batch[k] for k in ("patient", "image_key")] == [
            ["3", "38"],
            ["b.npy[1]", "a.npy[19]"],
        ]


def damage(folder: Path, fault: str) -> None:
    """Spoil the manifest of tables in a folder."""
    table = next(folder.glob("manifest/test-*.arrow"))
    if fault == "half a table":
        table.write_bytes(table.read_bytes()[:300])
    elif fault == "another byte":
        table.write_bytes(table.read_bytes().replace(b"p17", b"p99"))
    elif fault == "no table":
        table.unlink()
    elif fault == "no image":
        (folder / "3/39.png").unlink()
    else:
        header = json.loads((folder / "manifest.json").read_text())
        tables = header["tables"]
        if fault == "another table":
            tables["test"] = {**tables["sha256"], "rows": 40}
        elif fault == "more rows":
            tables["test"]["rows"] = 11
        else:
            del tables["validation"]
        (folder / "manifest.json").write_text(json.dumps(header))


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("half a table", "must be a whole Arrow file"),
        ("another byte", "must be as it was written"),
        ("no table", "must exist, got no such file"),
        ("no image", "must exist, got no 3/39.png"),
        ("another table", "must have a column image, label, patient"),
        ("more rows", "must have 11 rows, got 10"),
        ("no part", "tables must name file, rows and sha256"),
    ],
)
def test_a_bad_table_is_one_line(both: tuple[Path, Path], fault: str, words: str) -> None:
    damage(both[1], fault)
    with pytest.raises(InputError, match=words) as error:
        read_manifest(both[1])
    assert "\n" not in str(error.value)


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patient": "p0"}, "patient p0 in training and test"),
        ({"image": "0/1.png"}, "0/1.png twice"),
        ({"image": "../1.png"}, "leads out of it"),
        ({"label": None}, "label that is not null"),
        ({"image": None}, "must be a list of entries"),
    ],
)
def test_a_bad_entry_of_a_table_is_one_line(
    both: tuple[Path, Path], changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = manifest_of(both[1])
    bad["test"][4] |= changes
    monkeypatch.setattr(manifest, "check_entries", lambda *_: None)
    write_manifest(both[1], bad)
    monkeypatch.undo()
    with pytest.raises(InputError, match=words):
        read_manifest(both[1])
