"""Contrastive losses ``(z, **targets) -> scalar``, ``z (B, V, D)``: V views of B subjects.

They are one family: each anchor i is attracted by positives k and repelled by a set of rows t,
``l_i = -sum_k p_ik (s_ik - log D_ik)``, s the cosine over the temperature:

===================  ==========================  =============================================
loss                 positive weight p_ik        D_ik, without i itself
===================  ==========================  =============================================
`InfoNCE`            other views of the subject  e^(s_k - eps) + sum of e^s, other subjects
`SupInfoNCE` "out"   same label                  e^(s_k - eps) + sum of e^s, other labels
`SupCon`             same label                  sum of e^(s - eps), same label; e^s, others
`KernelContrastive`
  "all"              kernel(y_i, y_k)            sum of e^s, everyone
  "threshold"        kernel(y_i, y_k)            sum of e^s, those less alike than k
  "exponential"      kernel(y_i, y_k)            sum of e^(s (1 - w)), everyone but k
`DecoupledInfoNCE`   the other view              sum of e^s, other subjects' other view
===================  ==========================  =============================================

The attraction is linear in the rows, so sums of rows give it (`labelled`, `kernel_pairs`); a D_i
that does not depend on k is one tiled, weighted sum of exponentials (`repulsion`), one that does is
computed strip by strip (`strips`). `SupInfoNCE` "in" has the logarithm of the sum of its positives.

`Hinge` is the margin without the exponentials: the nearest negative, or each, against a positive.

`InfoMaxBound` is SupCon with images as classes, transformed versions as members, and a learned
weight for each version; `InfoMax` is what it bounds.

`DecoupledUniformity` is of another family: one logarithm of the mean potential between the means of
each subject's views, which a kernel on a prior may replace by estimates from all subjects.

`FairKL` and `EnD` are regularisers: they compare pairs of the same bias with pairs of different
bias, from sums over the cells of label and bias (`group_moments`) or, of a small batch, over its
matrix of pairs (`group_pairs`).

`NegativeCosine` and `MoCo` compare the outputs of a network with those of its momentum encoder, and
take both: `MoCo` is InfoNCE against a queue of earlier keys, `NegativeCosine` has no negatives.

`Queue` keeps the rows of earlier batches. `NNCLR` puts a neighbour out of it in place of one view;
`ReSSL` compares how two views relate to it. `SwAV` and `DeepClusterV2` classify views as the
prototypes that were assigned to other views or to the subject.

`BarlowTwins`, `VICReg` and `VIbCReg` have no negatives: they compare columns of the whole batch and
are the only ones that read z as it is, not normalised.

`DINO` compares the softmax of a student's logits with that of its momentum encoder's, and keeps a
centre; logits are not normalised.

All the others normalise their rows (so unit vectors pass unchanged), average over anchors, work in
float32 or wider whatever the input, gather the other ranks' rows with gradients
(`common.distributed` has the convention) and need memory linear in the batch. The attribute
``targets`` of a loss names the batch columns it reads besides z.
"""

from common.losses.barlow_twins import BarlowTwins
from common.losses.decoupled_info_nce import DecoupledInfoNCE
from common.losses.decoupled_uniformity import DecoupledUniformity
from common.losses.deep_cluster_v2 import DeepClusterV2
from common.losses.dino import DINO
from common.losses.end import EnD
from common.losses.fairkl import FairKL
from common.losses.hinge import Hinge
from common.losses.info_max_bound import InfoMax, InfoMaxBound
from common.losses.info_nce import InfoNCE
from common.losses.kernel_contrastive import KernelContrastive
from common.losses.moco import MoCo
from common.losses.negative_cosine import NegativeCosine
from common.losses.nnclr import NNCLR
from common.losses.queue import Queue
from common.losses.re_ssl import ReSSL
from common.losses.sup_con import SupCon
from common.losses.sup_info_nce import SupInfoNCE
from common.losses.swav import SwAV
from common.losses.vicreg import VIbCReg, VICReg

__all__ = [
    "DINO",
    "NNCLR",
    "BarlowTwins",
    "DecoupledInfoNCE",
    "DecoupledUniformity",
    "DeepClusterV2",
    "EnD",
    "FairKL",
    "Hinge",
    "InfoMax",
    "InfoMaxBound",
    "InfoNCE",
    "KernelContrastive",
    "MoCo",
    "NegativeCosine",
    "Queue",
    "ReSSL",
    "SupCon",
    "SupInfoNCE",
    "SwAV",
    "VICReg",
    "VIbCReg",
]
