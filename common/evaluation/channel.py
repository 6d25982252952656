"""What the representations through a channel that chooses crops are worth: CRL-TAC's two tables.

Each representation of the paper's Tables 1 and 2, the projection h or the encoder's f averaged over
P(T | x), over the eight most probable crops or over the nine inside the digit's cell ("oracle"), is
read by multinomial logistic regression that is fitted on frozen features of the training part and
scored on the test part. The pixels themselves stand beside them, and what the paper says of P and
of the spread of the representations (sections 3.2 and 5.5). Written are ``evaluation.json``, with
a block "channel" beside what an accuracy has, ``channel.npz``, ``scores.npz`` and ``model.pt`` with
the representation that the configuration chose.

The regression is scikit-learn's, on features as they are, which other evaluations here standardise:
standardised, the little that a collapsed representation keeps would count in full. But features
have no natural scale, and how strongly the regression is penalised the paper does not say: C is
chosen on training images held out (`fit_tuned_probe`), and the accuracy at scikit-learn's own C = 1
stands beside it ("accuracy_at_1").

Differs from the paper: Fig. 6 shows a network with two outputs; here the projections of the same
network are drawn by their two principal components.
"""

from typing import Any, Unpack, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from common.checks import require
from common.deploy.embedding import Embedded
from common.evaluation.accuracy import accuracy_result, accuracy_shares, shares_of_probe
from common.evaluation.calls import Called, call
from common.evaluation.channel_figures import channel_figures, channel_pictures
from common.evaluation.channel_table import ChannelTable, Key, tabulate
from common.evaluation.run_evaluation import Batches, Evaluated, RunArguments, RunEvaluation
from common.metrics.linear_probe import as_layer, fit_probe, fit_tuned_probe
from common.networks import ChannelEncoder
from common.policies import CellCrops
from common.report.kinds.channel import KIND

__all__ = ["ChannelEvaluation"]

# values of C to try on pixels; a larger C lets the regression learn single images by heart
_PIXEL_STRENGTHS = (0.01, 0.1, 1.0, 10.0)


