"""What a configuration calls first refuses what is wrong, and errors are one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fire
import monai.bundle
import pytest

from common.checks import InputError
from common.config import Limit, check, guard, unknown_arguments, unknown_keys

TRAIN = {
    "imports": ["$import torch"],
    "bundle_root": ".",
    "epochs": 3,
    "batch_size": 4,
    "spread": 0.5,
    "kernel": None,
    "amp": False,
    "limits": {
        "amp": "bool",
        "epochs": "int >= 1",
        "batch_size": "int >= 1",
        "spread": "float > 0 if kernel is not null",
        "kernel": "null",
    },
    "train": {
        "trainer": {"max_epochs": "@epochs"},
        "amp": "@amp",
        "handlers": [],
        "kernel": "@kernel",
    },
    "loss": {"_target_": "common.losses.InfoNCE", "temperature": "@spread"},
    "initialize": [{"_target_": "common.config.guard"}],
    "run": ["$[@epochs, @batch_size]", "$@loss"],
}
EVALUATE = {
    "_desc_": "overlay",
    "test": {"n": "@batch_size"},
    "initialize": [{"_target_": "common.config.guard"}],
    "run": ["$print(@test#n)"],
}
KERNEL = {"kernel": {"_target_": "common.kernels.Delta"}, "spread": 0.25}

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle folder to stand in, with two configurations and two overlays."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, train=TRAIN, evaluate=EVALUATE, kernel_delta=KERNEL, size_8={"batch_size": 8})
    write(tmp_path, size_16={"batch_size": 16}, plain_8={"batch_size": 8, "optional": ["spread"]})
    return tmp_path


def write(folder: Path, **contents: Any) -> None:
    (folder / "configs").mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / "configs" / f"{name}.json").write_text(json.dumps(content))


def typed(command: str) -> None:
    """Run ``python -m monai.bundle <command>`` in this process."""
    fire.Fire({"run": monai.bundle.run}, command=f"{command} --logging_file False")


def refused(command: str) -> str:
    with pytest.raises(RuntimeError) as caught:
        typed(command)
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return str(error)


ONE = "run --config_file configs/train.json"


def files(*names: str) -> str:
    return f'run --config_file "{[f"configs/{name}.json" for name in names]}"'


TWO = files("train", "evaluate")
CORRECT = {
    "nothing else": ONE,
    "an override": f"{ONE} --epochs 1",
    "equals": "run --config_file=configs/train.json --epochs=1",
    "dashes": "run --config-file configs/train.json --batch-size 1",
    "nested": f"{ONE} --train#trainer#max_epochs 1",
    "colons": f"{ONE} --train::trainer::max_epochs 1",
    "an argument with a default": f"{ONE} --loss#epsilon 0.1",
    "overlay": f"{TWO} --epochs 1",
    "run id": "run --run_id run --config_file configs/train.json",
    "MONAI's own": f"{ONE} --meta_file configs/train.json",
    "a dial that a condition lets in": files("train", "kernel_delta"),
    "off, where nothing reads it": f"{ONE} --kernel None",
}
WRONG = {  # command -> how its one line begins
    "an override": (f"{ONE} --epoch 1", "the command line: 'epoch' is not a key"),
    "equals": ("run --config_file=configs/train.json --epoch=1", "the command line: 'epoch' is"),
    "an override of an overlay": (f"{TWO} --epoch 1", "the command line: 'epoch' is not a key"),
    "a nested key": (
        f"{ONE} --train#trainer#max_epoch 1",
        "the command line: 'train#trainer#max_epoch'",
    ),
    "an argument": (
        f"{ONE} --loss#temperatur 1",
        "the command line: 'loss#temperatur' is not a key",
    ),
    "MONAI's tracking without it": (
        f"{ONE} --experiment_name x",
        "the command line: 'experiment_n",
    ),
    "too small": (f"{ONE} --epochs 0", "epochs: must be int >= 1, got 0. The default is 3."),
    "no number": (f"{ONE} --epochs abc", 'epochs: must be int >= 1, got "abc". The default is 3.'),
    "not whole": (f"{ONE} --epochs 1.5", "epochs: must be int >= 1, got 1.5. The default is 3."),
    "a switch": (f"{ONE} --epochs True", "epochs: must be int >= 1, got true. The default is 3."),
    "a list": (f"{ONE} --epochs [1,2]", "epochs: must be int >= 1, got [1, 2]. The default is 3."),
    "a broken expression": (f"{ONE} --epochs $1/0", "epochs: must be a value or an expression"),
    "JSON's word": (
        f"{ONE} --amp true",
        'amp: must be True or False, got "true". On a command line write True. The default is f',
    ),
    "another bundle": (f"{ONE} --bundle x", 'bundle: must be null, as in the first file, got "x"'),
    "None": (f"{ONE} --epochs None", "epochs: None does not get through MONAI's command line. W"),
    "a nested None": (f"{ONE} --loss#temperature None", "loss#temperature: None does not get th"),
    "a number for a folder": (f"{ONE} --output_dir 7", "output_dir: must be the path of a folder"),
    "no folder": (f"{ONE} --output_dir ''", 'output_dir: must be the path of a folder, got ""'),
    "unread": (
        f"{ONE} --spread 0.3",
        "spread: has no effect here, for it is read only if kernel is",
    ),
    "alone": (
        "run --config_file configs/evaluate.json",
        "configs/evaluate.json: must follow train",
    ),
    "twice": (
        files("train", "size_8", "size_16"),
        "configs/size_8.json: 'batch_size' has no effect, for configs/size_16.json after it",
    ),
}


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_command_passes(name: str, configs: Path) -> None:
    typed(CORRECT[name])


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_command_is_refused_in_one_line_and_writes_nothing(
    name: str, configs: Path
) -> None:
    before = sorted(configs.rglob("*"))
    command, line = WRONG[name]
    assert refused(command).startswith(line)
    assert "\n" not in refused(command)
    assert sorted(configs.rglob("*")) == before


def test_a_script_is_answered_as_the_command_line(configs: Path) -> None:
    def workflow(**overrides: Any) -> monai.bundle.ConfigWorkflow:
        return monai.bundle.ConfigWorkflow("configs/train.json", logging_file=False, **overrides)

    workflow(epochs=1).initialize()
    for override in ({"epoch": 1}, {"epochs": 0}, {"loss#temperatur": 1}, {"spread": 0.3}):
        with pytest.raises(RuntimeError):
            workflow(**override).initialize()


def test_outside_of_a_configuration_nothing_is_checked_and_no_hook_is_left() -> None:
    hook = sys.excepthook
    guard()
    assert sys.excepthook is hook


def test_the_cure_is_the_nearest_key_or_what_the_block_takes(configs: Path) -> None:
    assert refused(f"{ONE} --epoch 1").endswith("Did you mean 'epochs'?")
    assert refused(f"{ONE} --zzz 1").endswith("See the keys of the first file.")
    assert refused(f"{ONE} --loss#temperatur 1").endswith("Did you mean 'temperature'?")
    assert refused(f"{ONE} --loss#zzz 1").endswith("InfoNCE takes epsilon, temperature.")


def test_a_typo_in_an_overlay_names_the_overlay(configs: Path) -> None:
    write(configs, evaluate={**EVALUATE, "batchsize": 8})
    line = "configs/evaluate.json: 'batchsize' is not a key of this configuration. Did you mean"
    assert refused(TWO).startswith(line)


@pytest.mark.parametrize("key", ["epochs", "epoch"])
def test_an_arguments_file_is_read_as_the_command_line(key: str, configs: Path) -> None:
    arguments = {"config_file": "configs/train.json", key: 1}
    (configs / "arguments.json").write_text(json.dumps(arguments))
    if key == "epochs":
        typed("run --args_file arguments.json")
    else:
        assert refused("run --args_file arguments.json").startswith("the command line: 'epoch'")


def test_a_key_that_something_refers_to_may_be_new() -> None:
    config = {"a": "@b", "b": 1, "c": "@d", "d": 2, "run": []}
    assert [key for key, _ in unknown_keys(config, {"a": 0})] == ["c"]


RULES = {  # rule -> what it allows, what it does not
    "int >= 1": ([1, 5], [0, -1, True, 1.0, "1", None, [1], float("nan")]),
    "float > 0, <= 1": ([0.5, 1], [0, 1.1, "0.5", float("inf"), float("nan"), False]),
    "float >= 0": ([0, 1e30], [-1e-9, float("inf")]),
    "bool": ([True, False], [1, 0, "true", None]),
    "text": (["", "a b"], [1, None, ["a"]]),
    "name": (["", "_a-b", "x=1.5"], ["../x", "a/b", "..", "a b", 1, "/tmp"]),
    "null": ([None], [0, "", "null"]),
    "device": (["cpu"], ["foo", "cuda:77", "meta", 3, None]),
    "all | threshold": (["all"], ["al", 1, None, ["all"]]),
    "list of int >= 1": ([[1], [2, 1]], [[], [0], 3, [1.5], None, "1"]),
    "list of 3 float": ([[1, 2, 3.5]], [[1, 2], [1, 2, "3"]]),
    "list of 2 float > 0, <= 1, ascending": ([[0.2, 1]], [[1, 0.2], [0, 1], [0.2]]),
    "list of blur | flip_0": ([["blur"]], [["crop"], [], "blur"]),
    "int >= 1 | null": ([None, 1], [0, "null"]),
    "list of int >= 1, ascending | []": ([[], [1, 2]], [[2, 1], None]),
}


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_allows_what_it_says(rule: str) -> None:
    limit = Limit.parse(rule)
    allowed, others = RULES[rule]
    assert [value for value in allowed if not limit.allows(value)] == []
    assert [value for value in others if limit.allows(value)] == []


@pytest.mark.parametrize(
    "rule",
    [
        "strin",
        "int > = 1",
        "float >0",
        "list of",
        "int >= 1 | nul",
        "all | 3x",
        "bool if x",
        "",
        "int <= a",
    ],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r"rule|condition"):
        Limit.parse(rule)


@pytest.mark.parametrize(
    ("condition", "value", "read"),
    [
        ("a is mlp", "mlp", True),
        ("a is mlp", "resnet", False),
        ("a is x or y", "y", True),
        ("a is null", None, True),
        ("a is not 0", 0, False),
        ("a is not {}", {}, False),
        ("a is Delta", {"_target_": "common.kernels.Delta"}, True),
        ("a is Delta", "@b", True),
    ],
)
def test_a_condition_says_whether_a_dial_is_read(condition: str, value: Any, read: bool) -> None:
    config = {"a": value, "b": {"_target_": "common.kernels.Delta"}}
    assert Limit.parse(f"int >= 1 if {condition}").reads(config) is read


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(root),
        "PYTHONWARNINGS": "ignore",
    }
    return subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_monai_bundle_run_ends_a_typo_with_one_line_and_a_code(configs: Path) -> None:
    done = run(configs, "--config_file", "configs/train.json", "--epoch", "1")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        "error: the command line: 'epoch' is not a key of this configuration. "
        "Did you mean 'epochs'?"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_input_error_that_monai_wraps_is_shown_alone(configs: Path) -> None:
    loss = {"_target_": "common.losses.InfoNCE", "temperature": 0}
    write(configs, train={**TRAIN, "loss": loss, "run": ["$@loss"]})
    done = run(configs, "--config_file", "configs/train.json")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("error: InfoNCE: temperature must be at least")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_any_other_error_keeps_its_traceback(configs: Path) -> None:
    write(configs, train={**TRAIN, "run": ["$1 / 0"]})
    done = run(configs, "--config_file", "configs/train.json")
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in done.stderr


@pytest.mark.bad_input("dials")
def test_a_misspelt_argument_of_an_evaluation_is_told_though_it_takes_more() -> None:
    block = {"_target_": "common.evaluation.ChallengeEvaluation", "site_name": [], "run_dir": "r"}
    actual = list(unknown_arguments({"evaluator": block}))
    assert actual == [("evaluator#site_name", "Did you mean 'site_names'?")]


@pytest.mark.bad_input("dials")
def test_a_batch_that_the_processes_cannot_share_alike_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    config = {"initialize": [{"_target_": "common.distributed.join"}], "batch_size": 15}
    line = "batch_size: must be a multiple of the 2 processes that share it, got 15. Give 14."
    with pytest.raises(InputError, match=f"^{line}$"):
        check(config, [])
