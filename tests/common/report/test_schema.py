"""One schema writes and reads ``evaluation.json``; a broken file ends in one line."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from common.checks import InputError
from common.report.kinds import KINDS, kind_of
from common.report.load import load_run
from common.report.schema import from_json, to_json
from tests.common.report import real_runs
from tests.common.report.real_runs import write_run

WRITERS = {
    "linear": (write_run, "random"),
    "challenge": (real_runs.write_age_run, "y_aware"),
    "accuracy": (real_runs.write_classes_run, "ce"),
    "channel": (real_runs.write_channel_run, "ours"),
    "case_control": (real_runs.write_cases_run, "y_aware"),
    "macro_auroc": (real_runs.write_probe_run, "weak"),
    "clusters": (real_runs.write_clusters_run, "moco_v2"),
}
WHO = {"bundle", "strategy", "seed", "settings", "versions", "kind", "date", "data_set"}


@pytest.mark.parametrize(("kind", "writer"), WRITERS.items(), ids=WRITERS)
def test_a_result_is_read_and_written_without_loss(tmp_path: Path, kind: str, writer: Any) -> None:
    write, strategy = writer
    path = write(tmp_path / "a", strategy) / "evaluation.json"
    values = json.loads(path.read_text())
    actual = kind_of(values, path)
    assert actual.name == kind
    result = from_json(actual.result, values, path)
    written = to_json(result)
    assert written == {key: value for key, value in values.items() if key not in WHO}
    assert from_json(actual.result, written, path) == result


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_one_name_in_the_report_and_in_the_evaluation(kind: str) -> None:
    shown, computed = (
        import_module(f"common.{room}.{kind}") for room in ("report.kinds", "evaluation")
    )
    assert shown.KIND is KINDS[kind] is computed.KIND
    words = {"macro_auroc": "MacroAUROC"}.get(kind, kind.title().replace("_", ""))
    assert shown.KIND.result.__name__ == words
    assert getattr(computed, f"{words}Evaluation").kind is shown.KIND


BROKEN = {
    "list": ({"epochs": 3}, r"epochs must be a list, got 3"),
    "object": ({"epochs": [4]}, r"epochs\[0\] must be an object, got 4"),
    "null": ({"interval": None}, r"interval must be an object, got null"),
    "truth": ({"lc": True}, r"lc must be a number in \[0, inf\], got true"),
    "text": ({"site_names": "abc"}, r'site_names must be a list, got "abc"'),
    "fraction": ({"seed": 1.5}, r"seed must be an integer, got 1.5"),
    "blank": ({"bundle": " "}, r'bundle must be a text, got " "'),
    "inside": ({"baselines": {"a": {}}}, r"baselines.a.mae_internal must be .* got no such key"),
    "kind": ({"kind": ["challenge"]}, r"kind must be one of linear, .* got \['challenge'\]"),
}


@pytest.mark.bad_input("run")
@pytest.mark.parametrize(("change", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_result_is_one_line_with_file_and_key(
    tmp_path: Path, change: Any, told: str
) -> None:
    run = real_runs.write_age_run(tmp_path / "a", "y_aware", **change)
    with pytest.raises(InputError, match=rf"a/evaluation\.json: {told}.*Run the bundle") as caught:
        load_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.bad_input("run")
def test_a_key_that_may_be_null_must_still_be_there(tmp_path: Path) -> None:
    path = real_runs.write_cases_run(tmp_path / "a", "y_aware") / "evaluation.json"
    values = json.loads(path.read_text())
    del values["leave_site_out"]
    with pytest.raises(InputError, match="leave_site_out must be there, or null, got no such key"):
        from_json(KINDS["case_control"].result, values, path)


def test_the_report_needs_no_torch() -> None:
    code = "import sys, common.report.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
