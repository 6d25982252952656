"""Evaluating a run folder, and the model it leaves."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from sklearn.metrics import roc_auc_score
from torch import nn

from common.checks import InputError
from common.deploy import LoadModel, embed
from common.evaluation import LinearEvaluation
from common.methods import Method
from common.metrics import linear_probe
from common.metrics.linear_probe import as_layer, fit_probe
from common.networks import ConvEncoder, ImageClassifier
from common.report.load import load_run
from tests.oracles import evaluation as oracle
from tests.tiny import conv_method, write_record

SETTINGS = {"image_size": 8, "channels": [4, 6]}


def held_out(count: int = 24) -> list[dict[str, Any]]:
    """Batches of six; bright corners where the label is 1; two images a patient, three folds."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 1, 8, 8, generator=generator)
    label = torch.arange(count) % 2
    mask = torch.zeros_like(x)
    mask[label == 1, :, :3, :3] = 1
    whole = {
        "image": x / 2 + mask / 3,
        "label": label,
        "mask": mask,
        "fold": torch.arange(count) * 3 // count,
        "patient": [f"p{index // 2:02d}" for index in range(count)],
        "name": [f"{index:02d}.png" for index in range(count)],
    }
    return [
        {key: value[start : start + 6] for key, value in whole.items()}
        for start in range(0, count, 6)
    ]


def method(seed: int) -> Method:
    torch.manual_seed(seed)
    return conv_method("learned")


def snapshots(folder: Path, *epochs: int) -> dict[int, Method]:
    """A network per epoch, saved as the training saves them."""
    write_record(folder, SETTINGS)
    networks = {epoch: method(seed=epoch) for epoch in epochs}
    for epoch, network in networks.items():
        torch.save(network.state_dict(), folder / f"network_epoch={epoch}.pt")
    return networks


def evaluation(
    folder: Path, network: Method | None = None, batches: Any = None, **settings: Any
) -> LinearEvaluation:
    return LinearEvaluation(
        batches or held_out(),
        network=network or method(seed=0),
        run_dir=folder / "run",
        model_path=folder / "models" / "model.pt",
        device="cpu",
        data="0123",
        **settings,
    )


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Method]]:
    """A folder with the evaluation of three snapshots, and their networks."""
    folder = tmp_path_factory.mktemp("evaluated")
    networks = snapshots(folder / "run", 2, 10, 1)
    evaluation(folder).run()
    return folder, networks


