"""The probe trained by SGD, what it is scored by, and the evaluation of a run with it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from common.checks import InputError
from common.data import write_manifest
from common.data.healthy import healthy_class
from common.evaluation import GroupFigure, MacroAUROCEvaluation, ProbeProtocol, ProbeSet
from common.evaluation.macro_auroc import best
from common.evaluation.probe_set import Centred
from common.metrics.augmentation_groups import augmentation_groups, group_map
from common.metrics.class_scores import average_precision, class_scores, macro_auroc
from common.metrics.sgd_probe import SGDProbe, fit_sgd_probe
from tests.common.evaluation.test_kinds import Study, batches
from tests.oracles import sgd_probe as oracle

RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 4, 40)
PROBABILITY = RNG.dirichlet(np.ones(5), 40).round(1)  # with ties; nobody is of class 4


def test_figures_of_classes_equal_their_counts_and_leave_out_the_healthy_and_the_missing() -> None:
    actual = class_scores(LABEL, PROBABILITY, 0)
    for name, value in oracle.scores(LABEL, PROBABILITY).items():
        assert actual[name] == pytest.approx(value), name
    areas = [average_precision_score(k == LABEL, PROBABILITY[:, k]) for k in range(4)]
    assert actual["aupr"] == pytest.approx(np.mean(areas))


def test_the_class_that_is_left_out_is_known_by_its_name_and_else_none_is() -> None:
    chances = np.random.default_rng(1).dirichlet(np.ones(4), 40)
    moved, rolled = (LABEL + 1) % 4, np.roll(chances, 1, axis=1)
    first = class_scores(LABEL, chances, healthy_class(["normal", "a", "b", "c"]))
    second = class_scores(moved, rolled, healthy_class(["c", "normal", "a", "b"]))
    assert first["sensitivity"] == pytest.approx(second["sensitivity"])
    everyone = class_scores(LABEL, chances, healthy_class(["a", "b", "c", "d"]))
    assert everyone["sensitivity"] != pytest.approx(first["sensitivity"])


def test_average_precision_with_ties_is_that_of_scikit_learn() -> None:
    assert len(np.unique(PROBABILITY[:, 1])) < 12
    own = average_precision((LABEL == 1).astype(int), PROBABILITY[:, 1])
    assert own == pytest.approx(average_precision_score(LABEL == 1, PROBABILITY[:, 1]))


def test_one_class_alone_has_no_auroc() -> None:
    assert np.isnan(macro_auroc(np.zeros(5, int), PROBABILITY[:5]))
    assert np.isnan(class_scores(np.zeros(5, int), PROBABILITY[:5], 0)["sensitivity"])


def drawn(epoch: int, count: int = 21) -> Tensor:
    generator = torch.Generator().manual_seed(epoch)
    return torch.randn(count, 3, generator=generator) + torch.arange(count)[:, None] % 3


def fitted(epochs: int = 4) -> SGDProbe:
    embedded = iter(range(epochs))
    held = drawn(100, 12)
    return fit_sgd_probe(
        lambda: drawn(next(embedded)), np.arange(21) % 3, held, np.arange(12) % 3, 3,
        epochs=epochs, batch_size=8, learning_rate=16.0, seed=5,
    )  # fmt: skip


def test_the_probe_is_the_epoch_of_best_validation_of_sgd_by_hand() -> None:
    generator = torch.Generator().manual_seed(5)
    weight = 0.01 * torch.randn(3, 3, generator=generator)
    order = [[part.tolist() for part in torch.randperm(21, generator=generator).split(8)]
             for _ in range(4)]  # fmt: skip
    label = np.arange(21) % 3
    steps = oracle.sgd(lambda e: drawn(e).double().numpy(), label, weight.numpy(), order, 0.5)
    held, truth = drawn(100, 12).double().numpy(), np.arange(12) % 3
    logits = [held @ w.T + b for w, b in steps]
    scores = [macro_auroc(truth, softmax(values, axis=1)) for values in logits]
    assert len(set(scores)) > 1
    actual = fitted()
    assert actual.validation == pytest.approx(scores)
    assert actual.epoch - 1 == scores.index(max(scores))
    weight, bias = steps[actual.epoch - 1]
    np.testing.assert_allclose(actual.weight, weight, atol=1e-5)
    np.testing.assert_allclose(actual.bias, bias, atol=1e-5)


def test_a_validation_part_of_one_class_is_refused() -> None:
    with pytest.raises(InputError, match=r"at least two classes, got \[1\]. Prepare a larger"):
        fit_sgd_probe(lambda: drawn(0), np.zeros(21, int), drawn(1, 3), np.ones(3, int), 3)


def test_of_equal_probes_the_first_is_deployed() -> None:
    probes = [SGDProbe(torch.zeros(1), torch.zeros(1), k, v) for k, v in
              enumerate(([0.6, 0.7], [0.9, 0.1], [0.9, 0.2]))]  # fmt: skip
    assert probes[best(probes)].epoch == 1


def test_groups_of_views_have_the_distances_and_the_silhouette_of_loops() -> None:
    h = np.random.default_rng(1).normal(size=(4, 3, 5)) + np.arange(4)[:, None, None]
    actual = augmentation_groups(h)
    positive, negative, silhouette = oracle.groups(h)
    np.testing.assert_allclose(np.sort(actual.positive), np.sort(positive))
    np.testing.assert_allclose(np.sort(actual.negative), np.sort(negative))
    assert actual.silhouette == pytest.approx(silhouette)


def test_the_map_keeps_views_that_lie_together_together() -> None:
    h = 0.01 * np.random.default_rng(2).normal(size=(3, 6, 4)) + 9 * np.eye(3, 4)[:, None]
    place = group_map(h)
    assert place.shape == (3, 6, 2)
    assert augmentation_groups(place).silhouette > 0.5


def test_the_central_square_is_cut() -> None:
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    (batch,) = Centred([{"image": x, "label": [1]}], 4)
    torch.testing.assert_close(batch["image"], x[:, :, 1:5, 1:5])
    assert batch["label"] == [1]
    with pytest.raises(InputError, match=r"at least 7 pixels a side, got 6 x 6. Load them larger"):
        list(Centred([{"image": x}], 7))


def prepared(name: str, seed: int, classes: int = 3) -> Any:
    """A data set whose corner tells the class."""
    parts = {}
    for number, (part, count) in enumerate((("training", 30), ("validation", 12), ("test", 18))):
        label = torch.arange(count) % classes
        columns = {"label": label, "patient": [f"{part}{n // 2}" for n in range(count)]}
        parts[part] = batches(columns, seed + number, label.numpy() / 4)
    images = {part: sum(len(b["image"]) for b in whole) for part, whole in parts.items()}
    names, label = ("normal", "b", "c", "d")[:classes], np.arange(images["training"]) % classes
    listed = [{"patient": p, "sex": int(p[-1]) % 2} for b in parts["test"] for p in b["patient"]]
    manifest = {"source": "corners", "test": listed, "classes": {"sex": ["female", "male"]}}
    return SimpleNamespace(name=name, classes=names, images=images, training_label=label,
                           manifest=manifest, **parts)  # fmt: skip


class Shaken(nn.Module):
    """Views with a little noise."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x + 0.01 * torch.randn_like(x)]


