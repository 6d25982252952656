"""Whether k-means on a representation finds the classes (No Free Lunch, sections 3.2 to 3.4).

``evaluate.json`` runs this on an encoder that saw no label. The features of the test part, as they
are, fall into K clusters by k-means, with several seeds; told are the agreement of the clusters
with the classes (adjusted mutual information, by the larger and by the mean entropy), how far the
clusters lie apart (silhouette), the accuracy of a linear probe fitted on the training part, and how
many directions the features fill (effective rank). The same stands beside it of pixels, of the
encoder without its training and, where asked for, of brightness alone: clusters that those find as
well say nothing of an encoder. Written are ``evaluation.json``, ``clusters.npz`` (the report's maps
and galleries), ``scores.npz`` and ``model.pt``, whose head is the probe, or names the nearest
centre.

Differs from the paper: what its probe and its k-means are set to is not stated; here they are
scikit-learn's logistic regression (standardised features, C = 1) and ten starts. Silhouette and
rank are computed on 5,000 images at most, drawn once.
"""

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from common.checks import require
from common.deploy import CallRule
from common.deploy.embedding import Embedded
from common.evaluation.cluster_pictures import cluster_pictures
from common.evaluation.run_evaluation import (
    Batches,
    Evaluated,
    RunArguments,
    RunEvaluation,
    pixels,
    raw_name,
)
from common.metrics.clustering_scores import (
    SAMPLE,
    Clustering,
    agreement,
    fit_clusters,
    silhouette,
)
from common.metrics.effective_rank import effective_rank
from common.metrics.linear_probe import as_layer, fit_probe
from common.metrics.patient_bootstrap import LEVEL, patient_draws, percentiles
from common.metrics.perceptual_distance import load_lpips, perceptual_distance
from common.metrics.plain_features import intensities
from common.report.kinds.clusters import KIND

__all__ = ["ClustersEvaluation"]

_METHOD = (
    "bootstrap of the test images (of their patients, where known), the clusters kept, moved to "
    "the figure, which images that are drawn twice would raise"
)
_DRAWS = 200
_HEADS = ("refitted", "clusters")
_VIEWED = 1_000  # images whose views are compared

Floats = NDArray[np.floating[Any]]


