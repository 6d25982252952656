"""Linear evaluation, intervals and the audit of transformations."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from common.checks import InputError
from common.deploy import embed
from common.evaluation import audit_transforms
from common.metrics import ProbeAUC, linear_probe, patient_interval
from common.metrics.linear_probe import STRENGTHS, as_layer, fit_head, fit_probe, fit_tuned_probe
from common.networks import ConvEncoder, ImageClassifier
from common.transforms import Composition
from tests.oracles import evaluation as oracle

Data = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def data(images: int = 36, per_patient: int = 3) -> Data:
    """Features that tell something of the label; labels, folds and patients of the images."""
    rng = np.random.default_rng(0)
    label = np.arange(images) % 2
    features = rng.normal(size=(images, 4)) * [1, 5, 0.1, 1] + [3, 0, 0, 0]
    features[:, 0] += label
    patient = np.array([f"p{index // per_patient:02d}" for index in range(images)])
    fold = np.arange(images) * 3 // images
    return features, label, fold, patient


def test_the_probe_is_the_loop_over_held_out_folds() -> None:
    features, label, fold, _ = data()
    auc, scores = oracle.linear_evaluation(features, label, fold)
    probe = linear_probe(features, label, fold)
    assert probe.auc == pytest.approx(auc, abs=1e-12)
    np.testing.assert_allclose(probe.scores, scores, rtol=0, atol=1e-10)
    assert probe.mean == pytest.approx(sum(auc) / 3, abs=1e-12)
    assert probe.std == pytest.approx(np.sqrt(np.mean((np.array(auc) - probe.mean) ** 2)))


def test_the_probe_never_scores_an_image_with_a_model_that_saw_it() -> None:
    features, label, fold, _ = data()
    spoilt = label.copy()
    spoilt[fold == 1] = 1 - label[fold == 1]
    scores = linear_probe(features, spoilt, fold).scores
    np.testing.assert_array_equal(
        scores[fold == 1], linear_probe(features, label, fold).scores[fold == 1]
    )


def test_features_of_any_scale_give_the_same_scores() -> None:
    features, label, fold, _ = data()
    scores = linear_probe(features * 1000 - 7, label, fold).scores
    np.testing.assert_allclose(scores, linear_probe(features, label, fold).scores, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda label, fold: (label, fold * 0), "fold must hold at least 2 hold-out sets, got 1"),
        (lambda label, fold: (label * (fold > 0), fold), "label must hold both classes, 0 and 1"),
        (lambda label, fold: (label - 1, fold), "label must hold both classes, 0 and 1"),
    ],
    ids=["one fold", "one class", "not labelled"],
)
def test_data_that_cannot_be_probed_is_refused(change: Any, message: str) -> None:
    features, label, fold, _ = data()
    with pytest.raises(InputError, match=f"^linear_probe: {message}"):
        linear_probe(features, *change(label, fold))


def test_the_folded_head_decides_as_the_regression_on_standardised_features() -> None:
    features, label, _, _ = data()
    # a fold that holds every image and one that is scored: the model is fitted on all of `data`
    twice, folds = np.concatenate([features] * 2), np.repeat([0, 1], len(label))
    expected = linear_probe(twice, np.concatenate([label] * 2), folds).scores[: len(label)]
    weight, bias = fit_head(features, label)
    assert weight.shape == (1, 4)
    logits = features @ weight.double().numpy().T + bias.double().numpy()
    np.testing.assert_allclose(logits[:, 0], expected, rtol=0, atol=1e-5)


def test_the_interval_is_the_loop_over_draws_of_patients() -> None:
    features, label, fold, patient = data()
    scores = features[:, 0]
    means = oracle.patient_bootstrap(label, scores, fold, patient, draws=40, seed=7)
    actual = patient_interval(label, scores, fold, patient, level=0.8, draws=40, seed=7)
    assert np.std(means) > 0.01
    assert actual == pytest.approx(np.quantile(means, [0.1, 0.9]), abs=1e-12)


def test_draws_in_which_a_fold_loses_a_class_are_left_out() -> None:
    """Two patients a fold, each with one class: half of the draws of a fold lose one."""
    label, fold = np.tile([0, 1], 3), np.repeat([0, 1, 2], 2)
    patient = np.array([f"p{index}" for index in range(6)])
    assert len(oracle.patient_bootstrap(label, label * 1.0, fold, patient, 100, 0)) < 50
    assert patient_interval(label, label * 1.0, fold, patient, draws=100) == (1.0, 1.0)


def test_identical_scores_give_one_half_without_spread() -> None:
    _, label, fold, patient = data()
    assert patient_interval(label, np.zeros(len(label)), fold, patient, draws=20) == (0.5, 0.5)


def test_correlated_images_of_a_patient_widen_the_interval() -> None:
    _, label, fold, patient = data(120, per_patient=10)
    rng = np.random.default_rng(1)
    of_patient = dict(zip(np.unique(patient), rng.normal(size=12)))
    scores = label + 2 * np.array([of_patient[name] for name in patient])
    each = np.array([f"p{index}" for index in range(120)])
    low, high = patient_interval(label, scores, fold, patient, draws=200)
    alone_low, alone_high = patient_interval(label, scores, fold, each, draws=200)
    assert high - low > 1.2 * (alone_high - alone_low)


def probe_auc(h: NDArray[Any], label: NDArray[Any], batch_size: int = 7) -> float:
    """`ProbeAUC` attached to an engine that passes batches through."""
    engine = Engine(lambda _, rows: (torch.tensor(h[rows]), torch.tensor(label[rows])))
    ProbeAUC().attach(engine, "auc")
    rows = np.arange(len(label))
    engine.run([rows[start : start + batch_size] for start in range(0, len(label), batch_size)])
    return float(engine.state.metrics["auc"])


def test_the_metric_is_the_probe_on_contiguous_thirds() -> None:
    features, label, fold, _ = data()
    features = features.astype(np.float32)
    expected = linear_probe(features, label, fold).mean
    assert probe_auc(features, label) == pytest.approx(expected, abs=1e-12)


def test_the_metric_is_nan_where_a_third_has_one_class() -> None:
    features, label, _, _ = data()
    assert np.isnan(probe_auc(features.astype(np.float32), np.sort(label)))


class Fixed(nn.Module):
    """The same parameters for every image."""

    def __init__(self, *lam: float) -> None:
        super().__init__()
        self.lam = torch.tensor(lam)

    def forward(self, x: Tensor) -> Tensor:
        return self.lam.expand(len(x), -1)


def lesions() -> list[dict[str, Any]]:
    """Two batches: a lesion in the upper left corner of the first and third of four images."""
    x, mask = torch.rand(4, 1, 16, 16), torch.zeros(4, 1, 16, 16)
    mask[::2, :, 1:4, 1:4] = 1
    names = ["a", "b", "c", "d"]
    return [
        {"image": x[rows], "mask": mask[rows], "name": names[rows]}
        for rows in (slice(0, 2), slice(2, 4))
    ]


NAN = float("nan")


@pytest.mark.parametrize(
    ("lam", "kept"),
    [((0.9, 0.9), 0.0), ((0.16, 0.16), 1.0), ((NAN, NAN), 1.0)],
    ids=["crop elsewhere", "crop around it", "not applied"],
)
def test_lesions_are_counted_as_kept_when_the_crop_shows_them(lam: Any, kept: float) -> None:
    summary, _ = audit_transforms(Fixed(*lam), Composition(["crop"]), lesions(), "cpu")
    assert summary["lesion_kept"] == kept
    assert summary["n_lesion_images"] == 2


def test_a_flipped_lesion_is_a_kept_lesion_elsewhere() -> None:
    summary, gallery = audit_transforms(Fixed(1.0), Composition(["flip_1"]), lesions(), "cpu")
    assert summary["lesion_kept"] == 1.0
    assert gallery["transformed_mask"][0, 1:4, 12:15].min() == pytest.approx(1)
    np.testing.assert_allclose(gallery["transformed_mask"], gallery["mask"][:, :, ::-1])


def test_the_spread_over_images_is_zero_for_a_policy_that_ignores_them() -> None:
    transform = Composition(["noise", "flip_0"])
    summary, _ = audit_transforms(Fixed(0.52, NAN), transform, lesions(), "cpu")
    assert summary["names"] == ["noise", "flip_0"]
    assert summary["lam_mean"] == [pytest.approx(0.52), None]
    assert summary["lam_std_over_images"] == [pytest.approx(0, abs=1e-7), None]
    counts = summary["histogram"]["counts"]
    assert counts[0].index(4) == 10  # 0.50 to 0.55
    assert [sum(c) for c in counts] == [4, 0]


def test_the_gallery_shows_images_with_a_lesion_first() -> None:
    _, gallery = audit_transforms(Fixed(1.0), Composition(["flip_0"]), lesions(), "cpu", examples=6)
    assert gallery["name"].tolist() == ["a", "c"]
    assert gallery["image"].shape == gallery["transformed_mask"].shape == (2, 16, 16)
    assert gallery["lam"].tolist() == [[1.0], [1.0]]


def test_without_masks_nothing_is_said_of_lesions_and_the_first_images_are_shown() -> None:
    batches = [{"image": batch["image"]} for batch in lesions()]
    summary, gallery = audit_transforms(
        Fixed(1.0), Composition(["flip_0"]), batches, "cpu", examples=3
    )
    assert summary["lesion_kept"] is None
    assert set(gallery) == {"image", "transformed", "lam", "name"}
    np.testing.assert_array_equal(gallery["image"][2], batches[1]["image"][0, 0])


def test_images_whose_masks_are_all_empty_are_shown_as_those_without_masks() -> None:
    batches = [{**batch, "mask": torch.zeros_like(batch["mask"])} for batch in lesions()]
    summary, gallery = audit_transforms(
        Fixed(1.0), Composition(["flip_0"]), batches, "cpu", examples=3
    )
    assert (summary["lesion_kept"], summary["n_lesion_images"]) == (None, 0)
    assert gallery["name"].tolist() == ["a", "b", "c"]
    assert "mask" not in gallery


def test_volumes_are_audited_and_shown_by_their_middle_slice() -> None:
    x = torch.rand(2, 1, 8, 8, 6)
    transform = Composition(["flip_0"], spatial_dims=3)
    _, gallery = audit_transforms(Fixed(1.0), transform, [{"image": x}], "cpu")
    np.testing.assert_array_equal(gallery["image"], x[:, 0, :, :, 3])


def test_embedding_keeps_the_order_of_the_batches_and_the_mode_of_evaluation() -> None:
    network = ImageClassifier(ConvEncoder(channels=(3, 4)), 4).train()
    x = torch.rand(5, 1, 8, 8)
    label, patient = [0, 1, -1, 1, 0], list("abcde")
    batches = [
        {"image": x[rows], "label": torch.tensor(label[rows]), "patient": patient[rows]}
        for rows in (slice(0, 3), slice(3, 5))
    ]
    embedded = embed(network, batches, "cpu")
    assert not network.training
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(embedded.h), network.encode(x))
        torch.testing.assert_close(torch.tensor(embedded.logits), network(x))
    assert embedded.label.tolist() == label
    assert embedded.patient.tolist() == patient
    assert embedded.fold.tolist() == [0] * 5


def test_what_takes_long_to_encode_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = ImageClassifier(ConvEncoder(channels=(3, 4)), 4)
    batches = [{"image": torch.rand(2, 1, 8, 8)}] * 3
    embed(network, batches, "cpu")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("common.deploy.embedding.SILENT", 0.0)
    embed(network, batches, "cpu")
    assert re.search(r"encoding: 100%.* 3/3", capsys.readouterr().err)


@pytest.mark.parametrize("standardized", [True, False])
def test_a_probe_is_the_same_as_a_layer(standardized: bool) -> None:
    rng = np.random.default_rng(0)
    features, label = 3 + 2 * rng.normal(size=(40, 4)), np.arange(40) % 3
    probe = fit_probe(features, label, standardized)
    weight, bias = as_layer(probe, 3)
    logits = features @ weight.double().numpy().T + bias.double().numpy()
    np.testing.assert_allclose(logits, probe.decision_function(features), atol=1e-5)


def test_a_probe_on_features_as_they_are_sees_little_of_a_collapse() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    features = 1e-4 * (label[:, None] + 0.1 * rng.normal(size=(60, 2)))
    sure = fit_probe(features, label).predict_proba(features)[:, 1]
    unsure = fit_probe(features, label, standardized=False).predict_proba(features)[:, 1]
    assert sure[label == 1].min() > 0.9
    assert abs(unsure - 0.5).max() < 0.01


def three_classes(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """1000 rows of 40 features whose scale falls by 30, little of it the class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, 1000)
    features = np.eye(3, 40)[label] + rng.normal(size=(1000, 40))
    return features * 0.5 * np.logspace(-1.5, 0, 40), label


