"""``python -m common sweep``: the grid, what is done and what is not, and the table."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from common.__main__ import main
from common.checks import InputError
from common.data import write_manifest
from common.files import locked
from common.own_process import Wanted
from common.sweep import command, figures, read_table
from common.sweep.folder import WANTED, SweepFolder
from common.sweep.grid import parse_grid, parse_seeds, suffix
from common.sweep.launch import Outcome, Task, launch
from data_prep.__main__ import main as data_prep
from tests.commands import ROOT

BUNDLE = "natural_image_ssl_study"
FACTS = ("arguments", "versions", "counts", "sha256")  # of a manifest
RUN = """
import json, os, sys
from pathlib import Path
from common.own_process import told
what = json.loads(told())
dials, folder = what["dials"], Path(what["places"]["ckpt_dir"]).parent
with (folder / "starts").open("a") as file:
    file.write(".")
if dials["hue"] == 0.5 and not (folder.parent / "mended").exists():
    os.kill(os.getpid(), 9)
if (folder.parent / "deadly").exists() and dials["hue"] == 0.2:
    (folder.parent / "deadly").unlink()
    os.kill(os.getppid(), 9)
    __import__("time").sleep(60)
if dials["hue"] == 0.4:
    sys.exit("error: the loss must be finite")
if dials["hue"] == 0.3:
    __import__("time").sleep(60)
estimate = {"value": 0.75, "low": None, "high": None}
calls = {"classes": ["cat", "dog"], "images": 4, "patients": 4, "accuracy": estimate,
         "calibration_error": estimate, "confusion": [[1, 1], [0, 2]], "reliability": [],
         "subgroups": []}
(folder / "evaluation.json").write_text(json.dumps({
    "bundle": what["bundle"], "strategy": "s", "seed": dials["seed"], "kind": "accuracy",
    "counts": {"classes": 2}, "deployed_head": "refitted", "accuracy": 0.75, "part": "test",
    "interval": {"level": 0.95, "method": "none", "accuracy": [0.5, 1.0]},
    "probe": {"accuracy": 0.5}, "epochs": [], "distances": None, "calls": calls}))