SETS = [prepared("own", 1), prepared("other", 5), prepared("binary", 9, classes=2)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    protocol = ProbeProtocol(side=6, epochs=3, batch_size=8, learning_rate=8.0, seeds=2)
    figure = GroupFigure(Shaken(), features=6, images=12, repeats=3)
    return Study(tmp_path_factory.mktemp("probe"), MacroAUROCEvaluation, outputs=3,
                 sets=SETS, protocol=protocol, figure=figure)  # fmt: skip


def test_sets_of_the_same_classes_are_tested_on_each_other(study: Study) -> None:
    pairs = [(row["training"], row["test"]) for row in study.result["matrix"]]
    assert pairs == [("own", "own"), ("own", "other"), ("other", "own"), ("other", "other"),
                     ("binary", "binary")]  # fmt: skip
    assert study.result["auroc"] == study.result["matrix"][0]["auroc"]
    assert study.result["epochs"] == [{"epoch": 12, "auroc": study.result["auroc"]}]


def test_the_calls_are_those_of_the_deployed_head_with_subgroups(study: Study) -> None:
    calls = study.result["calls"]
    whole = torch.cat([batch["image"] for batch in Centred(SETS[0].test, 6)])
    with torch.no_grad():
        called = study.deployed(outputs=3)(whole).argmax(dim=1).numpy()
    label = np.arange(18) % 3
    assert calls["accuracy"]["value"] == pytest.approx((called == label).mean())
    assert [(g["name"], g["images"]) for g in calls["subgroups"]] == [("female", 10), ("male", 8)]
    assert study.result["data_set"] == "corners"


def test_the_figures_are_means_over_seeds_of_the_stored_probabilities(study: Study) -> None:
    message, label = study.scores["probability"], study.scores["label"]
    assert message.shape == (2, 18, 3)
    each = [class_scores(label, p, 0) for p in message]
    row = study.result["matrix"][0]
    assert [seed["auroc"] for seed in row["seeds"]] == pytest.approx([e["auroc"] for e in each])
    for name in ("auroc", "aupr", "sensitivity", "specificity", "accuracy", "exact"):
        assert row[name] == pytest.approx(np.mean([e[name] for e in each]))
        low, high = row["interval"][name]
        assert 0 <= low <= high <= 1


def test_the_deployed_head_is_the_probe_of_the_first_set_on_the_last_snapshot(study: Study) -> None:
    network = study.deployed(outputs=3)
    whole = torch.cat([batch["image"] for batch in Centred(SETS[0].test, 6)])
    with torch.no_grad():
        own = network(whole).softmax(dim=1).numpy()
    gaps = [np.abs(own - p).max() for p in study.scores["probability"]]
    assert min(gaps) < 1e-5
    encoder = study.networks[12].classifier.encoder.state_dict()
    torch.testing.assert_close(network.encoder.state_dict(), encoder)


def test_the_figure_counts_every_pair_and_places_every_view(study: Study) -> None:
    groups = study.result["groups"]
    assert (groups["images"], groups["views"]) == (12, 3)
    assert sum(groups["positive"]["counts"]) == 12 * 3
    assert sum(groups["negative"]["counts"]) == 12 * 11
    with np.load(study.folder / "run" / "groups.npz") as archive:
        assert archive["place"].shape == (12, 3, 2)
        assert groups["positive"]["mean"] == pytest.approx(archive["positive"].mean(), rel=1e-5)


def test_a_fine_tuned_head_decides_itself(tmp_path: Path) -> None:
    protocol = ProbeProtocol(side=8, epochs=1, seeds=1)
    study = Study(tmp_path, MacroAUROCEvaluation, outputs=3, sets=SETS, protocol=protocol,
                  deployed_head="trained")  # fmt: skip
    embedded = study.embedded(SETS[0].test)
    expected = softmax(embedded.logits, axis=1)
    assert study.result["auroc"] == pytest.approx(macro_auroc(embedded.label, expected))
    np.testing.assert_allclose(study.scores["probability"][0], expected, atol=1e-6)
    assert [row["test"] for row in study.result["matrix"]] == ["own", "other"]
    assert study.result["groups"] is None


def test_more_classes_than_outputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"each of the 3 classes of own, got 2. Set num_classes"):
        Study(tmp_path, MacroAUROCEvaluation, outputs=2, sets=SETS[:1], protocol=ProbeProtocol())


