"""The variational autoencoder: its loss by hand, its mean as embedding, and the table of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.data import read_prior
from common.deploy import embed, write_prior
from common.methods import VariationalAutoencoder
from common.networks import ConvEncoder, ImageClassifier, VariationalEncoder
from tests.tiny import one_batch

SHAPES = [(1, 8, 8), (3, 9, 12), (1, 8, 9, 11)]


def classifier(shape: tuple[int, ...] = (1, 8, 8), latent: int = 3) -> ImageClassifier:
    torch.manual_seed(0)
    return ImageClassifier(VariationalEncoder(shape, latent, [2, 4]), latent)


def images(shape: tuple[int, ...] = (1, 8, 8), count: int = 6) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_mean_is_the_embedding_and_the_reconstruction_has_the_shape_of_the_image(
    shape: tuple[int, ...],
) -> None:
    network, x = classifier(shape).eval(), images(shape)
    encoder: Any = network.encoder
    again = encoder.reconstruct(x)
    assert again.image.shape == x.shape
    assert torch.equal(again.mean, network.encode(x))
    assert network.encode(x).shape == (6, encoder.out_features)


def test_codes_are_drawn_around_the_mean_with_the_variance_of_the_image() -> None:
    encoder: Any = classifier().encoder.eval()
    codes: list[Tensor] = []
    encoder.network.decode_forward = lambda code, use_sigmoid: codes.append(code) or images()
    with torch.no_grad():
        again = [encoder.reconstruct(images()) for _ in range(2000)]
    drawn = torch.stack(codes)
    torch.testing.assert_close(drawn.mean(0), again[0].mean, rtol=0, atol=0.15)
    torch.testing.assert_close(drawn.var(0), again[0].log_variance.exp(), rtol=0.15, atol=0)


@pytest.mark.parametrize(("variance", "beta"), [(1.0, 1.0), (0.02, 4.0)])
def test_the_loss_is_minus_the_evidence_lower_bound_per_value(variance: float, beta: float) -> None:
    method, x = VariationalAutoencoder(classifier(), variance=variance, beta=beta), images()
    encoder: Any = method.classifier.encoder
    torch.manual_seed(3)
    with torch.no_grad():
        again = encoder.reconstruct(x)
    total = 0.0
    for i in range(6):
        total += float((again.image[i] - x[i]).square().sum()) / (2 * variance)
        own = torch.distributions.Normal(again.mean[i], (0.5 * again.log_variance[i]).exp())
        standard = torch.distributions.Normal(0.0, 1.0)
        total += beta * float(torch.distributions.kl_divergence(own, standard).sum())
    torch.manual_seed(3)
    (phase,) = method.steps({"image": x})
    assert float(phase.loss.detach()) == pytest.approx(total / 6 / 64, rel=1e-5)
    assert set(phase.terms) == {"squared_error", "divergence"}


def test_a_step_trains_encoder_and_decoder_and_leaves_the_head() -> None:
    method = VariationalAutoencoder(classifier())
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    one_batch(method, {"image": images()})
    moved = {n for n, p in method.named_parameters() if not torch.equal(before[n], p)}
    assert {n for n in before if n.endswith("weight")} - moved == {"classifier.head.weight"}


@pytest.mark.parametrize("whole", [True, False], ids=["method", "classifier"])
def test_a_table_of_any_trained_network_holds_its_embeddings(whole: bool, tmp_path: Path) -> None:
    method, x = VariationalAutoencoder(classifier()), images()
    batches = [{"image": x[i : i + 2], "image_key": [f"{i}", f"{i + 1}"]} for i in (0, 2, 4)]
    path = tmp_path / "priors" / "vae.npz"
    write_prior(method if whole else method.classifier, batches, path, "cpu")
    with torch.no_grad():
        expected = method.classifier.eval().encode(x)
    rows = read_prior(path, [str(i) for i in range(6)])
    np.testing.assert_allclose(rows, expected.numpy(), rtol=1e-6)
    assert np.array_equal(embed(method, batches, "cpu").h, rows)


def test_a_table_is_written_with_the_weights_of_a_model_file(tmp_path: Path) -> None:
    network, x = ImageClassifier(ConvEncoder(channels=(2, 4)), 4), images()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    other = ImageClassifier(ConvEncoder(channels=(2, 4)), 4)
    batches = [{"image": x, "image_key": list("abcdef")}]
    write_prior(other, batches, tmp_path / "a.npz", "cpu", tmp_path / "model.pt")
    with torch.no_grad():
        expected = network.eval().encode(x).numpy()
    np.testing.assert_allclose(read_prior(tmp_path / "a.npz", list("abcdef")), expected, rtol=1e-6)
    with pytest.raises(InputError, match=r"model\.pt: must hold the \d+ tensors of this network"):
        write_prior(classifier(), batches, tmp_path / "a.npz", "cpu", tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"none\.pt: must exist, got no such file"):
        write_prior(other, batches, tmp_path / "a.npz", "cpu", tmp_path / "none.pt")


def test_batches_without_keys_or_with_one_twice_are_refused(tmp_path: Path) -> None:
    x = images(count=2)
    with pytest.raises(InputError, match=r"^write_prior: the batches must hold 'image_key'"):
        write_prior(classifier(), [{"image": x}], tmp_path / "a.npz", "cpu")
    with pytest.raises(InputError, match=r"every image must come once, got 2 of which 1 differ"):
        write_prior(
            classifier(), [{"image": x, "image_key": ["a", "a"]}], tmp_path / "a.npz", "cpu"
        )
    assert not (tmp_path / "a.npz").exists()


def test_what_does_not_fit_is_told_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^VariationalEncoder: in_shape must be \(C, H, W\)"):
        VariationalEncoder((8, 8))
    with pytest.raises(InputError, match=r"x must be \(B, 1, 8, 8\), got \(6, 1, 8, 9\)\. Set"):
        classifier().encode(images((1, 8, 9)))
    with pytest.raises(InputError, match=r"must have a VariationalEncoder, got Identity"):
        VariationalAutoencoder(ImageClassifier(nn.Identity(), 4))
    for settings in ({"variance": 0.0}, {"beta": -1.0}):
        with pytest.raises(InputError, match=rf"^VariationalAutoencoder: {next(iter(settings))}"):
            VariationalAutoencoder(classifier(), **settings)
