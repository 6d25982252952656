"""Evaluating a run for brain age, for case and control, and for classes with a bias."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.deploy import embed
from common.evaluation import AccuracyEvaluation, CaseControlEvaluation, ChallengeEvaluation
from common.methods import Method, Supervised
from common.metrics import age_mae, pair_distances, site_balanced_accuracy
from common.metrics.linear_probe import fit_probe
from common.metrics.openbhb import (
    age_floor,
    balanced_accuracy,
    fit_age,
    fit_site_standardised,
)
from common.metrics.patient_bootstrap import auc
from common.networks import ConvEncoder, ImageClassifier
from tests.oracles import evaluation as oracle
from tests.tiny import write_record

Batches = list[dict[str, Any]]


def method(seed: int, outputs: int = 1) -> Method:
    torch.manual_seed(seed)
    return Supervised(ImageClassifier(ConvEncoder(channels=(4, 6)), 6, outputs))


def batches(columns: Mapping[str, Any], seed: int, bright: Any) -> Batches:
    """Batches of ten random images, a corner as bright as told, and the columns."""
    count = len(bright)
    x = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) / 2
    x[:, :, :4, :4] += torch.as_tensor(np.asarray(bright), dtype=torch.float32)[:, None, None, None]
    whole = {"image": x, **columns}
    return [
        {key: value[start : start + 10] for key, value in whole.items()}
        for start in range(0, count, 10)
    ]


def subjects(count: int, sites: Any, seed: int, **more: Any) -> Batches:
    """Ages that the corner tells, sites in turn; every subject once."""
    rng = np.random.default_rng(seed)
    age = torch.tensor(rng.uniform(20, 80, count), dtype=torch.float32)
    site = torch.tensor(np.resize(sites, count))
    columns = {"age": age, "site": site, "label": (age > 50).long(), **more}
    return batches(columns, seed, age.numpy() / 160 + 0.1 * site.numpy())


class Study:
    """A folder with two snapshots, and the data they are evaluated on."""

    def __init__(self, folder: Path, kind: Any, outputs: int = 1, **arguments: Any) -> None:
        self.folder = folder
        self.networks = {epoch: method(epoch, outputs) for epoch in (3, 12)}
        write_record(folder / "run", {"epochs": 12}, strategy="y_aware")
        for epoch, network in self.networks.items():
            torch.save(network.state_dict(), folder / "run" / f"network_epoch={epoch}.pt")
        self.evaluation = kind(
            **arguments,
            network=method(0, outputs),
            run_dir=folder / "run",
            model_path=folder / "models" / "model.pt",
            device="cpu",
            data="0123",
        )
        self.returned = self.evaluation.run()

    def embedded(self, part: Batches, epoch: int = 12) -> Any:
        return embed(self.networks[epoch].classifier, part, "cpu")

    @property
    def result(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "run" / "evaluation.json").read_text()))

    @property
    def scores(self) -> dict[str, Any]:
        with np.load(self.folder / "run" / "scores.npz") as archive:
            return dict(archive)

    def deployed(self, outputs: int = 1) -> ImageClassifier:
        network = method(5, outputs).classifier
        state = torch.load(self.folder / "models" / "model.pt", weights_only=True)
        network.load_state_dict(state, strict=True)
        return network.eval()


TRAIN = subjects(60, [0, 1, 2], seed=1)
INTERNAL = subjects(30, [0, 1, 2], seed=2, split=["internal"] * 30)
EXTERNAL = subjects(30, [3, 4], seed=3, split=["external"] * 30)


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Study:
    arguments = {"training": TRAIN, "test": INTERNAL + EXTERNAL, "site_names": list("abcde")}
    return Study(tmp_path_factory.mktemp("challenge"), ChallengeEvaluation, **arguments)


def test_the_challenge_reads_age_and_site_with_heads_fitted_on_the_training_subjects(
    challenge: Study,
) -> None:
    assert [entry["epoch"] for entry in challenge.result["epochs"]] == [3, 12]
    for entry in challenge.result["epochs"]:
        train, internal, external = (
            challenge.embedded(part, entry["epoch"]) for part in (TRAIN, INTERNAL, EXTERNAL)
        )
        errors = [age_mae(train.h, train.age, part.h, part.age) for part in (internal, external)]
        bacc = site_balanced_accuracy(train.h, train.site, internal.h, internal.site)
        assert entry["mae_internal"] == pytest.approx(errors[0], abs=1e-9)
        assert entry["mae_external"] == pytest.approx(errors[1], abs=1e-9)
        assert entry["bacc_internal"] == pytest.approx(bacc, abs=1e-12)
        assert entry["lc"] == pytest.approx(errors[1] * bacc**0.3, abs=1e-9)
    assert challenge.result["lc"] == challenge.result["epochs"][-1]["lc"]


def test_the_challenges_figures_stand_beside_chance_age_and_baselines(challenge: Study) -> None:
    result = challenge.result
    train, internal = (challenge.embedded(part) for part in (TRAIN, INTERNAL))
    floor = age_floor(train.age, train.site, internal.age, internal.site)
    assert result["bacc_age_floor"] == pytest.approx(floor, abs=1e-12)
    assert result["bacc_chance"] == pytest.approx(1 / 3)
    assert result["label"] == "public-validation Lc"
    assert result["counts"] == {
        "training_subjects": 60,
        "training_sites": 3,
        "internal_subjects": 30,
        "external_subjects": 30,
    }
    pixels = [
        torch.cat([b["image"] for b in part]).flatten(1).numpy() for part in (TRAIN, EXTERNAL)
    ]
    external = challenge.embedded(EXTERNAL)
    expected = age_mae(pixels[0], train.age, pixels[1], external.age)
    assert result["baselines"]["pixels"]["mae_external"] == pytest.approx(expected, abs=1e-6)
    assert set(result["baselines"]) == {"pixels", "untrained"}
    search = fit_site_standardised(train.h, train.site, train.patient)
    told = balanced_accuracy(search.predict(internal.h), internal.site)
    assert result["bacc_standardised"]["features"] == pytest.approx(told)
    assert set(result["bacc_standardised"]) == {"features", "pixels", "untrained"}
    for name in ("mae_internal", "mae_external", "bacc_internal", "lc"):
        low, high = result["interval"][name]
        assert low < result[name] < high


def test_the_deployed_head_predicts_the_age_the_ridge_does(challenge: Study) -> None:
    train, external = challenge.embedded(TRAIN), challenge.embedded(EXTERNAL)
    expected = fit_age(train.h, train.age).predict(external.h)
    with torch.no_grad():
        image = torch.cat([batch["image"] for batch in EXTERNAL])
        actual = challenge.deployed()(image)[:, 0].numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-3)
    scores = challenge.scores
    np.testing.assert_allclose(scores["predicted_age"][30:], expected, rtol=0, atol=1e-6)
    assert scores["internal"].tolist() == [True] * 30 + [False] * 30
    assert scores["site"][30:].tolist() == [3, 4] * 15


def test_the_baseline_of_a_table_is_its_features(tmp_path: Path) -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :6]

    network = Supervised(ImageClassifier(Flat(), 6))
    torch.save(network.state_dict(), tmp_path / "network_epoch=1.pt")
    parts = [
        [{**batch, "image": batch["image"].flatten(1)} for batch in part]
        for part in (TRAIN, INTERNAL + EXTERNAL)
    ]
    about = {"data": "", "device": "cpu"}
    write_record(tmp_path)
    paths = {"run_dir": tmp_path, "model_path": tmp_path / "model.pt"}
    result = ChallengeEvaluation(*parts, network=network, **about, **paths).run()
    assert set(result["baselines"]) == {"features", "untrained"}
    assert result["baselines"]["untrained"]["lc"] == pytest.approx(result["lc"], abs=1e-9)


def without_split(part: Batches) -> Batches:
    return [{key: value for key, value in batch.items() if key != "split"} for batch in part]


def test_without_a_split_subjects_of_sites_trained_on_are_internal(
    challenge: Study, tmp_path: Path
) -> None:
    test = without_split(EXTERNAL) + without_split(INTERNAL)
    study = Study(tmp_path, ChallengeEvaluation, training=TRAIN, test=test)
    assert study.result["lc"] == pytest.approx(challenge.result["lc"], abs=1e-9)


def test_subjects_without_an_age_or_a_site_are_left_out(challenge: Study, tmp_path: Path) -> None:
    unknown = subjects(10, [0], seed=9)
    unknown[0] |= {"age": torch.full((10,), torch.nan), "site": torch.full((10,), -1)}
    strangers = [unknown[0] | {"split": [split] * 10} for split in ("internal", "external")]
    arguments = {"training": TRAIN + unknown, "test": INTERNAL + EXTERNAL + strangers}
    study = Study(tmp_path, ChallengeEvaluation, **arguments)
    for name in ("mae_internal", "mae_external", "bacc_internal"):
        assert study.result[name] == pytest.approx(challenge.result[name], abs=1e-9)


def test_a_head_trained_on_age_is_told_and_kept(tmp_path: Path) -> None:
    arguments = {"training": TRAIN, "test": INTERNAL + EXTERNAL, "deployed_head": "trained"}
    study = Study(tmp_path, ChallengeEvaluation, **arguments)
    external = study.embedded(EXTERNAL)
    error = np.abs(external.logits[:, 0] - external.age).mean()
    assert study.result["head"]["mae_external"] == pytest.approx(error, abs=1e-5)
    expected = study.networks[12].classifier.state_dict()
    torch.testing.assert_close(study.deployed().state_dict(), expected, rtol=0, atol=0)


def test_one_training_site_is_always_told_and_its_ages_are_scored_and_deployed(
    tmp_path: Path,
) -> None:
    here, elsewhere = (
        subjects(30, [site], seed=5 + site, split=[split] * 30)
        for site, split in ((0, "internal"), (1, "external"))
    )
    study = Study(
        tmp_path, ChallengeEvaluation, training=subjects(60, [0], seed=1), test=here + elsewhere
    )
    told = [study.result[name] for name in ("bacc_internal", "bacc_chance", "bacc_age_floor")]
    assert told == [1.0, 1.0, 1.0]
    assert study.result["lc"] == pytest.approx(study.result["mae_external"], abs=1e-9)
    assert study.deployed().state_dict()["head.weight"].abs().sum() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test": INTERNAL}, "test must hold external subjects with an age, got none"),
        (
            {"test": INTERNAL + EXTERNAL, "deployed_head": True},
            "deployed_head must be 'refitted' or 'trained', got T",
        ),
        (
            {"test": INTERNAL + EXTERNAL, "outputs": 2},
            r"the network must have 1 output\(s\), got 2. Set num_classes",
        ),
    ],
)
def test_a_challenge_that_cannot_be_scored_is_refused(
    tmp_path: Path, arguments: Any, message: str
) -> None:
    with pytest.raises(InputError, match=f"^ChallengeEvaluation: {message}"):
        Study(tmp_path, ChallengeEvaluation, training=TRAIN, **arguments)


def test_a_missing_column_is_named_with_the_cure(tmp_path: Path) -> None:
    train = [{"image": batch["image"], "site": batch["site"]} for batch in TRAIN]
    with pytest.raises(InputError, match=r"must hold 'age', got site. Name it among the columns"):
        Study(tmp_path, ChallengeEvaluation, training=train, test=INTERNAL + EXTERNAL)


@pytest.fixture(scope="module")
def case_control(tmp_path_factory: pytest.TempPathFactory) -> Study:
    arguments = {"training": TRAIN, "test": INTERNAL + EXTERNAL}
    return Study(tmp_path_factory.mktemp("cases"), CaseControlEvaluation, **arguments)


def test_cases_are_told_by_a_probe_inside_and_outside_the_training_sites(
    case_control: Study,
) -> None:
    train = case_control.embedded(TRAIN)
    probe = fit_probe(train.h, train.label)
    result = case_control.result
    for name, part in (("internal", INTERNAL), ("external", EXTERNAL)):
        embedded = case_control.embedded(part)
        expected = oracle.auc(
            embedded.label, probe.decision_function(embedded.h.astype(np.float64))
        )
        assert result[f"auc_{name}"] == pytest.approx(expected, abs=1e-12)
        low, high = result["interval"][f"auc_{name}"]
        assert low < expected < high
    assert result["probe"]["auc_external"] == result["auc_external"]
    assert [entry["epoch"] for entry in result["epochs"]] == [3, 12]
    with torch.no_grad():
        image = torch.cat([batch["image"] for batch in EXTERNAL])
        logits = case_control.deployed()(image)[:, 0].numpy()
    np.testing.assert_allclose(logits, case_control.scores["score"][30:], rtol=0, atol=1e-3)


def test_each_site_is_scored_by_a_probe_of_the_other_sites(case_control: Study) -> None:
    embedded = case_control.embedded(TRAIN + without_split(INTERNAL) + without_split(EXTERNAL))
    rows = case_control.result["leave_site_out"]["sites"]
    assert [row["site"] for row in rows] == [0, 1, 2, 3, 4]
    for row in rows:
        here = embedded.site == row["site"]
        probe = fit_probe(embedded.h[~here], embedded.label[~here])
        expected = auc(
            embedded.label[here], probe.decision_function(embedded.h[here].astype(float))
        )
        assert row["auc"] == pytest.approx(expected, abs=1e-9)
        assert row["subjects"] == here.sum()


def test_sites_are_dealt_into_folds_that_are_left_out_together(tmp_path: Path) -> None:
    arguments = {"training": TRAIN, "test": INTERNAL + EXTERNAL, "site_folds": 2}
    study = Study(tmp_path, CaseControlEvaluation, site_names=["A", "B"], **arguments)
    embedded = study.embedded(TRAIN + without_split(INTERNAL) + without_split(EXTERNAL))
    rows = study.result["leave_site_out"]["sites"]
    names = study.result["site_names"]
    assert len(rows) == len(names) == 2
    number = {"A": 0, "B": 1} | {f"site {n}": n for n in range(2, 5)}
    folds = [[number[name] for name in fold.split(", ")] for fold in names]
    assert sorted(folds[0] + folds[1]) == [0, 1, 2, 3, 4]
    for row, sites in zip(rows, folds):
        here = np.isin(embedded.site, sites)
        probe = fit_probe(embedded.h[~here], embedded.label[~here])
        expected = auc(
            embedded.label[here], probe.decision_function(embedded.h[here].astype(float))
        )
        assert row["auc"] == pytest.approx(expected, abs=1e-9)
        assert row["subjects"] == here.sum()
    assert abs(rows[0]["subjects"] - rows[1]["subjects"]) <= np.bincount(embedded.site).max()
    with pytest.raises(InputError, match="site_folds must be 0 or at least 2, got 1"):
        Study(tmp_path / "one", CaseControlEvaluation, **arguments | {"site_folds": 1})


def test_a_fine_tuned_head_decides_and_has_no_leave_site_out_table(tmp_path: Path) -> None:
    arguments = {"training": TRAIN, "test": INTERNAL + EXTERNAL, "deployed_head": "trained"}
    study = Study(tmp_path, CaseControlEvaluation, **arguments)
    embedded = study.embedded(INTERNAL)
    assert study.result["auc_internal"] == pytest.approx(
        oracle.auc(embedded.label, embedded.logits[:, 0])
    )
    assert study.result["leave_site_out"] is None
    np.testing.assert_allclose(study.scores["score"][:30], embedded.logits[:, 0], rtol=0, atol=1e-6)
    assert np.abs(study.scores["probe"] - study.scores["score"]).min() > 1e-3


def test_cases_without_controls_are_refused(tmp_path: Path) -> None:
    test = INTERNAL + [batch | {"label": 0 * batch["label"] + 1} for batch in EXTERNAL]
    with pytest.raises(InputError, match=r"external test subjects must be cases and .* got \[1\]"):
        Study(tmp_path, CaseControlEvaluation, training=TRAIN, test=test)


def biased(count: int, ratio: float, seed: int) -> Batches:
    """Three classes told by the brightness of a corner; their bias agrees with the given share."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 3
    bias = np.where(rng.random(count) < ratio, (label + 1) % 3, rng.integers(0, 3, count))
    columns = {"label": torch.tensor(label), "bias": torch.tensor(bias)}
    return batches(columns, seed, 0.2 * label)


