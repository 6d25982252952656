"""Where in an image a network's output comes from, by MONAI's visualizers, in 2D and 3D.

- "gradcam": the last maps of the encoder, weighted by the gradient of the output (Selvaraju et al.
  2017, https://arxiv.org/abs/1610.02391): coarse, and positive where the output is raised;
- "occlusion": by how much the output falls when a box is replaced by the image's mean (Zeiler and
  Fergus 2014, https://arxiv.org/abs/1311.2901): slow, in the unit of the output, of either sign;
- "smoothgrad": the size of the gradient, averaged over noisy copies (Smilkov et al. 2017,
  https://arxiv.org/abs/1706.03825): fine, without a sign;
- "attention": of a vision transformer's class token, mean over heads of the last block.

The output is what the last layer says: the logit of a class, or a number such as years.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from monai.visualize import GradCAM, OcclusionSensitivity, SmoothGrad
from numpy.typing import NDArray
from torch import Tensor, nn

from common.checks import require
from common.deploy.attention import AttentionMap
from common.networks import ImageClassifier, VisionTransformer

__all__ = ["METHODS", "default_methods", "saliency"]

METHODS = ("gradcam", "occlusion", "smoothgrad", "attention")
BOXES = {2: 8, 3: 5}  # a side that an occluding box has to cover, by spatial axes
SAMPLES = 16

Map = NDArray[np.float32]


def default_methods(network: ImageClassifier) -> tuple[str, ...]:
    """Return the methods that say most of a network: a map of its own, and occlusion."""
    own = "attention" if _transformer(network) is not None else "gradcam"
    return own, "occlusion"


def saliency(
    network: ImageClassifier, x: Tensor, output: int, methods: Sequence[str] = ()
) -> dict[str, Map]:
    """Return the maps of one image.

    Args:
        network: in evaluation mode.
        x: ``(1, C, *spatial)``, as the network gets it.
        output: which of its outputs.
        methods: of `METHODS`; `default_methods` unless given.

    Returns:
        ``(*spatial)`` float32 by method.

    Raises:
        InputError: an unknown method, attention without a transformer, or rows of a table.
    """
    methods = methods or default_methods(network)
    unknown = sorted(set(methods) - set(METHODS))
    require(not unknown, f"explain: methods must be of {', '.join(METHODS)}, got {unknown}.")
    require(
        x.ndim in (4, 5),
        "explain: a model of tables has no pictures to explain, got rows. Use a model of images.",
    )
    makers = {
        "gradcam": _gradcam,
        "occlusion": _occlusion,
        "smoothgrad": _smoothgrad,
        "attention": _attention,
    }
    return {name: makers[name](network, x.detach().clone(), output) for name in methods}


def _gradcam(network: ImageClassifier, x: Tensor, output: int) -> Map:
    for module in network.modules():  # the same function, but hooks may look at its input
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010
    cam = GradCAM(network, _last_maps(network, x), postprocessing=lambda found: found)
    return _flat(cam(x, class_idx=output))


def _last_maps(network: ImageClassifier, x: Tensor) -> str:
    """Name of the last part of the encoder whose output still has places."""
    names: list[str] = []

    def keep(name: str) -> object:
        def hook(_: nn.Module, __: object, y: object) -> None:
            if isinstance(y, Tensor) and y.ndim == x.ndim and math.prod(y.shape[2:]) > 1:
                names.append(name)

        return hook

    leaves = [(n, m) for n, m in network.named_modules() if not list(m.children())]
    hooks = [module.register_forward_hook(keep(name)) for name, module in leaves]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    require(
        bool(names),
        "explain: gradcam needs an encoder with maps, got one without. Use occlusion.",
    )
    return names[-1]


def _occlusion(network: ImageClassifier, x: Tensor, output: int) -> Map:
    boxes = BOXES[x.ndim - 2]
    size = [max(1, -(-side // boxes)) for side in x.shape[2:]]
    sensitivity = OcclusionSensitivity(
        network,
        mask_size=size,
        n_batch=16,
        verbose=False,
        mode="mean_img",
        overlap=0.5 if x.ndim == 4 else 0.0,
        activate=False,
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using a non-tuple sequence")  # inside MONAI
        before = network(x)[0, output]
        hidden, _ = sensitivity(x)
    return _flat(before - hidden[:, output : output + 1])


def _smoothgrad(network: ImageClassifier, x: Tensor, output: int) -> Map:
    gradient = SmoothGrad(network, n_samples=SAMPLES, magnitude=True, verbose=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        slope = gradient(x, index=output)
    return _flat(slope.abs().sum(dim=1, keepdim=True).sqrt())


def _attention(network: ImageClassifier, x: Tensor, _: int) -> Map:
    transformer = _transformer(network)
    require(
        transformer is not None,
        "explain: attention needs a vision transformer, got another encoder. Use gradcam.",
    )
    with AttentionMap(network) as attention, torch.no_grad():
        network(x)
        weights = attention.of(x)
    return _flat(nn.functional.interpolate(weights[:, None], size=x.shape[2:], mode="bilinear"))


def _transformer(network: ImageClassifier) -> VisionTransformer | None:
    transformers = [m for m in network.encoder.modules() if isinstance(m, VisionTransformer)]
    return transformers[0] if len(transformers) == 1 else None


def _flat(values: Tensor) -> Map:
    return np.asarray(values.detach().float().cpu()[0, 0], dtype=np.float32)
