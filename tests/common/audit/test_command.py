"""``python -m common audit``: what it writes, and how its mistakes end."""

import json
import shlex
from pathlib import Path

import pytest

from common.__main__ import main
from common.audit import command
from common.checks import InputError
from common.report.audit.proposal import overlay_text
from common.report.audit.result import Audit
from data_prep.__main__ import main as data_prep
from tests.common.audit.example import example_audit


@pytest.fixture(scope="module")
def brains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brains") / "data"
    dials = ["--patients", "12", "--slices", "4", "--size", "32", "--workers", "1"]
    data_prep(["phantom", "--kind", "brain", "--target", str(folder), *dials])
    return folder


@pytest.mark.slow
def test_the_command_writes_page_numbers_and_proposal(
    brains: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "audit.html"
    given = ["--dataset_dir", str(brains), "--transforms", "brain_mri_learned_transforms"]
    assert main(["audit", *given, "--output", str(output)]) == 0
    audit = Audit.from_json(json.loads(output.with_suffix(".json").read_text()))
    printed = capsys.readouterr().out
    assert printed.endswith(f"audit: {output}\n")
    assert audit.sets[0].name == "brain_mri_learned_transforms"
    assert "<image" in output.read_text()
    assert str(brains) not in output.read_text() + output.with_suffix(".json").read_text()
    assert json.loads((output.parent / "audit_proposal.json").read_text())


def test_every_set_has_a_proposal_of_its_own(
    brains: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "audit", lambda *_, **__: example_audit())
    main(["audit", "--dataset_dir", str(brains), "--output", str(tmp_path / "a.html")])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.html", "a.json", "a_proposal_1.json", "a_proposal_2.json"]
    printed = capsys.readouterr().out
    assert "learned: The trained network M" not in printed
    assert "Proposal: blur 0 px to 1 px." in printed


def test_the_printed_command_can_be_pasted(
    brains: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "audit", lambda *_, **__: example_audit())
    page = tmp_path / "sp ace" / "a.html"
    main(["audit", "--dataset_dir", str(brains), "--output", str(page)])
    line = next(line for line in capsys.readouterr().out.splitlines() if "common train" in line)
    words = shlex.split(line.split("train with it: ")[1])
    assert words[words.index("--overlays") + 1] == str(page.with_name("a_proposal_1.json"))
    assert words[5] == str(brains)


BAD = {
    "no folder": (["--dataset_dir", "nowhere"], r"nowhere: must .*"),
    "no page": (["--dataset_dir", "DATA", "--output", "audit.pdf"], r"--output must be a file"),
    "keep": (["--dataset_dir", "DATA", "--keep", "0"], r"--keep must be in \(0, 1\], got 0\."),
    "images": (["--dataset_dir", "DATA", "--max_images", "1"], r"--max_images must be at least 2"),
    "size": (["--dataset_dir", "DATA", "--image_size", "4096"], r"--image_size must be at most"),
    "seed": (["--dataset_dir", "DATA", "--seed", "-1"], r"--seed must be 0 to 4294967295, got -1"),
    "no set": (["--dataset_dir", "DATA", "--transforms", "nothing"], r"nothing"),
    "no option": (["--dataset_dir", "DATA", "--transfroms", "x"], r"unrecognized arguments"),
    "no encoder": (["--dataset_dir", "DATA", "--encoder", "none"], r"--encoder none: must be .*"),
    "volumes": (
        ["--dataset_dir", "DATA", "--transforms", "brain_mri_y_aware"],
        r"brain_mri_y_aware: must be for 2D images",
    ),
    "nothing": ([], r"--dataset_dir"),
}


@pytest.mark.bad_input("audit")
@pytest.mark.parametrize(("words", "line"), BAD.values(), ids=BAD)
def test_a_mistake_ends_in_one_line_and_writes_nothing(
    words: list[str], line: str, brains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=line) as caught:
        main(["audit", *(str(brains) if word == "DATA" else word for word in words)])
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_proposals_of_an_earlier_audit_do_not_stay_beside_its_page(
    brains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "audit", lambda *_, **__: example_audit())
    stale, other = tmp_path / "a_proposal_7.json", tmp_path / "ab_proposal.json"
    stale.write_text("{}")
    other.write_text("{}")
    main(["audit", "--dataset_dir", str(brains), "--output", str(tmp_path / "a.html")])
    assert not stale.exists()
    assert other.exists()


@pytest.mark.bad_input("output")
def test_a_place_that_cannot_be_written_to_is_refused_before_the_audit(
    brains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "audit", lambda *_, **__: pytest.fail("began"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^--output must lie in a folder that can be written to"):
        command.main(["--dataset_dir", str(brains), "--output", str(tmp_path / "file" / "a.html")])


def test_a_folder_that_is_not_prepared_is_prepared_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "audit", lambda *_, **__: example_audit())
    given = ["--dataset_dir", str(tmp_path), "--transforms", "x"]
    command.main([*given, "--output", str(tmp_path / "a.html")])
    line = next(line for line in capsys.readouterr().out.splitlines() if "common train" in line)
    assert f"data_prep folders --source {tmp_path} --target data/mine; then train" in line
    assert " data/mine --output a_trained_1 --overlays " in line


def test_lists_of_an_overlay_stand_in_a_line() -> None:
    given = {"order": ["blur", "[x"], "size": [1, [2, 3]], "none": []}
    text = overlay_text(given)
    assert json.loads(text) == given
    assert "[2, 3]" in text
