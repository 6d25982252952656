"""The page of an audit: what it says, and what it must not."""

import dataclasses
import re
from pathlib import Path

import pytest

from common.checks import InputError
from common.report.audit import page
from common.report.audit.gallery import Detail
from common.report.audit.page import in_words, write_audit
from common.report.audit.result import Audit, Estimate, SetAudit, Shortcut
from common.report.audit.verdict import proposal_words, verdict
from tests.common.audit.example import about, example_audit
from tests.common.report.words import Words


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_audit(example_audit(), tmp_path_factory.mktemp("audit") / "audit.html", "Audit")


def single(**changes: object) -> Audit:
    """Return the example with one set, some of its sections replaced."""
    audit = example_audit()
    one = dataclasses.replace(audit.sets[0], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(audit, sets=(one,), pictures=None)


def said(audit: Audit, start: str) -> list[bool]:
    """Whether the sentences that begin so are findings."""
    return [each.found for each in verdict(audit, 0) if each.words.startswith(start)]


def test_the_page_needs_nothing_but_itself(written: Path) -> None:
    text = written.read_text()
    links = re.findall(r'(?:href|src|action)="([^"]+)"', text)
    assert all(link.startswith(("#", "data:image/")) for link in links)
    assert "<script" not in text
    assert "url(" not in text


def test_every_sentence_of_the_verdict_has_a_number_and_leads_somewhere(written: Path) -> None:
    audit = example_audit()
    anchors = re.findall(r'id="([^"]+)"', written.read_text())
    sentences = [each for at in range(2) for each in verdict(audit, at)]
    sentences += [each for at in range(2) if (each := proposal_words(audit, at)) is not None]
    assert len(sentences) > 12
    assert all(re.search(r"\d", each.words) for each in sentences)
    assert {each.target for each in sentences} <= set(anchors)
    assert len(anchors) == len(set(anchors))


def test_findings_are_told_with_their_figures() -> None:
    words = in_words(single())
    assert words[0] == (
        "The views lose the lesion (less than half of it is left) in 31 % (26–36 %) of cases; "
        "lesions of 3 to 6 px in 66 % (60–70 %). Crop alone loses it in 70 % (65–75 %)."
    )
    assert any(
        line.startswith("The site can be told from the views: balanced accuracy 0.94 (0.89–0.99); ")
        for line in words
    )


@pytest.mark.parametrize(
    ("kept", "finding"),
    [(Estimate(0.8, 0.7, 1.0), False), (Estimate(0.97, 0.96, 0.98), False),
     (Estimate(0.8, 0.7, 0.9), True), (Estimate(0.8), True)],
    ids=["interval reaches none lost", "below the threshold", "both", "all draws agree"],
)  # fmt: skip
def test_a_finding_crosses_its_threshold_and_its_interval_excludes_harm(
    kept: Estimate, finding: bool
) -> None:
    lesions = dataclasses.replace(example_audit().sets[0].lesions, kept=kept)  # type: ignore[type-var]
    audit = single(lesions=lesions)
    assert said(audit, "The views lose the lesion") == ([True] if finding else [])
    assert said(audit, "Lesions lost") == ([] if finding else [False])


def shortcut(transformed: Estimate) -> Shortcut:
    return dataclasses.replace(example_audit().sets[0].shortcuts[0], transformed=transformed)


def test_a_shortcut_that_views_no_longer_tell_is_said_to_be_looked_for() -> None:
    audit = single(shortcuts=(shortcut(about(0.34)),))
    assert said(audit, "The site can be told") == []
    assert said(audit, "Site as a shortcut: told from views with 0.34 (0.29–0.39)") == [False]


def test_without_masks_and_label_the_page_claims_nothing_of_them(tmp_path: Path) -> None:
    audit = single(lesions=None, label=None, shortcuts=(), proposal=None, parts=(), scans=())
    text = Words(write_audit(audit, tmp_path / "a.html", "A")).text
    assert "there are no masks" in text
    assert [each.target for each in verdict(audit, 0)] == ["set-1-gallery"]


def test_names_are_escaped(tmp_path: Path) -> None:
    sets: tuple[SetAudit, ...] = example_audit().sets
    bad = tuple(dataclasses.replace(one, name="<i>x</i>") for one in sets)
    images = dataclasses.replace(example_audit().images, source="<u>", classes=("<s>", "b"))
    audit = dataclasses.replace(example_audit(), sets=bad, images=images)
    text = write_audit(audit, tmp_path / "a.html", "<b>").read_text()
    assert not re.search(r"<(i|u|s|b)>(x|<|:)", text)
    assert "&lt;i&gt;x" in text


def test_pictures_get_coarser_until_the_page_is_small_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = len(write_audit(example_audit(), tmp_path / "a.html", "A").read_bytes())
    monkeypatch.setattr(page, "LARGEST", fine)
    assert len(write_audit(example_audit(), tmp_path / "b.html", "A").read_bytes()) < fine


@pytest.mark.bad_input("audit")
def test_too_many_sets_for_one_page_end_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "LARGEST", 1000)
    monkeypatch.setattr(page, "DETAILS", (Detail(1, 8, 10),))
    with pytest.raises(InputError, match=r"a\.html: the page must be below 1,000 bytes, got .* 2 "):
        write_audit(example_audit(), tmp_path / "a.html", "A")
    assert not (tmp_path / "a.html").exists()