class ClustersEvaluation(RunEvaluation):
    """Clusters of every snapshot of a run against the classes; see the module's docstring.

    Args:
        training: the training images, "image" and "label", -1 for those without; the probe is
            fitted on those that have one.
        batches: the images to cluster, likewise; "patient", where given, is what intervals draw.
        part: what those are, "test" or, while settings are chosen, "validation"; recorded.
        clusters: K, or several; the first is what runs are compared by. None is the number of
            classes.
        starts: of k-means, the best of which is taken.
        seeds: of k-means; figures are means over them.
        perceptual: whether the mean LPIPS of two views of an image is computed
            (`common.metrics.perceptual_distance`), on 1,000 images at most.
        intensity: whether clusters by brightness (`intensities`) stand beside those of the encoder.
        deployed_head: "refitted", the probe; or "clusters": the output of the cluster with the
            nearest centre is the largest.
        run: see `common.evaluation.run_evaluation.RunArguments`; the network has one output for
            each class, or for each of the first K clusters.
    """

    kind = KIND

    def __init__(
        self,
        training: Batches,
        batches: Batches,
        part: str = "test",
        clusters: int | Sequence[int] | None = None,
        starts: int = 10,
        seeds: int = 3,
        intensity: bool = False,
        perceptual: bool = False,
        deployed_head: str = "refitted",
        **run: Unpack[RunArguments],
    ) -> None:
        super().__init__(**run)
        require(seeds >= 1, f"ClustersEvaluation: seeds must be at least 1, got {seeds}.")
        require(
            deployed_head in _HEADS,
            f"ClustersEvaluation: deployed_head must be {' or '.join(_HEADS)}, got "
            f"{deployed_head!r}.",
        )
        self.training = training
        self.batches = batches
        self.part = part
        self.clusters = clusters
        self.starts = starts
        self.seeds = seeds
        self.intensity = intensity
        self.distance = load_lpips() if perceptual else None
        self.deployed_head = deployed_head

    def evaluate(self) -> Evaluated:
        """Evaluate all snapshots."""
        train, test = self.untrained(self.training, self.batches)
        numbers = self._numbers(train, test)
        baselines = self._baselines(train, test, numbers)
        epochs = []
        for epoch in self.course():
            test = self.embed(self.batches)
            figures = self._clustered(test.h, test.label, numbers[0])[1]
            epochs.append({"epoch": epoch, "ami": figures["ami"]})
        train = self.embed(self.training)
        found, figures = self._figures(train.h, test.h, train.label, test.label, numbers)
        epochs[-1]["ami"] = figures["ami"]
        result = {
            "part": self.part,
            "counts": _counts(train, test),
            **figures,
            "interval": _interval(test, found[0].cluster, figures["ami"]),
            "epochs": epochs,
            "baselines": baselines,
            "starts": self.starts,
            "seeds": self.seeds,
            "classes": list(self.classes),
            **self._perceptual(),
        }
        arrays = {
            "clusters.npz": cluster_pictures(test, found, self.batches),
            "scores.npz": _scores(test, found),
        }
        head = self._head(train, found[0])
        if self.deployed_head == "clusters":
            names = [f"cluster {number}" for number in range(numbers[0])]
            return Evaluated(result, arrays, _told(result), head, names, _nearest(names))
        return Evaluated(result, arrays, _told(result), head, call_rule=self.most_probable)

    def _numbers(self, train: Embedded, test: Embedded) -> list[int]:
        """The numbers of clusters, the first of which counts.

        Raises:
            InputError: fewer than two classes in a part, or a number out of range.
        """
        for name, part in (("training", train), ("scored", test)):
            known = np.unique(part.label[part.label >= 0])
            require(
                len(known) >= 2,
                f"ClustersEvaluation: the {name} images must show at least 2 classes, got "
                f"{len(known)}. Prepare more images with a label.",
            )
        wanted = len(known) if self.clusters is None else self.clusters
        numbers = [wanted] if isinstance(wanted, int) else list(wanted)
        require(
            0 < len(set(numbers)) == len(numbers) and all(2 <= k < len(test.h) for k in numbers),
            "ClustersEvaluation: clusters must be numbers from 2 to below that of the images, "
            f"{len(test.h)}, each once, got {numbers}.",
        )
        return numbers

    def _baselines(self, train: Embedded, test: Embedded, numbers: list[int]) -> dict[str, Any]:
        pairs: dict[str, tuple[Floats, Floats]] = {
            raw_name(self.training): (pixels(self.training), pixels(self.batches)),
            "untrained": (train.h, test.h),
        }
        if self.intensity:
            scaler = StandardScaler().fit(fitted_on := intensities(self.training))
            pairs["intensity"] = (
                scaler.transform(fitted_on),
                scaler.transform(intensities(self.batches)),
            )
        return {
            name: self._figures(*parts, train.label, test.label, numbers)[1]
            for name, parts in pairs.items()
        }

    def _figures(
        self,
        training: Floats,
        features: Floats,
        training_label: NDArray[np.int64],
        label: NDArray[np.int64],
        numbers: list[int],
    ) -> tuple[list[Clustering], dict[str, Any]]:
        """The clusterings by the first seed, and all figures of one representation."""
        clusterings = [self._clustered(features, label, number) for number in numbers]
        known, fitted_on = label >= 0, training_label >= 0
        probe = fit_probe(training[fitted_on], training_label[fitted_on])
        right = probe.predict(features[known].astype(np.float64)) == label[known]
        rows = np.random.default_rng(0).permutation(len(features))[:SAMPLE]
        figures = {
            "ami": clusterings[0][1]["ami"],
            "clusterings": [figures for _, figures in clusterings],
            "probe": float(right.mean()),
            "effective_rank": effective_rank(features[rows]),
        }
        return [clustering for clustering, _ in clusterings], figures

    def _clustered(
        self, features: Floats, label: NDArray[np.int64], number: int
    ) -> tuple[Clustering, dict[str, Any]]:
        """The clustering by the first seed, and the figures over all seeds."""
        found = [fit_clusters(features, number, seed, self.starts) for seed in range(self.seeds)]
        scores = [
            agreement(label, each.cluster) | {"silhouette": silhouette(features, each.cluster)}
            for each in found
        ]
        means = {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}
        spread = float(np.std([each["ami"] for each in scores]))
        return found[0], {"clusters": number, **means, "ami_std": spread}

    def _perceptual(self) -> dict[str, float]:
        """The mean distance of two views, where it was asked for."""
        if self.distance is None:
            return {}
        x = torch.cat([batch["image"] for batch in self.batches])[:_VIEWED].to(self.device)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            first, second = (self.network.transformed(x) for _ in range(2))
        return {"lpips": perceptual_distance(first, second, self.distance)}

    def _head(self, train: Embedded, clustering: Clustering) -> tuple[Tensor, Tensor]:
        if self.deployed_head == "clusters":
            return nearest_centre(clustering.centre)
        known = train.label >= 0
        probe = fit_probe(train.h[known], train.label[known])
        return as_layer(probe, self.classifier.head.out_features)


def nearest_centre(centre: Floats) -> tuple[Tensor, Tensor]:
    """Return the linear layer whose largest output is that of the nearest centre.

    The output of centre c is ``2 c.h - |c|^2``, which is ``|h|^2 - |h - c|^2``.

    Args:
        centre: ``(K, F)``.
    """
    exact = centre.astype(np.float64)
    weight, bias = 2 * exact, -(exact**2).sum(axis=1)
    return torch.tensor(weight, dtype=torch.float32), torch.tensor(bias, dtype=torch.float32)


def _interval(test: Embedded, cluster: NDArray[np.int64], ami: float) -> dict[str, Any]:
    known = test.label >= 0
    label, own = test.label[known], cluster[known]
    draws = patient_draws(
        lambda rows: agreement(label[rows], own[rows])["ami"], test.patient[known], draws=_DRAWS
    )
    ends = percentiles(np.clip(draws - draws.mean() + ami, -1, 1))
    return {"level": LEVEL, "method": _METHOD, "ami": list(ends)}


def _counts(train: Embedded, test: Embedded) -> dict[str, int]:
    return {
        "training_images": len(train.h),
        "test_images": len(test.h),
        "test_labelled": int((test.label >= 0).sum()),
        "silhouette_images": min(SAMPLE, len(test.h)),
        "classes": len(np.unique(test.label[test.label >= 0])),
    }


def _scores(test: Embedded, found: Sequence[Clustering]) -> dict[str, NDArray[Any]]:
    columns = {"label": test.label, "patient": test.patient}
    return columns | {f"cluster_of_{len(each.centre)}": each.cluster for each in found}


def _nearest(names: Sequence[str]) -> CallRule:
    return CallRule(names[0] if len(names) == 2 else "none")


def _told(result: dict[str, Any]) -> str:
    parts = ", ".join(
        f"K = {each['clusters']}: AMI {each['ami']:.4f} (arithmetic {each['ami_arithmetic']:.4f}), "
        f"silhouette {each['silhouette']:.4f}"
        for each in result["clusterings"]
    )
    return f"{parts}; probe {result['probe']:.4f}, rank {result['effective_rank']:.1f}"
