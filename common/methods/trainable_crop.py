"""CRL-TAC: an encoder and a channel that chooses crops, trained in turn on one bound.

"Contrastive representation learning with trainable augmentation channel", Algorithm 1. With f the
encoder, g the projector, h = g o f at unit length, T one of |T| crops, B the bound of
`common.losses.InfoMaxBound` and H the entropy of the channel in nats, one training step is

    f, g:     T_jk ~ P(T | x_k), j = 1 ... m;   maximise  B(h(T_jk x_k))
    channel:  T_jk uniform, j = 1 ... n;        maximise  B(h(T_jk x_k), w_jk) + lambda H(T | x_k)
              w_jk = P(T_jk | x_k) / sum_j' P(T_j'k | x_k)

The paper says of the second line only "evaluate (2) with P(t | x) weights". Differs from it, since
as printed it does not train here (benchmarks/trainable_crop.md has the trials):

- equal crops are one. Of a digit in a large black field most crops are black and equal. As
  separate transformations they agree perfectly with each other, and a maximal entropy of T wants
  them: the channel then splits the images into some that it shows and some that it hides behind
  the black crop, a local optimum. I(X; Z) depends on T only through V = T(X), the paper's own Fig.
  2, so black crops of an image count as one V, with their common probability, both as partners
  and in the entropy (``entropy_of="view"``; "crop" is the printed H(T | X) over all numbers);
- n is larger than m: with 8 crops most sets hold at most one that touches the digit, which then has
  no partner, and the gradient favours the background. n = |T| takes all crops, without drawing;
- the bundle lets lambda and beta fall during training (`common.engines.ExponentialSchedule`,
  `CosineSchedule`); the paper's are constant.

Paper: https://arxiv.org/abs/2111.07679
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from common.checks import require
from common.distributed import gather
from common.methods.method import Method, Phase
from common.networks import ChannelEncoder, ImageClassifier
from common.policies.crop_channel import channel_entropy, merge_black

__all__ = ["TrainableCrop"]


class TrainableCrop(Method):
    """Contrastive learning on crops that a channel chooses; see the module for the step.

    A channel without parameters (`common.policies.UniformCrops`) has no phase: SimCLR with m views.

    Args:
        classifier: an `ImageClassifier` around a `common.networks.ChannelEncoder`, which holds f,
            g and the channel; its head is not trained here.
        loss: ``(z (B, V, D), weight=(B, V)) -> scalar``, minus the bound.
        crops: m, crops of each image the encoder learns from.
        channel_crops: n, crops of each image the channel learns from.
        channel_images: of the batch, the first so many images the channel learns from; None for
            all.
        entropy_weight: lambda; the paper's is 0.0025. While the encoder knows nothing, a weak
            lambda lets the channel settle on a few crops, or on the background.
        entropy_of: "view": equal crops count as one; "crop": every number counts.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        loss: nn.Module,
        crops: int = 8,
        channel_crops: int = 32,
        channel_images: int | None = None,
        entropy_weight: float = 0.0025,
        entropy_of: str = "view",
    ) -> None:
        super().__init__(classifier)
        require(
            isinstance(classifier.encoder, ChannelEncoder),
            "TrainableCrop: classifier.encoder must be a ChannelEncoder, got "
            f"{type(classifier.encoder).__name__}.",
        )
        require(
            min(crops, channel_crops) >= 2,
            f"TrainableCrop: crops and channel_crops must be at least 2, got {crops} and "
            f"{channel_crops}.",
        )
        require(
            channel_images is None or channel_images >= 2,
            f"TrainableCrop: channel_images must be at least 2, got {channel_images}.",
        )
        require(
            0 <= entropy_weight < math.inf,
            f"TrainableCrop: entropy_weight must be at least 0 and finite, got {entropy_weight}.",
        )
        require(
            entropy_of in ("view", "crop"),
            f"TrainableCrop: entropy_of must be 'view' or 'crop', got {entropy_of!r}.",
        )
        self.loss = loss
        self.crops = crops
        self.channel_crops = channel_crops
        self.channel_images = channel_images
        self.entropy_weight = entropy_weight
        self.merges = entropy_of == "view"

    @property
    def representation(self) -> ChannelEncoder:
        """The encoder, the projector and the channel."""
        return cast(ChannelEncoder, self.classifier.encoder)

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase, then the phase "policy" of a channel that learns.

        Args:
            batch: "image" ``(B, C, H, W)`` in [0, 1].
        """
        x, channel = batch["image"], self.representation.channel
        with torch.no_grad():
            probability = channel(x).exp()
        drawn = torch.multinomial(probability, self.crops, replacement=True)
        loss = self.loss(self.representation.unit(x, drawn))
        yield Phase("encoder", loss, {"bound": -loss.detach()})
        if any(p.requires_grad for p in channel.parameters()):
            x = x[: self.channel_images]
            yield self._channel_phase(x, channel(x))

    def phase_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of the channel as phase "policy", the others as "encoder"."""
        channel = [p for p in self.representation.channel.parameters() if p.requires_grad]
        chosen = {id(p) for p in channel}
        encoder = [p for p in self.parameters() if p.requires_grad and id(p) not in chosen]
        return {name: p for name, p in (("policy", channel), ("encoder", encoder)) if p}

    def _channel_phase(self, x: Tensor, log_probability: Tensor) -> Phase:
        every = log_probability.shape[1]
        if self.channel_crops >= every:
            index = torch.arange(every, device=x.device).expand(len(x), -1)
        else:
            index = torch.randint(every, (len(x), self.channel_crops), device=x.device)
        weight = log_probability.gather(1, index).softmax(dim=1)
        lit = None
        if self.merges:
            lit = self.representation.grid.touching(x.amax(dim=1, keepdim=True))
            shown = lit.gather(1, index)
            place = _different(shown)
            weight = merge_black(weight, shown).gather(1, place)
            index = index.gather(1, place)
        with torch.no_grad():
            z = self.representation.unit(x, index)
        entropy = channel_entropy(log_probability, lit).mean()
        loss = self.loss(z, weight=weight)
        terms = {"channel_bound": -loss.detach(), "entropy": entropy.detach()}
        loss = loss - self.entropy_weight * entropy
        return Phase("policy", loss, terms)


def _different(lit: Tensor) -> Tensor:
    """Places of the crops that are not black in ``lit (B, n)``, and of the first that is.

    Of the black ones that one has all the weight, so the others cost time and change nothing.

    Returns:
        ``(B, n')``; n' is the most that any image needs, on any rank, and at least the 2 that the
        loss wants. Images that need fewer keep more black ones.
    """
    black = ~lit
    needed = lit | (black & (black.cumsum(dim=1) == 1))
    most = max(2, int(gather(needed.sum(dim=1)).max()))
    return needed.int().topk(most, dim=1).indices