BIASED, FAIR = biased(90, 0.9, seed=1), biased(60, 0.0, seed=2)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Study:
    arguments = {"training": BIASED, "batches": FAIR, "outputs": 3}
    return Study(tmp_path_factory.mktemp("classes"), AccuracyEvaluation, **arguments)


def test_accuracy_is_that_of_the_last_head_in_all_and_by_bias(classes: Study) -> None:
    embedded, result = classes.embedded(FAIR), classes.result
    right = embedded.logits.argmax(axis=1) == embedded.label
    aligned = embedded.bias == (embedded.label + 1) % 3
    assert 0 < aligned.sum() < 60
    assert result["accuracy"] == pytest.approx(right.mean())
    assert result["accuracy_aligned"] == pytest.approx(right[aligned].mean())
    assert result["accuracy_conflicting"] == pytest.approx(right[~aligned].mean())
    cells = {(int(a), int(b)) for a, b in zip(embedded.label, embedded.bias)}
    shares = [right[(embedded.label == a) & (embedded.bias == b)].mean() for a, b in cells]
    assert result["accuracy_unbiased"] == pytest.approx(np.mean(shares))
    assert result["counts"]["test_conflicting"] == (~aligned).sum()
    first = classes.embedded(FAIR, 3)
    share = (first.logits.argmax(axis=1) == first.label).mean()
    assert result["epochs"][0] == {"epoch": 3, **result["epochs"][0], "accuracy": share}
    assert result["part"] == "test"