def read(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run" / "evaluation.json").read_text()))


def test_every_snapshot_is_probed_in_the_order_of_its_epoch(evaluated: Any) -> None:
    folder, networks = evaluated
    result = read(folder)
    assert [entry["epoch"] for entry in result["epochs"]] == [1, 2, 10]
    for entry in result["epochs"]:
        embedded = embed(networks[entry["epoch"]].classifier, held_out(), "cpu")
        probe = linear_probe(embedded.h, embedded.label, embedded.fold)
        assert entry["auc_folds"] == pytest.approx(probe.auc, abs=1e-12)
        assert entry["auc_mean"] == pytest.approx(probe.mean, abs=1e-12)
    assert result["auc_mean"] == result["epochs"][-1]["auc_mean"]


def test_a_head_fitted_on_training_images_scores_the_whole_test_part(tmp_path: Path) -> None:
    networks = snapshots(tmp_path / "run", 1)
    training = [{**batch, "image": batch["image"].flip(0)} for batch in held_out()]
    training[0] = {**training[0], "label": torch.full_like(training[0]["label"], -1)}
    evaluation(tmp_path, training=training, head_fitted_on="training").run()
    fitted, test = (embed(networks[1].classifier, part, "cpu") for part in (training, held_out()))
    model = fit_probe(fitted.h[fitted.label >= 0], fitted.label[fitted.label >= 0])
    scores = model.decision_function(test.h)
    auc = [roc_auc_score(test.label[test.fold == n], scores[test.fold == n]) for n in (0, 1, 2)]
    assert read(tmp_path)["epochs"][0]["auc_folds"] == pytest.approx(auc, abs=1e-12)
    assert read(tmp_path)["head_fitted_on"] == "training"
    weight = torch.load(tmp_path / "models" / "model.pt", weights_only=True)["head.weight"]
    torch.testing.assert_close(weight, as_layer(model)[0])


def test_the_threshold_goes_with_the_model_and_what_it_was_chosen_on(tmp_path: Path) -> None:
    snapshots(tmp_path / "run", 1)
    evaluation(tmp_path, validation=held_out()).run()
    (decided,) = read(tmp_path)["decisions"]
    call = json.loads((tmp_path / "models" / "model.json").read_text())["call"]
    (chosen,) = call["thresholds"]
    assert chosen == {"probability": decided["threshold"], **decided["chosen_on"]}
    assert (chosen["images"], chosen["patients"], call["otherwise"]) == (24, 12, "no finding")


@pytest.mark.bad_input("run")
def test_a_head_that_cannot_be_fitted_is_refused(tmp_path: Path) -> None:
    snapshots(tmp_path / "run", 1)
    with pytest.raises(InputError, match="training must be given where the head is fitted on it"):
        evaluation(tmp_path, head_fitted_on="training")
    with pytest.raises(InputError, match="head_fitted_on must be folds or training, got 'x'"):
        evaluation(tmp_path, head_fitted_on="x")


def test_the_result_says_what_was_measured_and_with_what(evaluated: Any) -> None:
    result = read(evaluated[0])
    assert (result["bundle"], result["strategy"], result["seed"]) == ("tiny", "learned", 0)
    assert result["settings"] == {"data": "0123", **SETTINGS}
    assert result["counts"] == {"test_images": 24, "test_patients": 12, "test_positive": 12}
    assert {"python", "torch", "monai", "device"} <= set(result["versions"])
    assert 0 <= result["interval"]["low"] <= result["auc_mean"] <= result["interval"]["high"] <= 1
    assert set(result["baselines"]) == {"pixels", "untrained"}
    assert result["transform"]["n_lesion_images"] == 12


def test_the_pixel_baseline_is_the_probe_on_the_pixels(evaluated: Any) -> None:
    pixels = torch.cat([batch["image"] for batch in held_out()]).flatten(1).double().numpy()
    label = np.concatenate([batch["label"] for batch in held_out()])
    fold = np.concatenate([batch["fold"] for batch in held_out()])
    auc, _ = oracle.linear_evaluation(pixels, label, fold)
    actual = read(evaluated[0])["baselines"]["pixels"]
    assert actual["auc_mean"] == pytest.approx(np.mean(auc), abs=1e-12)


def test_snapshots_beyond_the_end_of_the_training_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text('{"epoch": [1, 2], "terms": {}}')
    for epoch in (1, 2, 3):
        (tmp_path / f"network_epoch={epoch}.pt").touch()
    evaluation = LinearEvaluation.__new__(LinearEvaluation)
    evaluation.run_dir = tmp_path
    assert [epoch for epoch, _ in evaluation.snapshots()] == [1, 2]


def test_scores_and_gallery_belong_to_the_last_snapshot(evaluated: Any) -> None:
    folder, networks = evaluated
    embedded = embed(networks[10].classifier, held_out(), "cpu")
    probe = linear_probe(embedded.h, embedded.label, embedded.fold)
    with np.load(folder / "run" / "scores.npz") as scores:
        np.testing.assert_allclose(scores["score"], probe.scores, rtol=0, atol=1e-12)
        assert scores["patient"].tolist() == embedded.patient.tolist()
    with np.load(folder / "run" / "gallery.npz") as gallery:
        assert gallery["image"].shape == (6, 8, 8)
        assert gallery["name"][0] == "01.png"


def test_the_deployed_model_loads_strictly_and_decides_as_the_probe_on_all_folds(
    evaluated: Any,
) -> None:
    folder, networks = evaluated
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    network = classifier()
    keys = network.load_state_dict(state, strict=True)
    assert keys.missing_keys == keys.unexpected_keys == []
    assert set(state) == set(network.state_dict())
    encoder = networks[10].classifier.encoder.state_dict()
    torch.testing.assert_close(network.encoder.state_dict(), encoder, rtol=0, atol=0)
    embedded = embed(network, held_out(), "cpu")
    positive = embedded.logits[:, 0][embedded.label == 1].mean()
    assert positive > embedded.logits[:, 0][embedded.label == 0].mean() + 0.5


def test_the_report_reads_the_run(evaluated: Any) -> None:
    run = load_run(evaluated[0] / "run")
    assert run.strategy == "learned"
    assert run.arrays is not None


def spoil_shape(folder: Path) -> None:
    torch.save({"other": torch.zeros(1)}, folder / "run" / "network_epoch=1.pt")


def spoil_bytes(folder: Path) -> None:
    path = folder / "run" / "network_epoch=1.pt"
    path.write_bytes(path.read_bytes()[:500])


def spoil_text(folder: Path) -> None:
    (folder / "run" / "network_epoch=1.pt").write_text("not a snapshot")


@pytest.mark.parametrize("spoil", [spoil_shape, spoil_bytes, spoil_text])
def test_a_snapshot_that_does_not_fit_is_refused_and_nothing_written(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    snapshots(tmp_path / "run", 1)
    spoil(tmp_path)
    with pytest.raises(InputError, match=r"network_epoch=1\.pt: must "):
        evaluation(tmp_path).run()
    names = {path.name for path in tmp_path.rglob("*.*")} - {".lock"}
    assert names == {"network_epoch=1.pt", "run.json"}


@pytest.mark.bad_input("run")
def test_a_run_without_snapshots_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run: must hold a run, got no run\.json\. Run train"):
        evaluation(tmp_path).run()
    write_record(tmp_path / "run")
    with pytest.raises(
        InputError, match=r"run: holds no snapshot .* Run train\.json with the same"
    ):
        evaluation(tmp_path).run()


@pytest.mark.bad_input("run")
def test_a_training_that_did_not_end_is_evaluated_as_what_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots(tmp_path / "run", 1, 2)
    write_record(tmp_path / "run", {"epochs": 5})
    assert evaluation(tmp_path).run()["settings"]["epochs"] == 2
    assert "evaluated after epoch 2 of 5, the last that is saved. To go on" in caplog.text


def classifier(in_channels: int = 1, channels: tuple[int, ...] = (4, 6)) -> ImageClassifier:
    return ImageClassifier(ConvEncoder(in_channels=in_channels, channels=channels), channels[-1])


def load(path: Path, network: nn.Module | None = None, bundle: str = "tiny") -> LoadModel:
    """Run an engine with `LoadModel`."""
    engine = Engine(lambda _, __: None)
    handler = LoadModel(path, network or classifier(), bundle)
    handler.attach(engine)
    engine.run([0])
    return handler


def test_inference_loads_what_the_evaluation_deployed(evaluated: Any) -> None:
    path = evaluated[0] / "models" / "model.pt"
    handler, state = load(path), torch.load(path, weights_only=True)
    torch.testing.assert_close(handler.network.state_dict(), state, rtol=0, atol=0)
    assert handler.head_fitted
    assert handler.about["dials"] == SETTINGS


def rewritten(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Spoil the head's weights of ``model.pt``."""

    def spoil(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        torch.save({**state, "head.weight": change(state["head.weight"])}, path)

    return spoil


def another_seed(path: Path) -> None:
    torch.manual_seed(9)
    torch.save(classifier().state_dict(), path)


def damaged(path: Path) -> None:
    """Change one byte of a weight."""
    content, weight = bytearray(path.read_bytes()), torch.load(path)["head.weight"]
    content[content.index(weight.numpy().tobytes())] ^= 255
    path.write_bytes(content)


def facts(text: str) -> Callable[[Path], None]:
    return lambda path: path.with_suffix(".json").write_text(text) and None


@pytest.mark.bad_input("weights")
@pytest.mark.parametrize(
    ("spoil", "settings", "message"),
    [
        (None, {"bundle": "other"}, r"model\.pt: must be of bundle 'other', got one of 'tiny'"),
        (None, {"network": classifier(in_channels=2)}, r"must have shape .* Use the settings"),
        (None, {"network": classifier(channels=(4, 7))}, r"must have shape .* Use the settings"),
        (None, {"network": classifier(channels=(4,))}, r"0 missing and \d+ others \(encoder"),
        (rewritten(lambda w: w * torch.nan), {}, r"head\.weight must be finite, got NaN"),
        (rewritten(lambda w: w.long()), {}, r"type torch\.float32, got torch\.int64"),
        (rewritten(lambda w: w.cfloat()), {}, r"type torch\.float32, got torch\.complex64"),
        (another_seed, {}, r"must hold the weights that model\.json speaks of, got others"),
        (damaged, {}, r"a whole file of tensors, got damage"),
        (rewritten(lambda _: 3), {}, r"a tensor for each name, got something else"),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), {}, r"a whole file of tensors"),
        (lambda path: path.write_bytes(b""), {}, r"a whole file of tensors"),
        (
            lambda path: path.unlink(),
            {},
            r"must be a model, got no such file\. Train, then evaluate",
        ),
        (lambda path: path.with_suffix(".json").unlink(), {}, r"json: must lie beside model\.pt"),
        (facts("{"), {}, r"model\.json: must be readable JSON"),
        (facts("[]"), {}, r"model\.json: must hold a JSON object, got list"),
        (facts('{"bundle": "tiny"}'), {}, r"model\.json: must hold bundle, strategy"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_in_one_line(
    evaluated: Any,
    spoil: Callable[[Path], None] | None,
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(evaluated[0] / "models", tmp_path / "models")
    if spoil is not None:
        spoil(folder / "model.pt")
    with pytest.raises(InputError, match=message) as caught:
        load(folder / "model.pt", **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.bad_input("run")
def test_a_last_batch_of_one_image_is_evaluated_too(tmp_path: Path) -> None:
    def one_apart() -> list[dict[str, Any]]:
        whole = held_out()
        first, rest = ({k: v[:1] for k, v in whole[-1].items()}, whole[-1])
        return [*whole[:-1], {k: v[1:] for k, v in rest.items()}, first]

    torch.manual_seed(0)
    norm = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64))
    network = conv_method("supervised")
    network.classifier = ImageClassifier(norm, 64)
    write_record(tmp_path / "run")
    torch.save(network.state_dict(), tmp_path / "run" / "network_epoch=1.pt")
    actual = evaluation(tmp_path, network, one_apart()).run()
    assert 0 <= actual["baselines"]["untrained"]["auc_mean"] <= 1
