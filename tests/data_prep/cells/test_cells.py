"""Cells: nuclei, light and brightness of a plate, BBBC021's layout, ready crops, the phantom."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.checks import InputError
from common.data import class_names, load_datalist, read_manifest
from common.data.cells import (
    Field,
    centred,
    cut,
    find_fields,
    find_nuclei,
    measure_plate,
    read_field,
)
from data_prep.__main__ import main
from data_prep.phantom.cells import draw_field
from tests.keys import key_of, reasons
from tests.synthetic import write_picture

PARTS = ("training", "validation", "test")
SIZE = 32


def prepare(source: Path, target: Path, *options: str) -> int:
    folders = ["--source", str(source), "--target", str(target), "--workers", "1"]
    return main(["cells", *folders, "--key", str(key_of(target)), *options])


def entries(folder: Path) -> list[dict[str, Any]]:
    return [{**e, "part": part} for part in PARTS for e in load_datalist(folder, part)]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two plates of six wells each, a field a well: three untreated and three treated of each."""
    target = tmp_path_factory.mktemp("cells") / "phantom"
    options = ["--patients", "12", "--size", str(SIZE), "--workers", "1"]
    assert main(["phantom", "--kind", "cells", "--target", str(target), *options]) == 0
    return target


def test_nuclei_are_found_where_they_were_drawn() -> None:
    pytest.importorskip("skimage")
    field, drawn, _ = draw_field(np.random.default_rng(0), 64, True, (1.0, 1.0, 1.0))
    found = find_nuclei(field[0].astype(np.float32), diameter=10)
    inside = ((drawn >= 6) & (drawn < 192 - 6)).all(axis=1)
    apart = np.abs(drawn[inside][:, None] - found[None]).max(axis=2)
    assert inside.sum() > 30
    assert (apart.min(axis=1) <= 2).all()
    assert len(found) <= len(drawn)


def test_nuclei_that_touch_are_parted_and_specks_are_none() -> None:
    pytest.importorskip("skimage")
    y, x = np.mgrid[:64, :64]
    stain = np.zeros((64, 64), np.float32)
    for row, column, radius in ((30, 20, 8), (30, 35, 8), (5, 55, 1)):
        stain[np.hypot(y - row, x - column) <= radius] = 1
    assert find_nuclei(stain, diameter=16).tolist() == [[30, 20], [30, 35]]
    assert find_nuclei(np.ones((20, 20), np.float32), diameter=8).shape == (0, 2)


def test_light_and_brightness_of_a_plate_are_taken_away() -> None:
    rng = np.random.default_rng(0)
    cells = rng.uniform(0, 1, (10, 3, 96, 128))
    light = 1 + 0.5 * np.linspace(-1, 1, 128)
    gain = np.array([4000, 8000, 16_000])[:, None, None]
    standard = measure_plate((gain * light * cells).astype(np.uint16))
    middle = standard.light[:, 12, 5:27]  # every fourth pixel; the smoothing ends at the border
    np.testing.assert_allclose(middle, np.tile(light[20:108:4], (3, 1)), rtol=0.1)
    even = standard.apply((gain * light * cells[0]).astype(np.uint16))
    assert np.percentile(even, 99.9) == pytest.approx(1, abs=0.05)
    assert even[..., 16:40].mean() == pytest.approx(even[..., 88:112].mean(), rel=0.1)


def test_the_light_of_few_fields_is_even() -> None:
    standard = measure_plate([np.full((3, 16, 16), 500, np.uint16)] * 3)
    assert standard.white.tolist() == [500, 500, 500]
    assert np.array_equal(
        standard.apply(np.full((3, 16, 16), 250, np.uint16)), np.full((3, 16, 16), 0.5)
    )


def test_the_commonest_size_of_field_is_that_of_the_plate() -> None:
    sides = (8, 16, 16, 8, 16)
    assert measure_plate(np.ones((3, side, side), np.uint16) for side in sides).shape == (3, 16, 16)


def test_a_crop_has_its_nucleus_in_the_middle_and_lies_inside() -> None:
    field = np.arange(100).reshape(1, 10, 10)
    centres = np.array([[2, 5], [1, 5], [8, 8], [9, 8]])
    assert centred(centres, field.shape, 4).tolist() == [[2, 5], [8, 8]]
    assert cut(field, np.array([2, 5]), 4)[0, 2, 2] == field[0, 2, 5]


def test_files_of_a_field_belong_together_whatever_follows_the_stain(tmp_path: Path) -> None:
    names = ["B02_s1_w1AA.tif", "B02_s1_w2BB.tif", "B02_s1_w4CC.tif", "B02_s2_w1DD.tif", "x.png"]
    paths = [tmp_path / "plate" / name for name in names]
    whole, half = find_fields(paths, tmp_path)
    assert (whole.name, whole.paths, whole.reason) == ("plate/B02_s1", tuple(paths[:3]), "")
    told = "plate/B02_s2: must have one file of each of three stains, got 1 of w1."
    assert half.reason == f"{told} Add or remove files."


