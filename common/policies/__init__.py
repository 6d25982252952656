"""Who chooses the parameters: policies ``(x) -> lam (B, K)`` in [0, 1], NaN = not applied.

- `Uniform`: every parameter uniform, the "random" strategies of Ruppli et al. 2022.
- `EachWithProbability`: each transformation with a probability, the paper's base SimCLR.
- `TransformationNetwork`: the paper's M, which looks at the image.
"""

from common.policies.random import EachWithProbability, Uniform
from common.policies.transformation_network import TransformationNetwork

__all__ = ["EachWithProbability", "TransformationNetwork", "Uniform"]
