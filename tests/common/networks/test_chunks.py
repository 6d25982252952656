"""Passes in parts that keep no activations, and the normalisation that allows them."""

import pytest
import torch
from torch import nn

from common.checks import InputError
from common.networks import ConvEncoder, DenseNetEncoder, ImageClassifier, ResNet18Encoder
from common.networks.chunks import encode_in_chunks, set_cache_chunk
from common.networks.normalisation import normalised


@pytest.mark.parametrize("dims", [2, 3])
def test_the_gradient_of_parts_is_that_of_the_whole_batch(dims: int) -> None:
    torch.manual_seed(0)
    encoder = ResNet18Encoder(dims, width=0.25)
    whole = ImageClassifier(encoder, 128, norm="group").double()
    x = torch.rand(5, 1, *(32,) * dims).double().requires_grad_()
    gradients = []
    for chunk in (0, 2):
        set_cache_chunk(whole, encoder, chunk)
        loss = whole.encode(x).softmax(dim=0).square().sum()  # of all images together
        gradients.append(torch.autograd.grad(loss, [x, *encoder.parameters()]))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-12)


def graph_of(h: torch.Tensor) -> int:
    """How many operations a tensor's graph remembers, leaves included."""
    seen, waiting = set(), [h.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
    return len(seen)


def test_only_the_features_of_the_parts_are_kept() -> None:
    encoder, kept = ConvEncoder(channels=[4, 4], norm="INSTANCE"), []
    x, weights = torch.rand(6, 1, 16, 16), list(encoder.parameters())
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.data_ptr()), lambda kept: kept
    ):
        h = encode_in_chunks(encoder, x, 2)
    assert set(kept) == {each.data_ptr() for each in (x, *weights)}
    assert graph_of(h) == 1 + len(weights)  # however many parts


def test_an_encoder_draws_the_same_numbers_twice() -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout(0.5), nn.Linear(3, 2))
    seen: list[torch.Tensor] = []
    encoder[3].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach() == 0))
    torch.manual_seed(3)
    h = encode_in_chunks(encoder, torch.rand(6, 1, 2, 2), 2)
    torch.manual_seed(4)
    h.sum().backward()
    first, again = seen[:3], seen[3:]
    assert sorted(map(str, first)) == sorted(map(str, again))


@pytest.mark.bad_input("dials")
def test_batch_normalisation_is_refused_with_parts() -> None:
    network = ImageClassifier(ConvEncoder(channels=[4, 4]), 4)
    with pytest.raises(InputError, match=r"^cache_chunk: .* batch normalisation, .* norm_group"):
        set_cache_chunk(network, network.encoder, 2)
    with pytest.raises(InputError, match=r"^cache_chunk: must be 0 \(off\) or more images, got -1"):
        set_cache_chunk(network, network.encoder, -1)


def test_group_normalisation_takes_the_place_of_every_batch_normalisation() -> None:
    encoder = normalised(DenseNetEncoder(2), "group")
    kinds = [type(layer).__name__ for layer in encoder.modules()]
    assert "BatchNorm2d" not in kinds
    assert kinds.count("GroupNorm") == 121
    sizes = {m.num_channels // m.num_groups for m in encoder.modules() if hasattr(m, "num_groups")}
    assert sizes == {16}


def test_a_normalisation_of_columns_stays() -> None:
    layers = nn.Sequential(nn.BatchNorm1d(3, affine=False), nn.BatchNorm1d(40))
    assert [type(layer) for layer in normalised(layers, "group")] == [nn.BatchNorm1d, nn.GroupNorm]
    assert layers[1].num_groups == 2  # the greatest divisor of 40 in common with 40 // 16
    with pytest.raises(InputError, match=r"^norm: must be .* got 'layer'\."):
        normalised(layers, "layer")
