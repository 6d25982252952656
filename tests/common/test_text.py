"""Text from outside stays one line, computes nothing, and names no other folder."""

from pathlib import Path

import pytest

from common.checks import InputError, require_name
from common.files import below
from common.text import cell, plain

HOSTILE = {
    "line break": "a\nb",
    "terminal": "a\x1b]0;owned\x07b",
    "right to left": "a\u202egnp.b",
    "isolate": "a\u2067b",
    "zero width": "a\u200bb",
    "line separator": "a\u2028b",
    "delete": "a\x7fb",
    "C1": "a\x9bb",
    "not UTF-8": b"a\xffb".decode("utf-8", "surrogateescape"),
}


@pytest.mark.bad_input("privacy")
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_seen_is_escaped_in_text_and_in_errors(text: str) -> None:
    for made in (plain(text), cell(text), str(InputError(text))):
        assert made.startswith("a\\")
        assert made.isprintable()
        made.encode()


def test_letters_of_any_script_stay() -> None:
    assert plain("Überprüfung 胸部 صدر λ.png") == "Überprüfung 胸部 صدر λ.png"


@pytest.mark.bad_input("privacy")
@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "＝1", "\t=1", "\n=1"])
def test_no_cell_starts_a_formula(text: str) -> None:
    assert cell(text)[0] in "'\\"


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("name", ["../../x", "a/b", ".hidden", "", "a b", "a\0b", "x" * 201, "é"])
def test_a_run_has_a_name_that_is_one_plain_folder(name: str) -> None:
    with pytest.raises(InputError, match="strategy must be a name"):
        require_name(name, "strategy")


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(
    "name", ["../a.png", "/etc/passwd", "C:\\a.png", "x\\..\\..\\a", "out.png", "round.png", "a\0"]
)
def test_a_listed_file_lies_below_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "a.png").touch()
    (folder / "out.png").symlink_to(tmp_path / "a.png")
    (folder / "round.png").symlink_to(folder / "round.png")
    with pytest.raises(InputError, match="line 2: image must be a file below"):
        below(folder, name, "labels.csv, line 2: image")
    (folder / "b.png").touch()
    (folder / "c.png").symlink_to("b.png")
    assert below(folder, "c.png", "labels.csv") == folder / "c.png"
