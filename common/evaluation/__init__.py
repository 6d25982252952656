"""What a training run is worth: one file a kind, each run by ``evaluate.json`` on a run folder.

- `LinearEvaluation`: a linear classifier on the frozen encoder, at several epochs, and the audit.
- `ChallengeEvaluation`: for brain age: age error, site leakage and Lc.
- `CaseControlEvaluation`: for a diagnosis: AUC inside and outside the training sites.
- `AccuracyEvaluation`: for classes, with or without a bias that speaks for them.
- `ChannelEvaluation`: for classes, through a channel that chooses crops (CRL-TAC's tables).
- `ClustersEvaluation`: for a representation's clusters against the classes, without a label used.
- `MultiLabelEvaluation`: for several findings that may occur together: AUC of each.
- `MacroAUROCEvaluation`, with `ProbeProtocol`, `ProbeSet` and `GroupFigure`: for grades or many
  classes, a probe trained by SGD on random crops, on several data sets.
- `AuditEvaluation`: for the transformations of a run: what its views destroy and leave.
- `audit_transforms`: spread of lambda over images, histogram, share of lesions kept, gallery.
"""

from common.evaluation.accuracy import AccuracyEvaluation
from common.evaluation.applied import audit_transforms
from common.evaluation.audit import AuditEvaluation
from common.evaluation.case_control import CaseControlEvaluation
from common.evaluation.challenge import ChallengeEvaluation
from common.evaluation.channel import ChannelEvaluation
from common.evaluation.clusters import ClustersEvaluation
from common.evaluation.group_figure import GroupFigure
from common.evaluation.linear import LinearEvaluation
from common.evaluation.macro_auroc import MacroAUROCEvaluation, ProbeProtocol
from common.evaluation.multi_label import MultiLabelEvaluation
from common.evaluation.probe_set import ProbeSet

__all__ = [
    "AccuracyEvaluation",
    "AuditEvaluation",
    "CaseControlEvaluation",
    "ChallengeEvaluation",
    "ChannelEvaluation",
    "ClustersEvaluation",
    "GroupFigure",
    "LinearEvaluation",
    "MacroAUROCEvaluation",
    "MultiLabelEvaluation",
    "ProbeProtocol",
    "ProbeSet",
    "audit_transforms",
]
