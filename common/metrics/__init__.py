"""Numbers from arrays: what features, scores and distances say, with no run folder in sight.

- `linear_probe`: the linear evaluation of frozen features over hold-out folds.
- `ProbeAUC`, `ProbeAccuracy`, `ProbeMAE`: probes of a finding, of classes and of age, for
  validation while training.
- `fit_sgd_probe`, `class_scores`: a probe trained by SGD, and figures of class probabilities.
- `patient_interval`: a confidence interval that resamples patients, not images.
- `openbhb_score`, `age_mae`, `site_balanced_accuracy`: the OpenBHB challenge, as its code does it.
- `pair_distances`: distances of bias-aligned and bias-conflicting pairs.
- `augmentation_groups`: how the views of an image lie together, and apart from those of others.
- `gaussian_potential`: how evenly unit vectors are spread over the sphere.
- `effective_rank`: how many directions a representation fills; a collapsed one fills few.
- `clustering_scores`: how well k-means finds the classes, and how far its clusters lie apart.
- `perceptual_distance`: how unlike two views look (LPIPS, an optional package).
- `opposite_classes`, `correlation_tests`: which classes lose accuracy where others gain it, over a
  sweep; `shuffled` and `random_walks`: how many do so by chance.
- `class_behaviour`: which classes rise and which fall over a sweep; `class_properties`: what their
  images look like, in numbers; `group_difference`: whether the one goes along with the other.
"""

from common.metrics.augmentation_groups import augmentation_groups
from common.metrics.class_behaviour import class_behaviour, group_difference
from common.metrics.class_properties import class_properties
from common.metrics.class_scores import class_scores
from common.metrics.clustering_scores import clustering_scores
from common.metrics.effective_rank import effective_rank
from common.metrics.gaussian_potential import gaussian_potential
from common.metrics.linear_probe import ProbeAccuracy, ProbeAUC, linear_probe
from common.metrics.openbhb import age_mae, openbhb_score, site_balanced_accuracy
from common.metrics.opposite_classes import (
    correlation_tests,
    opposite_classes,
    random_walks,
    shuffled,
)
from common.metrics.pair_distances import pair_distances
from common.metrics.patient_bootstrap import patient_interval
from common.metrics.perceptual_distance import perceptual_distance
from common.metrics.probe_mae import ProbeMAE
from common.metrics.sgd_probe import fit_sgd_probe

__all__ = [
    "ProbeAUC",
    "ProbeAccuracy",
    "ProbeMAE",
    "age_mae",
    "augmentation_groups",
    "class_behaviour",
    "class_properties",
    "class_scores",
    "clustering_scores",
    "correlation_tests",
    "effective_rank",
    "fit_sgd_probe",
    "gaussian_potential",
    "group_difference",
    "linear_probe",
    "openbhb_score",
    "opposite_classes",
    "pair_distances",
    "patient_interval",
    "perceptual_distance",
    "random_walks",
    "shuffled",
    "site_balanced_accuracy",
]
