"""The page of an audit: what it says, and what it must not."""

import dataclasses
import re
from pathlib import Path

import pytest

from common.checks import InputError
from common.report.audit import page
from common.report.audit.figures import number, share
from common.report.audit.gallery import Detail, step_words
from common.report.audit.page import in_words, write_audit
from common.report.audit.result import Audit, Blank, Estimate, SetAudit, Shortcut
from common.report.audit.verdict import proposal_words, verdict
from tests.common.audit.example import about, example_audit
from tests.common.report.words import Words

NO_BLANK = Blank(views=80, black=Estimate(0.0), constant=Estimate(0.0), images=0.0)


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
        "lesions of 3 to 6 px in 66 % (60–70 %). Crop alone, in another draw, loses "
        "it in 70 % (65–75 %)."
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


def test_where_nothing_could_be_looked_for_it_says_so_and_what_to_give() -> None:
    audit = single(lesions=None, label=None, shortcuts=(), proposal=None, blank=NO_BLANK)
    audit = dataclasses.replace(audit, images=dataclasses.replace(audit.images, target=""))
    assert in_words(audit)[:3] == [
        "Nothing of what was looked for (views that show nothing) crosses its threshold.",
        "Proposal: none; without a label that the images tell clearly, or lesions' masks, nothing "
        "says what a setting keeps.",
        "Not looked for: lesions (no image has a mask); the label (none is told, or none with two "
        "classes of two patients or more); site, sex and age as a shortcut (not told, the same for "
        "all, or of too few patients). Give a folder that data_prep prepared with them; in a plain "
        "folder, 2 to 20 folders, one for each class, tell the label.",
    ]


def test_few_patients_and_files_left_out_are_warned_of() -> None:
    audit = single()
    few = dataclasses.replace(audit, images=dataclasses.replace(audit.images, patients=2))
    assert in_words(few)[-2:] == [
        "Only 2 patients: intervals over so few say little, and one more can change every figure.",
        "2 images of 42 could not be used; the end of the page says which and why.",
    ]


def test_of_one_patient_no_share_is_found_lost() -> None:
    lesions = dataclasses.replace(example_audit().sets[0].lesions, kept=Estimate(0.02))  # type: ignore[type-var]
    audit = single(lesions=lesions)
    one = dataclasses.replace(audit, images=dataclasses.replace(audit.images, patients=1))
    assert said(one, "Lesions lost") == [False]
    assert said(audit, "The views lose the lesion") == [True]


def test_strongest_that_keeps_enough_is_said_only_where_something_is_kept() -> None:
    step = example_audit().sets[0].scans[0].steps[0]
    bare = dataclasses.replace(step, lesions_kept=None, label_kept=None)
    assert step_words(bare, strongest=True) == ""
    assert step_words(step, strongest=True).endswith("strongest that alone keeps enough")


def test_the_page_says_what_its_figures_do_not_count(written: Path) -> None:
    text = Words(written).text
    assert "can be above 100 %" not in text
    assert "cut off at 0 and at 100 %" in text
    assert "Counted is where the lesion lies: blur and noise are not counted" in text
    assert "(where they lie; blur and noise are not counted)" in text
    assert "each transformation by itself is another draw" in text
    assert "the row patient is of other images of the same patients" in text


def test_a_proposal_names_what_it_leaves_as_it_is() -> None:
    given = example_audit().sets[0].proposal
    proposal = dataclasses.replace(given, unchanged=("blur", "noise"))  # type: ignore[type-var]
    said_ = proposal_words(single(proposal=proposal), 0)
    words = "As the set has them, since nothing can be said of what they keep: blur and noise."
    assert said_ is not None
    assert said_.words.endswith(words)


def test_zero_has_no_sign() -> None:
    assert share(Estimate(-0.001)) == "0 %"
    assert number(-0.3, 0) == "0"


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


def test_a_page_claims_no_patients_where_none_are_told(tmp_path: Path) -> None:
    audit = example_audit()
    images = dataclasses.replace(audit.images, patients_known=False)
    shortcuts = [s for s in audit.sets[0].shortcuts if s.attribute != "patient"]
    one = dataclasses.replace(audit.sets[0], shortcuts=tuple(shortcuts))
    audit = dataclasses.replace(audit, images=images, sets=(one,), pictures=None)
    text = write_audit(audit, tmp_path / "audit.html", "Audit").read_text()
    words = re.sub(r"\s+", " ", text)
    assert "intervals over images, since patients are not told" in words
    assert not re.search(r"over patients|patients drawn|of patients it|/ patients", words)
