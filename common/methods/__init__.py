"""One page a method: an ``nn.Module`` with encoder, head, policy and loss that yields its phases.

- `Method`, `Phase`: what the engine asks of a method.
- `BYOL`: each view predicts what a momentum encoder makes of the other.
- `Contrastive`: any loss of `common.losses` on V views, a regulariser, and a head beside it.
- `DINO`: a student learns from small views what its momentum encoder makes of large ones;
  `ViewGroup` draws them.
- `DeepClusterV2`: views are classified as the clusters of their images, an epoch ago.
- `LearnedTransforms`: Ruppli et al. 2022; transformations learned by a network M, or random ones.
- `MoCo`: a view against the momentum encoder's key of the other, and a queue of earlier keys.
- `MomentumEncoder`: in BYOL, MoCo and DINO a copy of the network that follows it slowly.
- `NNBYOL`: BYOL towards the nearest neighbours of its targets.
- `NNCLR`: the nearest neighbour of one view recognises the other.
- `OneViewSimCLR`: one view transformed, contrastive loss only.
- `ReSSL`: a view relates to a queue of keys as the momentum encoder's key of a weaker view does.
- `SimSiam`: each view predicts the other, without a momentum encoder.
- `Supervised`: classification or regression of randomly transformed images.
- `SwAV`: the prototypes of one view, spread evenly by `sinkhorn`, are predicted from the other.
- `VariationalAutoencoder`: reconstruction and a standard Gaussian code; its mean is a prior.
- `TrainableCrop`: CRL-TAC; the channel that chooses crops is trained with the encoder.
- `WeightedSum`: several methods train one encoder, each with views and heads of its own.
- `classification_loss`, `cross_entropy`, `absolute_error`: what `Supervised` or a head minimises.
"""

from common.methods.byol import BYOL
from common.methods.contrastive import Contrastive
from common.methods.deep_cluster_v2 import DeepClusterV2
from common.methods.dino import DINO
from common.methods.labelled_loss import absolute_error, classification_loss, cross_entropy
from common.methods.learned_transforms import LearnedTransforms
from common.methods.method import Method, Phase
from common.methods.moco import MoCo
from common.methods.momentum_encoder import MomentumEncoder
from common.methods.multi_crop import ViewGroup
from common.methods.nnbyol import NNBYOL
from common.methods.nnclr import NNCLR
from common.methods.one_view_simclr import OneViewSimCLR
from common.methods.re_ssl import ReSSL
from common.methods.simsiam import SimSiam
from common.methods.sinkhorn import sinkhorn
from common.methods.supervised import Supervised
from common.methods.swav import SwAV
from common.methods.trainable_crop import TrainableCrop
from common.methods.variational import VariationalAutoencoder
from common.methods.weighted_sum import WeightedSum

__all__ = [
    "BYOL",
    "DINO",
    "NNBYOL",
    "NNCLR",
    "Contrastive",
    "DeepClusterV2",
    "LearnedTransforms",
    "Method",
    "MoCo",
    "MomentumEncoder",
    "OneViewSimCLR",
    "Phase",
    "ReSSL",
    "SimSiam",
    "Supervised",
    "SwAV",
    "TrainableCrop",
    "VariationalAutoencoder",
    "ViewGroup",
    "WeightedSum",
    "absolute_error",
    "classification_loss",
    "cross_entropy",
    "sinkhorn",
]