class ChannelEvaluation(RunEvaluation):
    """Accuracy of every representation of a run, and what its channel chose; see the module.

    Args:
        training: the training images: "image" and "label".
        batches: the images to score, likewise; "patient", where given, is what the interval draws.
        part: what those are, "test" or, while settings are chosen, "validation"; recorded.
        oracle: a channel that knows the place (`common.policies.CellCrops`), None without one.
        probe_images: training images the regressions are fitted on, the first; 0 for all.
        run: see `common.evaluation.run_evaluation.RunArguments`; the network's encoder is a
            `ChannelEncoder`, and it has one output for each class.
    """

    kind = KIND

    def __init__(
        self,
        training: Batches,
        batches: Batches,
        part: str = "test",
        oracle: nn.Module | None = None,
        probe_images: int = 0,
        **run: Unpack[RunArguments],
    ) -> None:
        super().__init__(**run)
        require(
            isinstance(self.classifier.encoder, ChannelEncoder),
            "ChannelEvaluation: the network's encoder must be a ChannelEncoder, got "
            f"{type(self.classifier.encoder).__name__}.",
        )
        require(
            probe_images >= 0,
            f"ChannelEvaluation: probe_images must be at least 0, got {probe_images}.",
        )
        self.training = training
        self.batches = batches
        self.part = part
        self.oracle = oracle if oracle is None else oracle.to(self.device)
        self.probe_images = probe_images
        self.encoder = cast(ChannelEncoder, self.classifier.encoder)

    def fitting(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the snapshot but for its head: untrained, as wide as another representation."""
        own = self.network.state_dict()
        return state | {name: own[name] for name in own if name.startswith("classifier.head.")}

    def evaluate(self) -> Evaluated:
        """Evaluate the last snapshot."""
        epoch, path = self.snapshots()[-1]
        self.load(path)
        tables = [
            tabulate(self.encoder, batches, self.device, self.oracle, limit)
            for batches, limit in ((self.training, self.probe_images), (self.batches, 0))
        ]
        train, test = tables
        chosen = self._deployed(test)
        probes = {key: fit_tuned_probe(train.z[key], *train.labelled) for key in train.z}
        plain = {key: fit_probe(train.z[key], train.label, standardized=False) for key in train.z}
        predicted, predicted_at_1 = (
            {key: probe.predict(test.z[key].astype(np.float64)) for key, probe in fitted.items()}
            for fitted in (probes, plain)
        )
        fitted_on, scored_on = (_embedded(table, chosen) for table in tables)
        pictures, variance = channel_pictures(self.encoder.grid, test)
        result = accuracy_result({"refitted": predicted[chosen]}, fitted_on, scored_on) | {
            "part": self.part,
            "epochs": [{"epoch": epoch, **accuracy_shares(predicted[chosen], scored_on)}],
            "baselines": {"pixels": accuracy_shares(_pixels(train, test), scored_on)},
            "distances": None,
            "channel": {
                "deployed": " ".join(chosen),
                **channel_figures(self.encoder, test),
                "representations": _accuracies(test, probes, predicted, predicted_at_1),
                "point_variance": variance,
            },
        }
        said = Called(
            test.label, shares_of_probe(probes[chosen], test.z[chosen]), scored_on.patient
        )
        result["calls"], cases = call(said, self.batches, self.classes, self.manifest, self.part)
        arrays = {"channel.npz": pictures, "scores.npz": _scores(predicted, test)} | cases
        head = as_layer(probes[chosen], self.classifier.head.out_features)
        rule = self.most_probable
        return Evaluated(result, arrays, _told(result["channel"]), head, call_rule=rule)

    def _deployed(self, table: ChannelTable) -> Key:
        """The representation that the network's own settings give."""
        known = isinstance(self.encoder.channel, CellCrops)
        key = self.encoder.representation, "oracle" if known else self.encoder.average
        require(
            key in table.z,
            f"ChannelEvaluation: the representation must be one of {_names(table)}, got "
            f"{' '.join(key)}. Choose another, or give the oracle.",
        )
        return key


def _told(channel: dict[str, Any]) -> str:
    accuracies = ", ".join(
        f"{row['representation']} {row['average']} {row['accuracy']:.4f}"
        for row in channel["representations"]
    )
    return (
        f"{accuracies}; share of P on crops that touch something "
        f"{channel['touching']['mean']:.4f}, potential {channel['gaussian_potential']:.4f}"
    )


def _embedded(table: ChannelTable, key: Key) -> Embedded:
    """One representation, as the other evaluations have theirs; there are no logits."""
    return Embedded(table.z[key], np.empty((len(table.label), 0), np.float32), table.columns)


def _accuracies(
    test: ChannelTable, probes: dict[Key, Pipeline], *predicted: dict[Key, NDArray[np.int64]]
) -> list[dict[str, Any]]:
    """Accuracy of each representation with the chosen C, that C, and the accuracy with C = 1."""
    rows = []
    for key in sorted(probes):
        chosen, at_1 = (float((classes[key] == test.label).mean()) for classes in predicted)
        about = {"representation": key[0], "average": key[1], "accuracy": chosen}
        rows.append(about | {"strength": probes[key][-1].C, "accuracy_at_1": at_1})
    return rows


def _pixels(train: ChannelTable, test: ChannelTable) -> NDArray[np.int64]:
    """What a regression on the pixels, from 0 to 1 as they are, tells of the test images."""
    probe = fit_tuned_probe(train.pixels, *train.labelled, _PIXEL_STRENGTHS)
    return np.asarray(probe.predict(test.pixels), dtype=np.int64)


def _scores(predicted: dict[Key, NDArray[np.int64]], test: ChannelTable) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {"label": test.label, "touching": test.touching}
    return columns | {f"predicted_by_{'_'.join(key)}": values for key, values in predicted.items()}


def _names(table: ChannelTable) -> str:
    return ", ".join(" ".join(key) for key in sorted(table.z))