def test_a_tiff_of_three_planes_is_a_field(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    planes = np.random.default_rng(0).integers(0, 60_000, (3, 20, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(planes, 0, -1), photometric="rgb")
    for field in find_fields([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path):
        assert np.array_equal(read_field(field), planes)
    tifffile.imwrite(tmp_path / "c.tif", planes[:2])
    with pytest.raises(InputError, match=r"^c.tif: must hold three planes of 8 or 16 bits"):
        read_field(Field("c", (tmp_path / "c.tif",)))


@pytest.mark.bad_input("data_prep")
def test_a_stain_in_colours_is_refused_and_a_grey_one_written_as_rgb_is_read(
    tmp_path: Path,
) -> None:
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    paths = tuple(tmp_path / f"a_w{k}.tif" for k in (1, 2, 4))
    for path in paths:
        write_picture(path, grey)
    assert np.array_equal(read_field(Field("a", paths)), [grey[..., 0] * np.uint16(257)] * 3)
    write_picture(paths[1], grey * np.array([1, 2, 3], np.uint8))
    with pytest.raises(InputError, match=r"^a_w2.tif: must be grey, for it is of one stain"):
        read_field(Field("a", paths))


def test_the_published_layout_gives_as_many_untreated_cells_split_by_well(
    phantom: Path, tmp_path: Path
) -> None:
    pytest.importorskip("skimage")
    options = ("--compound", "Nocodazole", "--size", str(SIZE), "--nucleus", "5")
    assert prepare(phantom / "raw", tmp_path / "out", *options, "--test", "0.3") == 0
    found = entries(tmp_path / "out")
    labels = [e["label"] for e in found]
    assert labels.count(0) == labels.count(1) > 50
    wells = {part: {e["patient"] for e in found if e["part"] == part} for part in PARTS}
    assert not wells["training"] & (wells["validation"] | wells["test"])
    drawn = {(e["site"], e["row"], e["column"]) for e in entries(phantom)}
    near = [
        any(
            (e["site"], e["row"] + i, e["column"] + j) in drawn
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        )
        for e in found
    ]
    assert np.mean(near) > 0.95
    assert {e["moa"] for e in found} == {"", "Microtubule destabilizers"}


def test_the_four_highest_concentrations_are_taken_and_missing_files_are_listed(
    phantom: Path, tmp_path: Path
) -> None:
    pytest.importorskip("skimage")
    source = tmp_path / "in"
    source.mkdir()
    (source / "Week1_00001").symlink_to(phantom / "raw/Week1/Week1_00001")  # as archives unpack
    with (phantom / "raw/BBBC021_v1_image.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    doses = iter(["0.1", "0.2", "0.4", "0.8", "1.6", "3.2"])
    for line in lines:
        line[-1] = next(doses) if line[-2] == "nocodazole" else ""
    text = "\n".join(",".join(line) for line in [header, *lines])
    (source / "BBBC021_v1_image.csv").write_text(text)
    options = ("--compound", "nocodazole", "--size", str(SIZE), "--nucleus", "5")
    assert prepare(source, tmp_path / "out", *options) == 0
    wanted = {float(line[-1]) for line in lines if line[-2] == "nocodazole" and line[8][-1] == "1"}
    found = {e["concentration"] for e in entries(tmp_path / "out")}
    assert found == ({0.0} | wanted) - {0.1, 0.2}
    assert all("got no such file" in reason for reason in reasons(tmp_path / "out").values())


def rewritten(phantom: Path, target: Path, change: Callable[[list[str]], list[list[str]]]) -> Path:
    """The published layout of the phantom, each row of its table changed to any number of rows."""
    target.mkdir()
    (target / "Week1").symlink_to(phantom / "raw/Week1")
    with (phantom / "raw/BBBC021_v1_image.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    rows = [header, *(row for line in lines for row in change(line))]
    text = "\n".join(",".join(row) for row in rows)
    (target / "BBBC021_v1_image.csv").write_text(text + "\n")
    return target


def test_a_field_counts_once_and_a_well_is_one_however_it_is_written(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")

    def twice(line: list[str]) -> list[list[str]]:
        return [line, [re.sub("^([A-H])0", r"\1", word) for word in line]]

    options = ("--compound", "nocodazole", "--size", str(SIZE), "--nucleus", "5")
    assert prepare(phantom / "raw", tmp_path / "once", *options) == 0
    source = rewritten(phantom, tmp_path / "in", twice)
    assert prepare(source, tmp_path / "twice", *options) == 0
    told = capsys.readouterr().out
    assert "12 rows name the files of an earlier row" in told
    assert "no mechanism of nocodazole" in told
    once, again = ([e["patient"] for e in entries(tmp_path / n)] for n in ("once", "twice"))
    assert (len(again), len(set(again))) == (len(once), len(set(once)))


def test_few_wells_and_few_controls_are_said(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage")
    left = {"nocodazole": 2, "DMSO": 1}  # fields, one a well

    def few(line: list[str]) -> list[list[str]]:
        left[line[-2]] -= 1
        return [line] if left[line[-2]] >= 0 else []

    options = ("--compound", "nocodazole", "--size", str(SIZE), "--nucleus", "5")
    assert prepare(rewritten(phantom, tmp_path / "in", few), tmp_path / "out", *options) == 0
    told = capsys.readouterr().out
    assert "test: holds no image: a class needs three wells or fields to be in all parts" in told
    assert "training: 75 images of 3 wells (25 untreated" in told
    assert "untreated: only 25 cells beside 50 treated ones" in told
    source = rewritten(phantom, tmp_path / "none", lambda line: [line] * (line[-2] != "DMSO"))
    assert prepare(source, tmp_path / "no", *options) == 2
    assert "must have rows of DMSO, the untreated wells" in capsys.readouterr().err


def test_crops_in_class_folders_are_scaled_together_and_split_by_field(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, level in (("DMSO", 1000), ("Actin disruptors", 4000)):
        (tmp_path / "in" / name).mkdir(parents=True)
        for field in range(5):
            for number in range(3):
                crop = rng.integers(0, level, (16, 16, 3)).astype(np.uint16)
                np.save(tmp_path / "in" / name / f"B02_s{field}_w1AB_{number}.npy", crop)
    np.save(tmp_path / "in" / "DMSO" / "B02_s0_w1AB_9.npy", np.zeros((8, 8, 3), np.uint16))
    (tmp_path / "in" / "DMSO" / "B02_s0_w1AB_8.npy").write_bytes(b"no array")
    assert prepare(tmp_path / "in", tmp_path / "out") == 0
    found = entries(tmp_path / "out")
    assert class_names(read_manifest(tmp_path / "out")) == ["DMSO", "Actin disruptors"]
    assert len(found) == 30
    assert (
        len({e["patient"] for e in found}) == len({(e["patient"], e["part"]) for e in found}) == 10
    )
    stack = np.load(tmp_path / "out" / "cells.npy")
    top = [stack[[e["index"] for e in found if e["label"] == k]].max() for k in (0, 1)]
    assert top == [pytest.approx(255 / 4, abs=2), 255]
    assert len(reasons(tmp_path / "out")) == 2


def test_crops_of_bbbc021_keep_a_field_in_one_part(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "bbbc021_cells"
    assert prepare(source, tmp_path / "out") == 0
    found = entries(tmp_path / "out")
    counts = read_manifest(tmp_path / "out")["counts"]
    assert [counts[part]["images"] for part in PARTS] == [1416, 201, 405]
    with (source / "labels.csv").open(newline="") as file:
        field = [row["field"] for row in csv.DictReader(file)]
    parts = {(field[e["index"]], e["part"]) for e in found}
    assert len(parts) == len({name for name, _ in parts}) == 50
    stored = np.load(source / "cells_68_uint8.npz")["x"]
    assert np.array_equal(np.load(tmp_path / "out" / "cells.npy"), stored)


def test_the_phantom_is_the_same_again_and_has_both_phenotypes(phantom: Path) -> None:
    found = entries(phantom)
    options = ["--patients", "12", "--size", str(SIZE), "--workers", "1"]
    before = (phantom / "manifest.json").read_bytes()
    assert main(["phantom", "--kind", "cells", "--target", str(phantom), *options]) == 0
    assert (phantom / "manifest.json").read_bytes() == before
    share = [np.mean([e["phenotype"] for e in found if e["label"] == k]) for k in (0, 1)]
    assert share[0] < 0.2 < 0.6 < share[1]
    assert {e["site"] for e in found} == {0, 1}


@pytest.mark.bad_input("data_prep")
def test_what_is_no_source_of_cells_is_told_in_one_line(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "one" / "a_1.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "x.npz").write_bytes(b"no archive")
    (tmp_path / "two" / "labels.csv").write_text("field\na\n")
    raw = phantom / "raw"
    for source, options, words in (
        (tmp_path / "none", (), "source must be a folder"),
        (tmp_path / "one", (), "every image must lie in the folder of its class"),
        (tmp_path / "two", (), "x.npz: must be a whole .npz of crops"),
        (raw, (), "--compound must name one compound"),
        (raw, ("--compound", "water"), "--compound must be in BBBC021_v1_image.csv (nocodazole"),
        (raw, ("--compound", "nocodazole", "--negative", "x"), "--negative must be left out"),
        (raw, ("--compound", "nocodazole", "--nucleus", "1"), "--nucleus must be at least 4"),
        (tmp_path / "one", ("--size", "64"), "--size must be left out for ready crops"),
    ):
        assert prepare(source, tmp_path / "out", *options) == 2
        told = capsys.readouterr().err.strip()
        assert words in told
        assert "\n" not in told
        assert not (tmp_path / "out").exists()
