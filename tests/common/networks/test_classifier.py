"""The deployed network takes weights whole, whoever loads them."""

import pytest
import torch
from monai.networks.utils import copy_model_state

from common.checks import InputError
from common.networks import ConvEncoder, ImageClassifier


def classifier(*channels: int) -> ImageClassifier:
    encoder = ConvEncoder(in_channels=1, channels=channels)
    return ImageClassifier(encoder, encoder.out_features)


@pytest.mark.bad_input("models")
def test_monais_loading_of_the_few_tensors_that_fit_is_refused() -> None:
    trained, other = classifier(4, 8), classifier(4, 16)
    with pytest.raises(InputError, match=r"those of this network's \d+ tensors, got \d+ of them"):
        copy_model_state(other, trained.state_dict())


@pytest.mark.bad_input("models")
def test_loading_that_would_be_content_with_less_is_refused() -> None:
    network = classifier(4, 8)
    some = dict(list(network.state_dict().items())[2:])
    for state in (some, {**network.state_dict(), "more": torch.zeros(1)}):
        with pytest.raises(InputError, match="weights must be those"):
            network.load_state_dict(state, strict=False)


def test_weights_that_are_whole_are_loaded() -> None:
    trained, fresh = classifier(4, 8), classifier(4, 8)
    copy_model_state(fresh, trained.state_dict())
    trained.load_state_dict(trained.state_dict())
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(fresh.eval()(x), trained.eval()(x))
