"""``python -m common analyse``: from tables to the page, with the images of the classes."""

import json
from pathlib import Path

import numpy as np
import pytest

from common.checks import InputError
from common.data import write_manifest, write_stack
from common.evaluation.class_bias import class_bias
from common.sweep.analyse import main
from common.sweep.table import columns, read_table, write_table

pytest.importorskip("statsmodels")
FACTS = ("arguments", "versions", "counts", "sha256")


def write_sweep(folder: Path, values: int = 5) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir()
    rows = [
        [value, "simclr", seed, "recall", name, float(rng.random())]
        for value in range(values)
        for seed in range(2)
        for name in ("cat", "dog")
    ]
    write_table(folder / "table.csv", columns(["crop_min"]), rows)
    return folder


def test_a_sweep_becomes_a_file_and_a_page_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_sweep(tmp_path / "crops")
    assert main([str(folder), "--draws", "5"]) == 0
    found = json.loads((folder / "analysis.json").read_text())
    assert found["series"][0]["values"] == [0, 1, 2, 3, 4]
    assert found["versions"]["statsmodels"]
    assert "Classes over crops" in (folder / "analysis.html").read_text()
    assert "of 1 pairs of classes are opposite" in capsys.readouterr().out


def test_the_images_of_the_classes_are_described(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    folder, data = write_sweep(tmp_path / "crops"), tmp_path / "data"
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), np.uint8)
    data.mkdir()
    write_stack(data / "x.npy", images, images.shape[1:], "uint8")
    entries = [{"image": "x.npy", "index": k, "label": k % 2, "patient": str(k)} for k in range(60)]
    parts = {"training": entries, "validation": [], "test": [], "skipped": []}
    facts = dict.fromkeys(("source", "licence"), "") | {key: {} for key in FACTS}
    write_manifest(data, {**parts, **facts, "classes": {"label": ["cat", "dog"]}})
    words = [str(folder), "--data", str(data), "--images", "25", "--draws", "2"]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert set(found["properties"]) == {"cat", "dog"}
    assert found["images"] == 25


@pytest.mark.bad_input("sweep")
def test_images_of_other_classes_are_refused(tmp_path: Path) -> None:
    table = read_table(write_sweep(tmp_path / "crops"))
    with pytest.raises(InputError, match=r"--data: must hold images of every class .* cat, dog"):
        class_bias({"crops": table}, properties={}, draws=2)


@pytest.mark.bad_input("sweep")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cat,0.", "cat,many 0.", "value must be a finite number"),
        ("cat,0.", "cat,70.", "must be shares from 0 to 1"),
        ("cat,0.", "cat,inf", "value must be a finite number"),
        ("0,simclr,0,recall,dog", "0,simclr,0,recall,cat", "one value of each measure and class"),
        ("crop_min", "", "every column must have a name"),
    ],
)
def test_a_table_edited_by_hand_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = write_sweep(tmp_path / "crops") / "table.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_table(path)


@pytest.mark.bad_input("sweep")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: must be a table"),
        (["{sweep}", "--images", "9", "--data", "{sweep}"], "manifest.json"),
        (["{sweep}", "--draws", "0"], "--draws must be at least 1, got 0"),
        (["{sweep}", "{sweep}"], "every sweep must be named once"),
        (["{sweep}", "--output", "{sweep}/table.csv"], "--output: must be a folder, got the file"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_one_line(
    tmp_path: Path, words: list[str], message: str
) -> None:
    sweep = write_sweep(tmp_path / "crops")
    with pytest.raises(InputError, match=message) as refused:
        main([word.format(sweep=sweep) for word in words])
    assert "\n" not in str(refused.value)
    assert not (sweep / "analysis.json").exists()