"""
Sweep = Callable[..., int]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """The command on ``tmp_path / "out"``, with a stand-in for the process of a run."""
    (tmp_path / "run.py").write_text(RUN)
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(command, "RUN", (str(tmp_path / "run.py"),))
    places = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    return lambda *words: main(["sweep", BUNDLE, *places, *words])


def starts(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_size for path in folder.glob("*/starts")}


def test_the_table_has_a_row_a_run_measure_and_class(sweep: Sweep, tmp_path: Path) -> None:
    assert sweep("--grid", "hue=0:0.25:2", "--seeds", "2", "--strategies", "byol,simclr") == 0
    lines = list(csv.reader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert lines[:5] == [
        ["hue", "strategy", "seed", "measure", "class", "value"],
        ["0.0", "byol", "5", "accuracy", "", "0.75"],
        ["0.0", "byol", "5", "probe_accuracy", "", "0.5"],
        ["0.0", "byol", "5", "recall", "cat", "0.5"],
        ["0.0", "byol", "5", "recall", "dog", "1.0"],
    ]
    table = read_table(tmp_path / "out")
    assert len(table) == 2 * 2 * 2 * (2 + 3 * 2)
    f1 = table[(table.measure == "f1") & (table["class"] == "dog")]
    assert set(f1.value) == {2 * 2 / (2 + 3)}
    assert pd.read_parquet(tmp_path / "out" / "table.parquet").equals(table)


def test_figures_of_several_numbers_of_clusters_have_it_in_their_name(tmp_path: Path) -> None:
    each = {"ami": 0.5, "ami_arithmetic": 0.6, "ami_std": 0.0, "silhouette": 0.25}
    found = [{"clusters": 2, **each}, {"clusters": 4, **each, "ami": 0.75}]
    whole = {
        **{"bundle": "b", "strategy": "s", "seed": 0, "kind": "clusters", "part": "test"},
        **{"ami": 0.5, "clusterings": found, "probe": 0.9, "effective_rank": 3.5},
        **{"starts": 10, "seeds": 3, "epochs": []},
        "interval": {"level": 0.95, "method": "none", "ami": [0.4, 0.6]},
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(whole))
    actual = {measure: value for measure, _, value in figures(tmp_path)}
    assert {name: actual[name] for name in ("ami", "ami_2", "ami_4", "silhouette_4", "probe")} == {
        **{"ami": 0.5, "ami_2": 0.5, "ami_4": 0.75, "silhouette_4": 0.25, "probe": 0.9}
    }
    assert not {"starts", "seeds"} & set(actual)


def test_what_is_done_is_not_repeated_and_a_changed_grid_goes_on(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("--grid", "hue=0,0.1") == 0
    assert sweep("--grid", "hue=0,0.1,0.2", "--jobs", "2") == 0
    assert "3 runs: 3 done (2 of them before), 0 failed" in capsys.readouterr().out
    names = [f"simclr_hue{value}_seed5" for value in ("0", "0.1", "0.2")]
    assert starts(tmp_path / "out") == dict.fromkeys(names, 1)
    assert list(read_table(tmp_path / "out").hue.unique()) == [0.0, 0.1, 0.2]
    assert sweep("--grid", "hue=0") == 0
    assert len(read_table(tmp_path / "out")) == 3 * 8


def test_what_failed_or_was_killed_is_listed_and_tried_again(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("--grid", "hue=0,0.4,0.5") == 3
    said = capsys.readouterr().out
    assert "failed: simclr_hue0.4_seed5: the loss must be finite" in said
    assert "failed: simclr_hue0.5_seed5: its process was ended by SIGKILL" in said
    failed = list(csv.DictReader((tmp_path / "out" / "failed.csv").read_text().splitlines()))
    assert [row["hue"] for row in failed] == ["0.4", "0.5"]
    (tmp_path / "out" / "mended").touch()
    assert sweep("--grid", "hue=0,0.5") == 0
    assert starts(tmp_path / "out")["simclr_hue0_seed5"] == 1
    assert sweep("--grid", "hue=0,0.4,0.5", "--list") == 0
    assert "simclr_hue0.4_seed5: failed, the loss must be finite" in capsys.readouterr().out


def test_an_interrupted_sweep_ends_its_processes_and_goes_on(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = SweepFolder.add

    def interrupt(folder: SweepFolder, outcome: Outcome) -> None:
        take(folder, outcome)
        raise KeyboardInterrupt

    monkeypatch.setattr(SweepFolder, "add", interrupt)
    assert sweep("--grid", "hue=0,0.3", "--jobs", "2") == 130
    assert not (tmp_path / "out" / WANTED).exists()
    monkeypatch.setattr(SweepFolder, "add", take)
    assert sweep("--grid", "hue=0,0.1") == 0
    assert starts(tmp_path / "out")["simclr_hue0_seed5"] == 1


@pytest.mark.slow
def test_a_real_run_is_trained_and_evaluated_in_a_process_of_its_own(tmp_path: Path) -> None:
    data, out = str(tmp_path / "data"), tmp_path / "out"
    settings = json.loads((ROOT / f"tests/bundles/settings/{BUNDLE}.json").read_text())
    phantom = [*settings["phantom"].split(), "--workers", "1", "--target", data]
    assert data_prep(["phantom", *phantom]) == 0
    small = ["--encoder", str(settings["dials"]["encoder"]), "--hidden_features", "8"]
    words = ["sweep", BUNDLE, "--data", data, "--output", str(out), *small]
    assert main([*words, "--grid", "hue=0.2", "--epochs", "1", "--batch_size", "8"]) == 0
    record = json.loads((out / "simclr_hue0.2_seed5" / "run.json").read_text())
    assert (record["dials"]["hue"], record["dials"]["epochs"]) == (0.2, 1)
    evaluation = json.loads((out / "simclr_hue0.2_seed5" / "evaluation.json").read_text())
    assert read_table(out).value.iloc[0] == evaluation["accuracy"]
    assert (out / "simclr_hue0.2_seed5" / "models" / "model.pt").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the clusters, in threads of theirs
@pytest.mark.parametrize(
    ("backend", "package"), [("dask", "distributed"), ("ray", "ray")], ids=["dask", "ray"]
)
def test_a_run_whose_worker_is_killed_is_done_by_another(
    sweep: Sweep, tmp_path: Path, backend: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[cluster]'")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # else it leaves a file in the home folder
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deadly").touch()
    words = ["--grid", "hue=0,0.2,0.25,0.5", "--backend", backend, "--jobs", "2"]
    assert sweep(*words) == 3
    failed = list(csv.DictReader((tmp_path / "out" / "failed.csv").read_text().splitlines()))
    assert [row["hue"] for row in failed] == ["0.5"]
    assert list(read_table(tmp_path / "out").hue.unique()) == [0.0, 0.2, 0.25]
    assert starts(tmp_path / "out")["simclr_hue0.2_seed5"] == 2


def test_a_run_ends_with_the_sweep_that_wanted_it(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(RUN)
    what = {"dials": {"hue": 0.3}, "places": {"ckpt_dir": str(tmp_path / "a" / "models")}}
    about: dict[str, Any] = {"point": {}, "strategy": "s", "seed": 0}
    task = Task(
        "a", tmp_path, Wanted(tmp_path / "gone", ""), about, what, words=(str(tmp_path / "run.py"),)
    )
    assert launch(task).ended == "stopped"
    assert not (tmp_path / "a" / "outcome.json").exists()


def test_a_run_that_loses_its_workers_thrice_has_failed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".begun").write_text("...")
    about: dict[str, Any] = {"point": {}, "strategy": "s", "seed": 0}
    outcome = launch(Task("a", tmp_path, Wanted(tmp_path / "gone", ""), about, {}))
    assert (outcome.ended, outcome.reason[:25]) == ("failed", "its worker died 3 times (")
    assert json.loads((tmp_path / "a" / "outcome.json").read_text())["ended"] == "failed"


def test_each_job_has_a_gpu_of_its_own_while_there_are_enough() -> None:
    queue = command._queue(["0", "3"], jobs=2)
    assert [queue.get(), queue.get()] == ["0", "3"]
    shared = command._queue(["0", "3"], jobs=3)
    assert [shared.get() for _ in range(3)] == ["0", "3", "0"]


def test_values_are_read_as_typed_and_name_the_run() -> None:
    grid = parse_grid(["hue=0:0.5:10", "batch_size=64:256:4", "amp=True,False", "size=[4,8],[8,8]"])
    assert grid["hue"][:2] == [0.0, 0.0555556]
    assert grid["batch_size"] == [64, 128, 192, 256]
    assert (grid["amp"], grid["size"]) == ([True, False], [[4, 8], [8, 8]])
    assert suffix({"hue": 1.0, "amp": True, "size": [4, 8]}) == "_hue1_amptrue_size4-8"
    assert parse_grid(["hue=0.1,0.10,.1"]) == {"hue": [0.1]}
    assert parse_seeds("3,1,3", 9) == [3, 1]


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "hue"], r"--grid: must be written as .* got 'hue'"),
        (["--grid", "hue=0:1:1"], r"low:high:count with a count of 2 or more"),
        (["--grid", "hue=0:0.9:4"], r"hue: must be float >= 0, <= 0.5, got 0.6"),
        (["--grid", "huee=0,1"], r"'huee' is not a key .* Did you mean 'hue'"),
        (["--grid", "tau=0.9,0.99"], r"'tau' has no effect|'tau' is not a key"),
        (["--grid", "hue=0,0.1", "--grid", "hue=0.2"], "given once, got it twice"),
        (["--grid", "seed=0,1"], "seed: cannot be swept, for it is given by --seeds"),
        (["--grid", "hue=0,0.1", "--hue", "0.3"], "hue: must not be given as a dial too"),
        (["--seeds", "x"], "--seeds: must be a number of seeds"),
        (["--strategies", "nope"], r"nope\.json: must be a file, got none"),
        (["--strategies", "byol,strategy_byol"], r"names of their own, got two of byol_seed5"),
        (["--part", "tst"], r"part: must be training \| validation \| test"),
        (["--output_dir", "x"], "It has --output, --data and --seeds"),
        (["--jobs", "0"], "--jobs must be >= 1"),
        (["--grid", "hue=0:0.5:1000000"], "at most 1000, got 0:0.5:1000000"),
        (["--grid", "hue=0.1000000001:0.1000000002:3"], "3 values of a range must differ in 6"),
        (["--seeds", "4294967295,4294967296"], "seed: must be int >= 0, <= 4294967295"),
        (["--network", "1"], "network: must be a block of the configuration, got 1"),
        (["--grid", "encoder=1,2"], "encoder: must be a block of the configuration"),
        (["--grid", "limits=1,2"], "limits: must be a block of the configuration"),
        (["--overlays", "evaluate"], "each run is evaluated after its training"),
        (["--overlays", "linear_probe"], "must start from a trained run"),
        (["--address", "tcp://x:1"], "--address: must come with --backend dask or ray"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_line_before_anything_starts(
    sweep: Sweep, tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sweep(*words)
    assert starts(tmp_path / "out") == {}


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "hue=0", "--epochs", "4"], r"epochs must be '3', .* got '4'"),
        (["--grid", "crop_min=0.1", "--epochs", "3"], r"grid must be \['hue'\]"),
        (["--grid", "hue=0", "--epochs", "3", "--overlays", "data_cifar100"], "overlays must be"),
    ],
    ids=["dial", "grid", "overlay"],
)
def test_a_folder_of_another_sweep_is_refused(sweep: Sweep, words: list[str], message: str) -> None:
    assert sweep("--grid", "hue=0", "--epochs", "3") == 0
    with pytest.raises(InputError, match=message):
        sweep(*words)


@pytest.mark.bad_input("dials")
def test_a_batch_larger_than_the_data_is_refused_and_leaves_the_folder_free(
    sweep: Sweep, tmp_path: Path
) -> None:
    facts = dict.fromkeys(("source", "licence"), "") | {key: {} for key in FACTS}
    entries = [{"image": "x.npy", "index": k, "label": 0, "patient": str(k)} for k in range(3)]
    parts = {"training": entries, "validation": [], "test": [], "skipped": []}
    np.save(tmp_path / "data" / "x.npy", np.zeros((3, 8, 8, 3), np.uint8))
    write_manifest(tmp_path / "data", {**parts, **facts})
    with pytest.raises(InputError, match="batch_size: must be at most the 3 training images"):
        sweep("--grid", "hue=0")
    assert sweep("--grid", "hue=0.4", "--batch_size", "3") == 3  # that run fails: nothing trained
    assert sweep("--grid", "crop_min=0.5", "--hue", "0.1", "--batch_size", "2") == 0
    assert not (tmp_path / "out" / "failed.csv").exists()


@pytest.mark.bad_input("folders")
def test_a_second_sweep_in_a_folder_is_refused(sweep: Sweep, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "out"),
        pytest.raises(InputError, match="must write to a sweep's folder"),
    ):
        sweep("--grid", "hue=0")


@pytest.mark.bad_input("folders")
def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data: must be a folder that data_prep wrote"):
        main(["sweep", BUNDLE, "--data", str(tmp_path / "none")])
