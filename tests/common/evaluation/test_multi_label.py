"""Several findings at once: a probe each, images without a label left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.evaluation import MultiLabelEvaluation
from common.metrics import ProbeAUC
from common.metrics.linear_probe import fit_probe
from common.metrics.patient_bootstrap import auc
from common.report import build_report
from tests.common.evaluation.test_kinds import Batches, Study, batches
from tests.common.report.words import Words

FINDINGS = ["cardiomegaly", "edema", "rare"]


def films(count: int, seed: int) -> Batches:
    """Two findings the corner tells, one of them not for every image; a third never seen."""
    rng = np.random.default_rng(seed)
    bright = rng.uniform(0, 0.5, count)
    columns: dict[str, Any] = {
        "cardiomegaly": torch.tensor(bright > 0.25).long(),
        "edema": torch.tensor(bright + rng.normal(0, 0.2, count) > 0.3).long(),
        "rare": torch.full((count,), -1),
        "patient": [f"p{n // 2}" for n in range(count)],
    }
    columns["edema"][::3] = -1
    return batches(columns, seed, bright)


TRAIN, TEST = films(60, 1), films(40, 2)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    arguments = {"training": TRAIN, "batches": TEST, "findings": FINDINGS}
    return Study(tmp_path_factory.mktemp("findings"), MultiLabelEvaluation, outputs=3, **arguments)


def by_hand(study: Study, name: str, epoch: int = 12) -> float:
    train, test = study.embedded(TRAIN, epoch), study.embedded(TEST, epoch)
    label, truth = train.columns[name], test.columns[name]
    probe = fit_probe(train.h[label >= 0], label[label >= 0])
    scores = probe.decision_function(test.h[truth >= 0].astype(float))
    return auc(truth[truth >= 0], scores)


def test_each_finding_has_a_probe_of_the_images_on_which_it_counts(study: Study) -> None:
    areas = {name: by_hand(study, name) for name in FINDINGS[:2]}
    assert study.result["auc"] == pytest.approx({**areas, "rare": None})
    assert study.result["auc_mean"] == pytest.approx(np.mean(list(areas.values())))
    first = study.result["epochs"][0]
    assert first["auc"]["edema"] == pytest.approx(by_hand(study, "edema", epoch=3))
    assert [entry["epoch"] for entry in study.result["epochs"]] == [3, 12]


def test_intervals_hold_the_figures_and_are_of_patients(study: Study) -> None:
    ends = study.result["interval"]
    for name in FINDINGS[:2]:
        low, high = ends["auc"][name]
        assert low <= study.result["auc"][name] <= high
        assert high > low
    assert ends["auc_mean"][0] <= study.result["auc_mean"] <= ends["auc_mean"][1]
    assert set(ends["auc"]) == set(FINDINGS[:2])
    assert study.result["counts"]["test_patients"] == 20


def test_counts_say_how_many_are_present_of_those_that_count(study: Study) -> None:
    edema = torch.cat([batch["edema"] for batch in TEST])
    message = f"{int((edema == 1).sum())} of {int((edema >= 0).sum())}"
    assert study.result["counts"]["test_present"]["edema"] == message
    assert study.result["counts"]["test_present"]["rare"] == "0 of 0"


def test_pixels_and_the_untrained_encoder_stand_beside(study: Study) -> None:
    baselines = study.result["baselines"]
    assert set(baselines) == {"pixels", "untrained"}
    assert baselines["pixels"]["auc"]["cardiomegaly"] > 0.8


def test_the_deployed_head_holds_the_probes_in_their_order(study: Study) -> None:
    network, test = study.deployed(outputs=3), study.embedded(TEST)
    with torch.no_grad():
        logits = torch.cat([network(batch["image"]) for batch in TEST]).numpy()
    np.testing.assert_allclose(logits[:, 1], study.scores["score_edema"], atol=1e-4)
    np.testing.assert_allclose(logits[:, 0], study.scores["score_cardiomegaly"], atol=1e-4)
    assert np.count_nonzero(logits[:, 2]) == 0
    assert study.scores["edema"].tolist() == test.columns["edema"].tolist()


def test_the_report_shows_every_finding_and_the_mean(study: Study, tmp_path: Path) -> None:
    text = Words(build_report([study.folder / "run"], tmp_path / "r.html", "T")).text
    section = text[text.index("Each finding") :]
    for name in ("Cardiomegaly", "Edema"):
        value = study.result["auc"][name.lower()]
        low, high = study.result["interval"]["auc"][name.lower()]
        assert name in section
        assert f"{value:.3f} ({low:.3f}–{high:.3f})" in section
    assert "Rare" not in section
    assert f"mean AUC {study.result['auc_mean']:.3f}" in text
    baseline = study.result["baselines"]["pixels"]["auc"]["edema"]
    assert f"pixels {baseline:.3f}" in section
    assert "nan" not in text.lower().split()
    assert "transformation" not in text


def test_a_column_the_batches_lack_and_findings_never_seen_are_told(tmp_path: Path) -> None:
    parts = {"training": TRAIN, "batches": TEST}
    with pytest.raises(InputError, match=r"batches must hold fracture, got cardiomegaly, edema"):
        Study(tmp_path / "a", MultiLabelEvaluation, 1, **parts, findings=["fracture"])
    with pytest.raises(InputError, match=r"at least one finding must be present and absent"):
        Study(tmp_path / "b", MultiLabelEvaluation, 1, **parts, findings=["rare"])


def test_the_probe_that_watches_a_training_leaves_out_what_has_no_label() -> None:
    h = torch.tensor([0.0, 1, 5] * 12)[:, None] + torch.rand(36, 1) / 9
    label = torch.tensor([0, 1, -1] * 12)
    metric, known = ProbeAUC(), ProbeAUC()
    metric.update((h, label))
    known.update((h[label >= 0], label[label >= 0]))
    assert metric.compute() == known.compute() == 1
    metric.reset()
    metric.update((h, torch.full_like(label, -1)))
    assert np.isnan(metric.compute())
