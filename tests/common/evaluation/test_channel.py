"""Representations through a channel: each from one pass, as the encoder itself gives it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.evaluation import ChannelEvaluation
from common.evaluation.channel_table import tabulate
from common.losses import InfoMaxBound
from common.methods import TrainableCrop
from common.metrics import ProbeAccuracy, gaussian_potential
from common.metrics.linear_probe import STRENGTHS, fit_probe, fit_tuned_probe
from common.networks import ChannelEncoder, ConvEncoder, CropEncoder, ImageClassifier, Projector
from common.policies import CellCrops, CropChannel, UniformCrops
from common.transforms import CropGrid
from tests.oracles.trainable_crop import crops
from tests.tiny import write_record

GRID = CropGrid(24, 6, 3)  # 7 x 7 crops, 3 x 3 cells of 8 pixels with one crop inside each
ORACLE = CellCrops(GRID, cell=8)
CLASSES = 3


def channel_encoder(
    channel: nn.Module | None = None, representation: str = "features", average: str = "mean"
) -> ChannelEncoder:
    """The same weights on every call; biases too, so that black crops have features."""
    torch.manual_seed(0)
    encoder, projector = CropEncoder(6, channels=(4,), features=5), Projector(5, 6, 4)
    learned = CropChannel(GRID, channels=(2, 2), features=3)
    for p in [*encoder.parameters(), *projector.parameters(), *learned.parameters()]:
        nn.init.normal_(p, std=0.7)
    return ChannelEncoder(encoder, projector, channel or learned, representation, average, top=4)


def fields(count: int, seed: int) -> dict[str, Any]:
    """A digit's place is drawn, its class is how bright it is."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(count, 1, 24, 24)
    label, cell = torch.arange(count) % CLASSES, torch.randint(9, (count,), generator=generator)
    for image, c, y in zip(x, cell.tolist(), label.tolist()):
        down, right = 8 * (c // 3), 8 * (c % 3)
        drawn = torch.rand(6, 6, generator=generator)
        image[0, down + 1 : down + 7, right + 1 : right + 7] = (drawn + y) / CLASSES
    return {"image": x, "label": label, "cell": cell, "patient": [f"p{n}" for n in range(count)]}


def batches(count: int, seed: int, size: int = 16) -> list[dict[str, Any]]:
    whole = fields(count, seed)
    return [
        {name: values[start : start + size] for name, values in whole.items()}
        for start in range(0, count, size)
    ]


TRAIN, TEST = batches(72, seed=1), batches(40, seed=2)
IMAGES = torch.cat([batch["image"] for batch in TEST])


@pytest.mark.parametrize("representation", ["features", "projection"])
@pytest.mark.parametrize(
    ("average", "channel"), [("mean", None), ("top", None), ("oracle", ORACLE)]
)
def test_each_representation_is_the_one_the_encoder_gives(
    representation: str, average: str, channel: nn.Module | None
) -> None:
    table = tabulate(channel_encoder(), TEST, "cpu", ORACLE)
    how = "top" if average == "top" else "mean"
    with torch.no_grad():
        wanted = channel_encoder(channel, representation, how)(IMAGES)
    assert set(table.z) == {
        (name, how) for name in ("features", "projection") for how in ("mean", "top", "oracle")
    }
    actual = torch.from_numpy(table.z[representation, average])
    torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channel", [UniformCrops(GRID), ORACLE], ids=["uniform", "oracle"])
def test_without_a_learned_channel_the_mean_is_over_all_crops_and_there_is_no_top(
    channel: nn.Module,
) -> None:
    table = tabulate(channel_encoder(channel), TEST, "cpu", ORACLE)
    assert {average for _, average in table.z} == {"mean", "oracle"}
    with torch.no_grad():
        wanted = channel_encoder(UniformCrops(GRID))(IMAGES)
    torch.testing.assert_close(torch.from_numpy(table.z["features", "mean"]), wanted)
    assert table.probability == pytest.approx(np.full((40, 49), 1 / 49), rel=1e-6)


def test_a_crop_is_encoded_once_for_all_averages() -> None:
    encoder, embedded = channel_encoder(), []
    encoder.channel.layers[-1].bias.data[:5] += 60  # crops 0 to 4 share all of P
    encoder.encoder.register_forward_pre_hook(lambda _, x: embedded.append(len(x[0])))
    x = torch.rand(3, 1, 24, 24) + 0.1
    tabulate(encoder, [{"image": x, "label": torch.arange(3)}], "cpu", ORACLE)
    (count,) = embedded
    assert 1 + 3 * 5 <= count <= 1 + 3 * 6  # crops 0 to 4, four of them on top, and the oracle's


def test_touching_is_the_share_of_p_on_crops_with_something_in_them() -> None:
    table = tabulate(channel_encoder(), TEST, "cpu")
    for image, p, actual in zip(IMAGES, table.probability, table.touching):
        lit = [bool(crop.any()) for crop in crops(image, 6, 3)]
        assert 0 < sum(lit) < 20
        assert actual == pytest.approx(p[lit].sum(), abs=1e-6)


def test_a_limit_takes_the_first_images_and_their_columns() -> None:
    table = tabulate(channel_encoder(), TEST, "cpu", limit=20)
    assert table.label.tolist() == [n % CLASSES for n in range(20)]
    assert table.columns["patient"].tolist() == [f"p{n}" for n in range(20)]
    assert table.pixels.toarray() == pytest.approx(IMAGES[:20].flatten(1).numpy())
    whole = tabulate(channel_encoder(), TEST, "cpu")
    for key, rows in table.z.items():
        assert rows == pytest.approx(whole.z[key][:20], abs=1e-6)


class Study:
    """One run folder with a snapshot, evaluated."""

    def __init__(self, folder: Path, channel: nn.Module | None = None, **settings: Any) -> None:
        self.folder = folder
        trained = self.method(channel_encoder(channel))
        write_record(folder / "run", {"epochs": 7}, strategy="ours")
        torch.save(trained.state_dict(), folder / "run" / "network_epoch=7.pt")
        how = {
            name: settings.pop(name) for name in ("representation", "average") if name in settings
        }
        self.encoder = channel_encoder(channel, **how)
        for p in self.encoder.parameters():
            nn.init.zeros_(p)
        chosen = {"oracle": ORACLE, "training": TRAIN, "batches": TEST} | settings
        ChannelEvaluation(
            **chosen,
            network=self.method(self.encoder),
            run_dir=folder / "run",
            model_path=folder / "models" / "model.pt",
            device="cpu",
            data="0123",
        ).run()
        self.result = json.loads((folder / "run" / "evaluation.json").read_text())

    def method(self, encoder: ChannelEncoder) -> TrainableCrop:
        return TrainableCrop(
            ImageClassifier(encoder, encoder.out_features, CLASSES), InfoMaxBound()
        )

    def arrays(self, name: str) -> dict[str, Any]:
        with np.load(self.folder / "run" / name) as archive:
            return dict(archive)

    @property
    def accuracy(self) -> dict[tuple[str, str], float]:
        rows = self.result["channel"]["representations"]
        return {(row["representation"], row["average"]): row["accuracy"] for row in rows}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study(tmp_path_factory.mktemp("study"), representation="projection", average="top")


def test_every_representation_is_read_by_a_regression_on_the_training_part(study: Study) -> None:
    train, test = (tabulate(channel_encoder(), part, "cpu", ORACLE) for part in (TRAIN, TEST))
    assert set(study.accuracy) == set(test.z)
    assert len(set(study.accuracy.values())) > 2
    for key, value in study.accuracy.items():
        probe = fit_tuned_probe(train.z[key], train.label, train.columns["patient"])
        assert value == pytest.approx(probe.score(test.z[key].astype(float), test.label))
    assert study.result["accuracy"] == study.accuracy["projection", "top"]
    assert study.result["epochs"] == [{"epoch": 7, "accuracy": study.result["accuracy"]}]


def test_the_chosen_penalty_and_the_accuracy_at_1_stand_beside_it(study: Study) -> None:
    train, test = (tabulate(channel_encoder(), part, "cpu", ORACLE) for part in (TRAIN, TEST))
    rows = study.result["channel"]["representations"]
    assert {row["strength"] for row in rows} <= set(STRENGTHS)
    for row in rows:
        key = row["representation"], row["average"]
        probe = fit_probe(train.z[key], train.label, standardized=False)
        score = probe.score(test.z[key].astype(float), test.label)
        assert row["accuracy_at_1"] == pytest.approx(score)
        tuned = fit_tuned_probe(train.z[key], train.label, train.columns["patient"])
        assert row["strength"] == tuned[-1].C
    assert any(row["accuracy"] != row["accuracy_at_1"] for row in rows)


def test_the_pixels_as_they_are_stand_beside_them(study: Study) -> None:
    train, test = (torch.cat([b["image"] for b in part]).flatten(1) for part in (TRAIN, TEST))
    label = [torch.cat([b["label"] for b in part]) for part in (TRAIN, TEST)]
    patient = np.concatenate([batch["patient"] for batch in TRAIN])
    probe = fit_tuned_probe(train.numpy(), label[0].numpy(), patient, (0.01, 0.1, 1.0, 10.0))
    wanted = probe.score(test.double(), label[1])
    assert study.result["baselines"]["pixels"]["accuracy"] == pytest.approx(wanted, abs=0.026)


def test_the_channels_own_figures_are_those_of_its_table(study: Study) -> None:
    table, actual = tabulate(channel_encoder(), TEST, "cpu"), study.result["channel"]
    entropy = [-sum(v * math.log(v) for v in row.tolist() if v > 0) for row in table.probability]
    assert actual["touching"]["mean"] == pytest.approx(table.touching.mean(), abs=1e-6)
    assert actual["touching"]["std"] == pytest.approx(table.touching.std(), abs=1e-6)
    assert actual["entropy"]["mean"] == pytest.approx(np.mean(entropy), abs=1e-4)
    z = table.z["projection", "mean"]
    assert actual["gaussian_potential"] == pytest.approx(gaussian_potential(z), abs=1e-6)
    assert actual["grid"] == {"image_size": 24, "crop_size": 6, "stride": 3, "crops": 49}


def test_the_report_gets_images_maps_pairs_and_points(study: Study) -> None:
    arrays, table = study.arrays("channel.npz"), tabulate(channel_encoder(), TEST, "cpu")
    assert arrays["image_label"].tolist()[:4] == [0, 1, 2, 0]
    assert np.array_equal(arrays["image"], np.rint(IMAGES[:12, 0].numpy() * 255))
    wanted = table.probability[:12].reshape(12, 7, 7)
    assert arrays["probability"] == pytest.approx(wanted, abs=1e-6)
    z = table.z["projection", "mean"]
    pairs = np.abs(z @ z.T)[~np.eye(40, dtype=bool)]
    assert np.all(np.diff(arrays["similarity"]) >= 0)
    assert arrays["similarity"].mean() == pytest.approx(pairs.mean(), abs=0.05)
    assert arrays["point"].shape == (40, 2)
    assert 0 < sum(study.result["channel"]["point_variance"]) <= 1


def test_the_deployed_network_decides_as_its_representation_did(study: Study) -> None:
    encoder = channel_encoder(representation="projection", average="top")
    network = ImageClassifier(encoder, encoder.out_features, CLASSES)
    network.load_state_dict(torch.load(study.folder / "models" / "model.pt", weights_only=True))
    with torch.no_grad():
        decided = network.eval()(IMAGES).argmax(dim=1)
    assert study.result["channel"]["deployed"] == "projection top"
    assert decided.tolist() == study.arrays("scores.npz")["predicted_by_projection_top"].tolist()


def test_an_encoder_on_the_oracles_crops_deploys_them(tmp_path: Path) -> None:
    study = Study(tmp_path, ORACLE, probe_images=60)
    assert study.result["channel"]["deployed"] == "features oracle"
    assert study.result["accuracy"] == study.accuracy["features", "oracle"]
    assert study.result["counts"]["training_images"] == 60
    assert study.result["channel"]["entropy"]["mean"] == pytest.approx(math.log(49), rel=1e-5)


def test_what_cannot_be_evaluated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the representation must be one of features mean, proj"):
        Study(tmp_path / "a", UniformCrops(GRID), average="top", oracle=None)
    with pytest.raises(InputError, match="probe_images must be at least 0, got -1"):
        Study(tmp_path / "b", probe_images=-1)
    plain = ImageClassifier(ConvEncoder(channels=(4, 6)), 6)
    write_record(tmp_path)
    with pytest.raises(InputError, match="encoder must be a ChannelEncoder, got ConvEncoder"):
        ChannelEvaluation(
            TRAIN, TEST, network=Plain(plain), run_dir=tmp_path, model_path="m.pt", device="cpu",
            data="",
        )  # fmt: skip


class Plain(nn.Module):
    def __init__(self, classifier: ImageClassifier) -> None:
        super().__init__()
        self.classifier = classifier


def test_the_potential_is_the_mean_over_pairs_of_the_formula() -> None:
    z = nn.functional.normalize(torch.randn(7, 3, dtype=torch.double), dim=1)
    pairs = [(i, j) for i in range(7) for j in range(i)]
    wanted = sum(math.exp(-2 * float((z[i] - z[j]).square().sum())) for i, j in pairs) / len(pairs)
    assert gaussian_potential(z) == pytest.approx(wanted, abs=1e-12)
    assert gaussian_potential(z.numpy()) == pytest.approx(wanted, abs=1e-12)


def test_the_potential_of_an_even_spread_on_the_papers_sphere_is_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    z = nn.functional.normalize(torch.randn(1500, 50, generator=generator), dim=1)
    assert gaussian_potential(z) == pytest.approx(0.0215, abs=2e-4)
    with pytest.raises(InputError, match=r"z must be \(N >= 2, D\), got \(50,\)"):
        gaussian_potential(z[0])


def test_the_probe_of_classes_counts_what_each_third_tells_of_the_others() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 60)
    h = rng.normal(size=(60, 4)) + label[:, None]
    right = 0
    for start in (0, 20, 40):
        held = np.zeros(60, dtype=bool)
        held[start : start + 20] = True
        right += int((fit_probe(h[~held], label[~held]).predict(h[held]) == label[held]).sum())
    metric = ProbeAccuracy()
    rows: tuple[Tensor, Tensor] = torch.from_numpy(h), torch.from_numpy(label)
    metric.update((rows[0].float(), rows[1]))
    assert 20 < right < 60
    assert metric.compute() == pytest.approx(right / 60, abs=0.02)
    metric.reset()
    metric.update((rows[0][:2].float(), rows[1][:2]))
    assert math.isnan(metric.compute())
