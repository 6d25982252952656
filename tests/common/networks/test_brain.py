"""The encoders of the brain-age bundles by name."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.networks import TableEncoder, TemplateEncoder, brain_encoder


@pytest.mark.parametrize(
    ("name", "parameters", "features"),
    [
        ("resnet18", 33_160_000, 512),
        ("densenet121", 11_240_576, 1024),
        ("alexnet", 2_553_728, 128),
    ],
)
def test_the_encoders_are_those_of_the_papers(name: str, parameters: int, features: int) -> None:
    encoder = brain_encoder(name)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert encoder.out_features == features


def test_the_encoder_of_a_template_knows_where_a_feature_was_at_any_size() -> None:
    encoder = brain_encoder("template", in_features=2).eval()
    for size in ((52, 64, 56), (105, 127, 111), (33, 40, 36)):
        x = torch.zeros(2, 2, *size)
        x[0, :, :8, :8, :8] = x[1, :, -8:, -8:, -8:] = 1  # another place, else alike
        left, right = encoder(x)
        assert left.shape == (encoder.out_features,)
        assert (left - right).abs().max() > 1e-3
    with pytest.raises(InputError, match=r"dropout must be in \[0, 1\), got 1.0"):
        brain_encoder("template", dropout=1.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's exporter
def test_the_grid_of_a_template_averages_as_torch_does_and_can_be_exported(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    network, x = TemplateEncoder(grid=(2, 5, 4)).eval(), torch.rand(1, 1, 40, 36, 60)
    (pool,) = (layer for layer in network.layers if hasattr(layer, "width"))
    h = torch.rand(2, 3, 5, 5, 7, dtype=torch.float64)
    torch.testing.assert_close(pool(h), torch.nn.AdaptiveAvgPool3d((2, 5, 4))(h))
    script = torch.jit.script(network)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(script(x), network(x))
    torch.onnx.export(network, (x,), tmp_path / "a.onnx", dynamo=True, verbose=False)
    session = runtime.InferenceSession(tmp_path / "a.onnx")
    (actual,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(actual, network(x).detach().numpy(), rtol=0, atol=1e-5)


def test_a_table_needs_no_scaling() -> None:
    x = torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    encoder = brain_encoder("mlp", in_features=3).double()
    assert isinstance(encoder, TableEncoder)
    h = encoder(x)
    assert h.shape == (64, encoder.out_features)
    scaled = encoder(x * torch.tensor([1.0, 10.0, 100.0]) + 5)
    torch.testing.assert_close(scaled, h, rtol=0, atol=1e-4)


def test_bad_names_and_tables_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match=r"brain_encoder: name must be resnet18, .* got 'vgg'."):
        brain_encoder("vgg")
    with pytest.raises(InputError, match=r"in_features must be positive, got 0. Prepare a table"):
        brain_encoder("mlp")
    with pytest.raises(InputError, match=r"x must be rows of 3 features, got shape \(2, 4\)."):
        TableEncoder(3)(torch.zeros(2, 4))


def test_noise_and_dropout_of_a_table_are_of_training_alone() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    encoder = TableEncoder(3, out_features=1000, noise=0.5, dropout=0.25).train()
    plain = TableEncoder(3, out_features=1000).train()
    plain.load_state_dict(encoder.state_dict())
    assert not encoder(x).equal(encoder(x))
    assert plain(x).equal(plain(x))
    plain.load_state_dict(encoder.state_dict())
    assert encoder.eval()(x).equal(plain.eval()(x))
    dropped = TableEncoder(3, out_features=1000, dropout=0.25)
    dropped.layers.layers[-1].bias.data += 100.0  # nothing is 0 but what is dropped
    assert (dropped(x) == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "alexnet"])
def test_an_encoder_of_volumes_has_as_many_channels_as_it_is_given(name: str) -> None:
    first = next(p for p in brain_encoder(name, in_features=3).parameters() if p.dim() == 5)
    assert first.shape[1] == 3
    plain = next(p for p in brain_encoder(name).parameters() if p.dim() == 5)
    assert plain.shape[1] == 1