def folder_of(path: Path, **changes: Any) -> Path:
    entries = {
        part: [
            {"image": f"{part}{n}.png", "label": n - 1, "patient": f"{part}{n}"} for n in range(3)
        ]
        for part in ("training", "validation", "test")
    }
    for name in (entry["image"] for listed in entries.values() for entry in listed):
        (path / name).touch()
    rest = {key: {} for key in ("source", "licence", "arguments", "versions", "counts", "sha256")}
    write_manifest(path, {**entries, **rest, "skipped": [], "classes": ["no", "yes"]} | changes)
    return path


def told(entry: dict[str, Any]) -> dict[str, Any]:
    return {"image": torch.zeros(3, 4, 4), "label": entry["label"], "patient": entry["patient"]}


def test_a_prepared_folder_gives_its_labelled_images_in_their_order(tmp_path: Path) -> None:
    data = ProbeSet(folder_of(tmp_path), told, batch_size=1)
    assert data.name == tmp_path.name
    assert data.classes == ("no", "yes")
    assert data.images == {"training": 2, "validation": 2, "test": 2}
    assert [batch["patient"] for batch in data.training] == [["training1"], ["training2"]]
    assert [int(batch["label"]) for batch in data.training] == data.training_label.tolist()
    assert [int(batch["label"]) for batch in data.test] == [0, 1]


def test_a_folder_without_names_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must name the classes of the label, got none"):
        ProbeSet(folder_of(tmp_path, classes=None), told)