def test_a_probe_refitted_on_frozen_features_stands_beside_the_head(classes: Study) -> None:
    train, embedded = classes.embedded(BIASED), classes.embedded(FAIR)
    predicted = fit_probe(train.h, train.label).predict(embedded.h.astype(np.float64))
    assert classes.result["probe"]["accuracy"] == pytest.approx(
        (predicted == embedded.label).mean()
    )
    assert classes.result["deployed_head"] == "trained"
    expected = classes.networks[12].classifier.state_dict()
    torch.testing.assert_close(classes.deployed(3).state_dict(), expected, rtol=0, atol=0)


def test_distances_of_pairs_are_told_before_and_after_training(classes: Study) -> None:
    embedded, distances = classes.embedded(FAIR), classes.result["distances"]
    assert set(distances) == {"edges", "before", "after"}
    for name, actual in pair_distances(embedded.h, embedded.label, embedded.bias).items():
        after = distances["after"][name]
        assert after["counts"] == np.histogram(actual, distances["edges"])[0].tolist()
        assert after["mean"] == pytest.approx(actual.mean(), abs=1e-6)
        assert distances["before"][name]["pairs"] == after["pairs"] == sum(after["counts"])
    assert distances["before"] != distances["after"]


def test_without_a_trained_head_the_probe_decides_and_is_deployed(tmp_path: Path) -> None:
    train, test = ([{k: b[k] for k in ("image", "label")} for b in p] for p in (BIASED, FAIR))
    arguments = {"training": train, "batches": test, "outputs": 3, "deployed_head": "refitted"}
    study = Study(tmp_path, AccuracyEvaluation, **arguments)
    assert study.result["accuracy"] == study.result["probe"]["accuracy"]
    assert study.result["distances"] is None
    assert "accuracy_aligned" not in study.result
    with torch.no_grad():
        logits = study.deployed(3)(torch.cat([batch["image"] for batch in test]))
    assert logits.argmax(1).tolist() == study.scores["predicted_by_refitted_head"].tolist()


@pytest.mark.parametrize("outputs", [1, 2])
def test_two_classes_may_have_one_output_or_two(tmp_path: Path, outputs: int) -> None:
    train = subjects(40, [0], seed=4)
    arguments = {"training": train, "batches": train, "outputs": outputs}
    Study(tmp_path / "trained", AccuracyEvaluation, **arguments)
    study = Study(tmp_path / "refitted", AccuracyEvaluation, deployed_head="refitted", **arguments)
    with torch.no_grad():
        logits = study.deployed(outputs)(torch.cat([batch["image"] for batch in train]))
    decided = (logits[:, 0] > 0).long() if outputs == 1 else logits.argmax(1)
    assert decided.tolist() == study.scores["predicted_by_refitted_head"].tolist()
