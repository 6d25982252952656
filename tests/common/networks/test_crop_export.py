"""The average over a channel's crops as other runtimes compute it: over all of them."""

import pytest
import torch

from common.networks import ChannelEncoder, CropEncoder, Projector
from common.policies import CropChannel
from common.transforms import CropGrid


def represented(representation: str, average: str, sharp: float) -> ChannelEncoder:
    torch.manual_seed(0)
    channel = CropChannel(CropGrid(28, 12, 4))
    torch.nn.init.normal_(channel.layers[-1].weight, std=sharp)  # type: ignore[arg-type]
    encoder = CropEncoder(12, channels=(4,), features=7)
    projector = Projector(7, 7, 5)
    return ChannelEncoder(encoder, projector, channel, representation, average, top=3).eval()


@pytest.mark.parametrize("sharp", [0.0, 200.0], ids=["uniform", "few crops count"])
@pytest.mark.parametrize("average", ["mean", "top"])
@pytest.mark.parametrize("representation", ["features", "projection"])
def test_the_exported_path_gives_the_same(representation: str, average: str, sharp: float) -> None:
    network, x = represented(representation, average, sharp), torch.rand(40, 1, 28, 28)
    scripted = torch.jit.script(network)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(scripted(x), expected, rtol=0, atol=1e-6)
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), expected, rtol=0, atol=1e-6)


def test_crops_that_hardly_count_do_not_count_whatever_is_in_the_batch() -> None:
    network, x = represented("features", "mean", 200.0), torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(network(x)[:1], network(x[:1]), rtol=0, atol=1e-7)
