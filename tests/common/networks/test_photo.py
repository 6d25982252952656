"""Networks of the photograph bundles."""

import torch

from common.networks import EmbeddingEncoder, ResNet50Encoder, SimpleConvNet


def test_resnet50_has_the_published_number_of_weights_and_2048_features() -> None:
    network = ResNet50Encoder().eval()
    assert sum(p.numel() for p in network.parameters()) == 25_557_032 - 2049 * 1000
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 64)).shape == (1, 2048)


def test_small_images_keep_their_resolution_at_the_start() -> None:
    network = ResNet50Encoder(small_images=True)
    shapes = []
    network.network.layer1.register_forward_hook(lambda *a: shapes.append(tuple(a[2].shape[2:])))
    with torch.no_grad():
        network.eval()(torch.rand(1, 3, 16, 16))
    assert shapes == [(16, 16)]


def test_without_a_projector_the_embedding_is_the_feature_at_unit_length() -> None:
    encoder = SimpleConvNet(channels=(4, 6), kernel_size=3).eval()
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        h, z = encoder(x), EmbeddingEncoder(encoder)(x)
    torch.testing.assert_close(z, h / h.norm(dim=1, keepdim=True))
    assert EmbeddingEncoder(encoder).out_features == 6
