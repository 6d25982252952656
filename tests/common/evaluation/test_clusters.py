"""Clusters of a representation against the classes: worked out again, shown, deployed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.evaluation import ClustersEvaluation, clusters
from common.evaluation.cluster_pictures import nearest
from common.metrics import clustering_scores, effective_rank
from common.metrics.clustering_scores import Clustering, fit_clusters, silhouette
from common.metrics.linear_probe import fit_probe
from common.metrics.plain_features import intensities
from common.report import build_report
from tests.common.evaluation.test_kinds import Batches, Study, batches
from tests.common.report.words import Words


def groups(count: int, seed: int) -> Batches:
    """Three groups that the corner tells; every fifth image without a label."""
    label = torch.arange(count) % 3
    bright = 0.25 * label + 0.02 * torch.rand(count, generator=torch.Generator().manual_seed(seed))
    shown = torch.where(torch.arange(count) % 5 == 0, -1, label)
    return batches({"label": shown, "patient": [f"p{n}" for n in range(count)]}, seed, bright)


TRAIN, TEST = groups(60, 1), groups(40, 2)


def evaluated(folder: Path, **changes: Any) -> Study:
    arguments = {"training": TRAIN, "batches": TEST, "clusters": [3, 2], "intensity": True}
    fast = {"outputs": 3, "starts": 2, "seeds": 2}
    return Study(folder, ClustersEvaluation, **fast | arguments | changes)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return evaluated(tmp_path_factory.mktemp("clusters"))


def test_all_images_are_clustered_and_the_labelled_ones_compared(study: Study) -> None:
    test = study.embedded(TEST)
    found = [fit_clusters(test.h, 3, seed, starts=2).cluster for seed in range(2)]
    first = study.result["clusterings"][0]
    known = test.label >= 0
    for name in ("ami", "ami_arithmetic"):
        exact = np.eye(3)[found[0][known]] * 9  # the clusters themselves, found again
        expected = clustering_scores(exact, test.label[known])[name]
        assert first[name] == pytest.approx(expected, abs=1e-9)
    mean = np.mean([silhouette(test.h, each) for each in found])
    assert first["silhouette"] == pytest.approx(mean, abs=1e-6)
    assert [each["clusters"] for each in study.result["clusterings"]] == [3, 2]
    assert study.result["ami"] == first["ami"] == study.result["epochs"][-1]["ami"]


def test_the_probe_and_the_rank_are_of_the_features_as_they_are(study: Study) -> None:
    train, test = study.embedded(TRAIN), study.embedded(TEST)
    fitted_on, known = train.label >= 0, test.label >= 0
    probe = fit_probe(train.h[fitted_on], train.label[fitted_on])
    right = probe.predict(test.h[known].astype(np.float64)) == test.label[known]
    assert study.result["probe"] == pytest.approx(right.mean())
    assert study.result["effective_rank"] == pytest.approx(effective_rank(test.h), abs=1e-4)
    low, high = study.result["interval"]["ami"]
    assert low <= study.result["ami"] <= high


def test_pixels_brightness_and_the_untrained_encoder_stand_beside(study: Study) -> None:
    baselines = study.result["baselines"]
    assert set(baselines) == {"pixels", "untrained", "intensity"}
    x = torch.cat([batch["image"] for batch in TEST])
    table = intensities(TEST)
    assert table.shape == (40, 7)
    assert table[0, 0] == pytest.approx(float(x[0].mean()), abs=1e-6)
    assert table[3, 4] == pytest.approx(float(x[3].median()), abs=0.05)
    label = torch.cat([batch["label"] for batch in TEST]).numpy()
    raw = clustering_scores(x.flatten(1).numpy()[label >= 0], label[label >= 0])
    assert baselines["pixels"]["ami"] == pytest.approx(raw["ami"], abs=0.2)


def test_the_pictures_of_a_cluster_are_nearest_to_its_centre() -> None:
    h = np.array([[0.0], [3.0], [1.0], [10.0], [11.0]])
    found = Clustering(np.array([0, 0, 0, 1, 1]), np.array([[1.2], [10.9]]))
    assert nearest(h, found, count=3).tolist() == [[2, 0, 1], [4, 3, -1]]


def test_the_deployed_head_is_the_probe_or_names_the_nearest_centre(
    study: Study, tmp_path: Path
) -> None:
    other = evaluated(tmp_path, deployed_head="clusters")
    with torch.no_grad():
        image = torch.cat([batch["image"] for batch in TEST])
        said = other.deployed(outputs=3)(image).argmax(dim=1).numpy()
        probed = study.deployed(outputs=3)(image).argmax(dim=1).numpy()
    assert said.tolist() == other.scores["cluster_of_3"].tolist()
    label = study.embedded(TEST).label
    right = float((probed == label)[label >= 0].mean())
    assert right == pytest.approx(study.result["probe"])


def test_the_report_shows_figures_maps_and_galleries(study: Study, tmp_path: Path) -> None:
    page = build_report([study.folder / "run"], tmp_path / "r.html", "T")
    text = Words(page).text
    first = study.result["clusterings"][0]
    for name in ("ami", "ami_arithmetic", "silhouette"):
        assert f"{first[name]:.3f}" in text
    assert "brightness alone" in text
    assert "cluster 2: " in text
    assert page.read_text().count("an image of cluster 0") == 2 * 8
    assert "The images on a map" in text
    assert "nan" not in text.lower().split()


def test_the_report_calls_classes_by_their_names(study: Study, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(study.folder / "run", run)
    content = json.loads((run / "evaluation.json").read_text())
    content["classes"] = ["untreated", "taxol", "third"]
    (run / "evaluation.json").write_text(json.dumps(content))
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert text.count("untreated") > 1  # below a picture, and beside its colour on the map
    assert "class 1" not in text


def test_views_of_an_image_are_compared_where_asked_for(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "load_lpips", lambda: lambda a, b: (a - b).flatten(1).mean(1) + 2)
    other = evaluated(tmp_path, perceptual=True)
    assert other.result["lpips"] == pytest.approx(2)  # two views by no transformation are the same
    assert "lpips" not in study.result
    page = build_report([other.folder / "run"], tmp_path / "r.html", "T")
    assert "LPIPS of two views" in Words(page).text


def test_a_collapsed_representation_has_figures_of_nothing() -> None:
    found = fit_clusters(np.ones((9, 2)), 3)
    assert set(found.cluster) == {0}
    assert silhouette(np.ones((9, 2)), found.cluster) == 0.0


@pytest.mark.bad_input("evaluation")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clusters": [3, 3]}, "clusters must be numbers from 2 to below that of the images, 40"),
        ({"clusters": 40}, "clusters must be numbers from 2 to below that of the images, 40"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"deployed_head": "trained"}, "deployed_head must be refitted or clusters, got 'trained'"),
        (
            {"training": [b | {"label": torch.full((10,), -1)} for b in TRAIN]},
            "the training images must show at least 2 classes, got 0. Prepare",
        ),
    ],
)
def test_what_cannot_be_clustered_is_refused(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^ClustersEvaluation: {message}"):
        evaluated(tmp_path, **changes)