@pytest.mark.parametrize("seed", [0, 1, 3])
@pytest.mark.parametrize(("kind", "close"), [(np.asarray, 1e-4), (csr_matrix, 0.02)])
def test_the_penalty_is_the_best_on_the_last_tenth_of_the_patients(
    seed: int, kind: Callable[..., Any], close: float
) -> None:
    """Sparse, seeds 1 and 3: fits from C to C at scikit-learn's tolerance choose another."""
    features, label = three_classes(seed)
    rng = np.random.default_rng(10 + seed)
    patient = np.repeat(rng.permutation(100), 10)  # the order of the rows is not that of numbers
    held_out = np.isin(patient, patient[900:])
    assert held_out.sum() == 100
    right = []
    for strength in STRENGTHS[:3]:  # each from zero, to the end
        one = LogisticRegression(C=strength, tol=1e-9, max_iter=50000)
        one.fit(features[~held_out], label[~held_out])
        right.append(int((one.predict(features[held_out]) == label[held_out]).sum()))
    assert len(set(right)) > 1
    best = STRENGTHS[right.index(max(right))]
    actual = fit_tuned_probe(kind(features), label, patient, STRENGTHS[:3])
    assert best == actual[-1].C
    whole = LogisticRegression(C=best, tol=1e-9, max_iter=50000).fit(features, label)
    wanted = whole.predict_proba(features)
    assert actual.predict_proba(kind(features)) == pytest.approx(wanted, abs=close)


def test_collapsed_features_are_read_as_well_as_those_they_are_a_fraction_of() -> None:
    features, label = three_classes(0)
    actual, collapsed = (
        fit_tuned_probe(scale * features, label, np.arange(1000)) for scale in (1.0, 0.01)
    )
    assert STRENGTHS[0] < actual[-1].C < collapsed[-1].C == 1e4 * actual[-1].C < STRENGTHS[-1]
    wanted = actual.predict_proba(features)
    assert collapsed.predict_proba(0.01 * features) == pytest.approx(wanted, abs=1e-4)


def test_a_penalty_cannot_be_chosen_on_one_patient() -> None:
    with pytest.raises(InputError, match="patient must hold at least 2 patients, got 1"):
        fit_tuned_probe(np.eye(4), np.array([0, 1, 0, 1]), np.zeros(4))
