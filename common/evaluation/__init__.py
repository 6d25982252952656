"""What a representation is worth, and what a choice of transformations did.

- `linear_probe`: the linear evaluation of frozen features over hold-out folds.
- `patient_interval`: a confidence interval that resamples patients, not images.
- `embed`, `Embedded`: features, logits and labels of a data loader.
- `audit_transforms`: spread of lambda over images, histogram, share of lesions kept, gallery.
- `LinearEvaluation`: all of it for one training run; writes ``evaluation.json`` and ``model.pt``.
- `ChallengeEvaluation`: the same for brain age: age error, site leakage and Lc.
- `CaseControlEvaluation`: for a diagnosis: AUC inside and outside the training sites.
- `AccuracyEvaluation`: for classes, with or without a bias that speaks for them.
- `ChannelEvaluation`: for classes, through a channel that chooses crops (CRL-TAC's tables).
- `MultiLabelEvaluation`: for several findings that may occur together: AUC of each.
- `SGDProbeEvaluation`, with `ProbeProtocol`, `ProbeSet` and `GroupFigure`: for grades or many
  classes, a probe trained by SGD on random crops, on several data sets.
- `ProbeAUC`, `ProbeAccuracy`, `ProbeMAE`: probes of a finding, of classes and of age, for
  validation while training.
- `openbhb_score`, `age_mae`, `site_balanced_accuracy`: the OpenBHB challenge, as its code does it.
- `gaussian_potential`: how evenly unit vectors are spread over the sphere.
- `pair_distances`: distances of bias-aligned and bias-conflicting pairs.
- `export_ramp`: a brain-age network as a submission to the challenge.
- `write_prior`: the representation of every image as a table, which `common.data` reads as a prior.
- `SaveAttention`, `SaveCropMaps`: the inference handlers that write where a vision transformer, or
  a channel that chooses crops, looked.
- `SavePredictions`, `SaveAges`: the inference handlers that write ``predictions.csv`` (of classes,
  of ages) and ``embeddings.npz``.
"""

from common.evaluation.accuracy_evaluation import AccuracyEvaluation
from common.evaluation.age_predictions import SaveAges
from common.evaluation.attention import SaveAttention
from common.evaluation.audit import audit_transforms
from common.evaluation.case_control_evaluation import CaseControlEvaluation
from common.evaluation.challenge import age_mae, openbhb_score, site_balanced_accuracy
from common.evaluation.challenge_evaluation import ChallengeEvaluation
from common.evaluation.channel_evaluation import ChannelEvaluation
from common.evaluation.crop_maps import SaveCropMaps
from common.evaluation.embedding import Embedded, embed
from common.evaluation.gaussian_potential import gaussian_potential
from common.evaluation.group_figure import GroupFigure
from common.evaluation.interval import patient_interval
from common.evaluation.linear_evaluation import LinearEvaluation
from common.evaluation.linear_probe import ProbeAccuracy, ProbeAUC, linear_probe
from common.evaluation.multi_label_evaluation import MultiLabelEvaluation
from common.evaluation.pair_distances import pair_distances
from common.evaluation.predictions import SavePredictions
from common.evaluation.prior import write_prior
from common.evaluation.probe_mae import ProbeMAE
from common.evaluation.probe_set import ProbeSet
from common.evaluation.ramp import export_ramp
from common.evaluation.sgd_probe_evaluation import ProbeProtocol, SGDProbeEvaluation

__all__ = [
    "AccuracyEvaluation",
    "CaseControlEvaluation",
    "ChallengeEvaluation",
    "ChannelEvaluation",
    "Embedded",
    "GroupFigure",
    "LinearEvaluation",
    "MultiLabelEvaluation",
    "ProbeAUC",
    "ProbeAccuracy",
    "ProbeMAE",
    "ProbeProtocol",
    "ProbeSet",
    "SGDProbeEvaluation",
    "SaveAges",
    "SaveAttention",
    "SaveCropMaps",
    "SavePredictions",
    "age_mae",
    "audit_transforms",
    "embed",
    "export_ramp",
    "gaussian_potential",
    "linear_probe",
    "openbhb_score",
    "pair_distances",
    "patient_interval",
    "site_balanced_accuracy",
    "write_prior",
]
