"""One page a method: an ``nn.Module`` with encoder, head, policy and loss that yields its phases.

- `Method`, `Phase`: what the engine asks of a method.
- `LearnedTransforms`: Ruppli et al. 2022; transformations learned by a network M, or random ones.
- `SimCLR`: one view transformed, contrastive loss only.
- `Supervised`: classification of randomly transformed images.
"""

from common.methods.learned_transforms import LearnedTransforms
from common.methods.method import Method, Phase
from common.methods.simclr import SimCLR
from common.methods.supervised import Supervised

__all__ = ["LearnedTransforms", "Method", "Phase", "SimCLR", "Supervised"]
