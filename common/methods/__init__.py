"""One page a method: an ``nn.Module`` with encoder, head, policy and loss that yields its phases.

- `Method`, `Phase`: what the engine asks of a method.
- `BYOL`: each view predicts what a momentum encoder makes of the other.
- `Contrastive`: any loss of `common.losses` on V views, a regulariser, and a head beside it.
- `DINO`: a student learns from small views what its momentum encoder makes of large ones;
  `ViewGroup` draws them.
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
- `classification_loss`, `cross_entropy`, `absolute_error`: what the last and a head may minimise.
"""

from common.methods.byol import BYOL
from common.methods.contrastive import Contrastive
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

__all__ = [
    "BYOL",
    "DINO",
    "NNBYOL",
    "NNCLR",
    "Contrastive",
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
    "absolute_error",
    "classification_loss",
    "cross_entropy",
    "sinkhorn",
]
