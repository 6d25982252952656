"""Who chooses the parameters: policies ``(x) -> lam (B, K)`` in [0, 1], NaN = not applied.

- `Uniform`: every parameter uniform, the "random" strategies of Ruppli et al. 2022.
- `EachWithProbability`: each transformation with a probability, the paper's base SimCLR.
- `TransformationNetwork`: the paper's M, which looks at the image.

And channels, which choose among a discrete set of crops (`common.transforms.CropGrid`) instead,
``(x) -> log P (B, |T|)``, for `common.methods.TrainableCrop`:

- `CropChannel`: the network of CRL-TAC; `UniformCrops`: SimCLR's; `CellCrops`: the paper's oracle.
"""

from common.policies.crop_channel import CellCrops, CropChannel, UniformCrops
from common.policies.random import EachWithProbability, Uniform
from common.policies.transformation_network import TransformationNetwork

__all__ = [
    "CellCrops",
    "CropChannel",
    "EachWithProbability",
    "TransformationNetwork",
    "Uniform",
    "UniformCrops",
]
