"""What a pre-trained encoder is worth for grades or many classes: Cheng et al.'s protocol (2025).

A linear classifier is trained by SGD on the frozen class tokens of one prepared data set and kept
at its best validation epoch (`common.metrics.sgd_probe`), several times with other seeds; it is
scored on the test part of that set ("internal", Table 4 of the paper) and of every other set that
has the same classes ("external", Table 3). So several sets give a matrix, train set by test set.
Of a fine-tuned network the head itself is scored. Beside them a logistic regression on the frozen
tokens, on the pixels and on the untrained encoder's tokens, and Fig. 2 where views are given.

Written are ``evaluation.json``, ``scores.npz``, ``groups.npz`` and ``model.pt``, whose head is, of
the first set, the probe of greatest validation AUROC.

Differs from the paper: external figures are of all seeds' probes; the paper says "weights with best
internal validation" and reports a deviation, which is read as the best epoch of each seed. Its
intervals are over seeds alone, here over patients and seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.checks import require
from common.data.healthy import healthy_class
from common.deploy.embedding import Embedded
from common.evaluation.calls import Called, call
from common.evaluation.group_figure import GroupFigure
from common.evaluation.probe_set import Centred, ProbeSet
from common.evaluation.run_evaluation import Evaluated, RunArguments, RunEvaluation, pixels
from common.metrics.class_scores import FIGURES, class_scores
from common.metrics.linear_probe import fit_probe
from common.metrics.patient_bootstrap import LEVEL, patient_samples, percentiles
from common.metrics.sgd_probe import SGDProbe, fit_sgd_probe
from common.report.kinds.macro_auroc import KIND
from common.transforms.photo import resized_crop

__all__ = ["MacroAUROCEvaluation", "ProbeProtocol"]

_METHOD = "bootstrap of the mean over seeds, test patients and seeds drawn with replacement"

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ProbeProtocol:
    """How the probe is trained.

    Attributes:
        side: pixels a side of the random crops it trains on and the central crop it is scored on.
        scale: least and greatest share of the image in a random crop.
        epochs: see `fit_sgd_probe`.
        batch_size: see `fit_sgd_probe`.
        learning_rate: for 256 images a step.
        seeds: number of probes, of the seeds 0, 1, ...
    """

    side: int = 224
    scale: Sequence[float] = (0.08, 1.0)
    epochs: int = 50
    batch_size: int = 16
    learning_rate: float = 0.001
    seeds: int = 5


class MacroAUROCEvaluation(RunEvaluation):
    """AUROC and the rest of the last snapshot of a run; see the module's docstring.

    Args:
        sets: prepared data sets, the first that of the deployed head: its classes are the
            network's outputs.
        protocol: how the probe is trained.
        figure: draws Fig. 2 on the test part of the first set; None leaves it out.
        deployed_head: "refitted", the probe decides; or "trained", by fine-tuning: the head
            decides.
        run: see `common.evaluation.run_evaluation.RunArguments`.
    """

    kind = KIND

    def __init__(
        self,
        sets: Sequence[ProbeSet],
        protocol: ProbeProtocol,
        figure: GroupFigure | None = None,
        deployed_head: str = "refitted",
        **run: Unpack[RunArguments],
    ) -> None:
        super().__init__(**run)
        self.classes = list(sets[0].classes) if sets else []
        names = [one.name for one in sets]
        require(
            len(names) > 0 and len(set(names)) == len(names),
            f"MacroAUROCEvaluation: sets must be folders of different names, got {names}.",
        )
        outputs = self.classifier.head.out_features
        require(
            outputs >= len(sets[0].classes),
            f"MacroAUROCEvaluation: the network must have an output for each of the "
            f"{len(sets[0].classes)} classes of {names[0]}, got {outputs}. Set num_classes.",
        )
        require(
            protocol.seeds >= 1,
            f"MacroAUROCEvaluation: seeds must be at least 1, got {protocol.seeds}.",
        )
        self.sets = list(sets)
        self.manifest = sets[0].manifest
        self.protocol = protocol
        self.figure = figure
        self.uses_trained_head = self.means_trained(deployed_head)

    def evaluate(self) -> Evaluated:
        """Evaluate the last snapshot."""
        epoch, path = self.snapshots()[-1]
        baselines = self._baselines()
        self.load(path)
        first = self.sets[0]
        tests = {one.name: self._seen(one.test) for one in self.sets}
        probes = None if self.uses_trained_head else [self._probes(one) for one in self.sets]
        rows = self._matrix(tests, probes)
        test, own = tests[first.name], probes[0] if probes else None
        probability = _probabilities(own, test)
        kept = {"label": test.label, "patient": test.patient, "probability": probability}
        groups, views = self._groups()
        result = {
            "deployed_head": "trained" if self.uses_trained_head else "refitted",
            "classes": list(first.classes),
            "left_out": _named(first.classes, healthy_class(first.classes)),
            "counts": _counts(first, test),
            **{name: rows[0][name] for name in FIGURES},
            "interval": {"level": LEVEL, "method": _METHOD, **rows[0]["interval"]},
            "matrix": rows,
            "epochs": [{"epoch": epoch, "auroc": rows[0]["auroc"]}],
            "logistic": self._logistic(test),
            "baselines": baselines,
            "groups": groups,
        }
        number = best(own) if own else 0
        said = Called(test.label, probability[number], test.patient)
        cropped = Centred(first.test, self.protocol.side)
        result["calls"], cases = call(said, cropped, first.classes, self.manifest)
        archives = {"scores.npz": kept} | cases | ({"groups.npz": views} if views else {})
        head = (own[number].weight, own[number].bias) if own else None
        return Evaluated(result, archives, _told(result), head, call_rule=self.most_probable)

    def _matrix(
        self, tests: Mapping[str, Embedded], probes: Sequence[Sequence[SGDProbe]] | None
    ) -> list[dict[str, Any]]:
        """Figures of each set's probes on the test part of every set that has the same classes.

        Args:
            tests: test part of each set, by its name.
            probes: of each set; None for the head of the first, which stands for its probe.
        """
        rows = []
        for one, own in zip(self.sets, [None] if probes is None else probes):
            healthy = healthy_class(one.classes)
            for other in self.sets:
                if other.classes == one.classes:
                    test = tests[other.name]
                    probability = _probabilities(own, test)
                    rows.append(_row(one.name, other.name, own, test, probability, healthy))
        return rows

    def _seen(self, batches: Any) -> Embedded:
        """Features and logits of the central crops of all batches."""
        return self.embed(Centred(batches, self.protocol.side))

    def _probes(self, data: ProbeSet) -> list[SGDProbe]:
        """The classifier of each seed, fitted on one set."""
        own = self.protocol
        validation = self._seen(data.validation)
        outputs = self.classifier.head.out_features
        return [
            fit_sgd_probe(
                self._cropped(data, seed),
                data.training_label,
                torch.from_numpy(validation.h),
                validation.label,
                outputs if data is self.sets[0] else len(data.classes),
                epochs=own.epochs,
                batch_size=own.batch_size,
                learning_rate=own.learning_rate,
                seed=seed,
            )
            for seed in range(own.seeds)
        ]

    def _cropped(self, data: ProbeSet, seed: int) -> Callable[[], Tensor]:
        """Return a function: features of new random crops of the training images."""
        generator = torch.Generator().manual_seed(seed)
        own = self.protocol

        @torch.no_grad()
        def features() -> Tensor:
            rows = []
            for batch in data.training:
                x = batch["image"].to(self.device)
                lam = torch.rand(len(x), 4, generator=generator).to(x)
                view = resized_crop(x, lam, scale=own.scale, size=own.side, antialias=True)
                rows.append(self.classifier.encode(view).float().cpu())
            return torch.cat(rows)

        self.classifier.eval()
        return features

    def _baselines(self) -> dict[str, dict[str, float]]:
        """What a logistic regression makes of pixels and of the untrained encoder's features."""
        first = self.sets[0]
        parts = [Centred(part, self.protocol.side) for part in (first.training, first.test)]
        train, test = self.untrained(*parts)
        return {
            "pixels": _regression(train, test, *(pixels(part) for part in parts)),
            "untrained": _regression(train, test, train.h, test.h),
        }

    def _logistic(self, test: Embedded) -> dict[str, float]:
        """The baselines' reading of the encoder as it is loaded."""
        train = self._seen(self.sets[0].training)
        return _regression(train, test, train.h, test.h)

    def _groups(self) -> tuple[dict[str, Any] | None, dict[str, NDArray[Any]]]:
        if self.figure is None:
            return None, {}
        return self.figure(self.classifier, self.sets[0].test, self.device)


def _told(result: Mapping[str, Any]) -> str:
    low, high = result["interval"]["auroc"]
    others = ", ".join(
        f"{row['training']} to {row['test']} {row['auroc']:.3f}" for row in result["matrix"][1:]
    )
    return (
        f"macro AUROC {result['auroc']:.3f} (95 % interval over patients and seeds {low:.3f} to "
        f"{high:.3f}){'; ' * bool(others)}{others}"
    )


def best(probes: Sequence[SGDProbe]) -> int:
    """Return which probe has the greatest validation AUROC, the first of equals."""
    return max(range(len(probes)), key=lambda number: max(probes[number].validation))


def _probabilities(probes: Sequence[SGDProbe] | None, test: Embedded) -> Floats:
    """Probabilities ``(seeds, N, K)``; of the network's own head, one seed."""
    if probes is None:
        logits = torch.from_numpy(test.logits).double()
        return np.asarray(logits.softmax(dim=1)[None])
    h = torch.from_numpy(test.h)
    return np.stack([probe.probabilities(h) for probe in probes])


def _row(
    training: str,
    tested: str,
    probes: Sequence[SGDProbe] | None,
    test: Embedded,
    probability: Floats,
    healthy: int | None,
) -> dict[str, Any]:
    """Figures of the probes of one set on the test part of another, or of the same."""
    each = [class_scores(test.label, p, healthy) for p in probability]
    return {
        "training": training,
        "test": tested,
        **{name: _finite(np.mean([one[name] for one in each])) for name in FIGURES},
        "interval": _intervals(test, probability, healthy),
        "seeds": [
            {name: _finite(value) for name, value in one.items()}
            | ({} if probes is None else {"epoch": probes[seed].epoch})
            for seed, one in enumerate(each)
        ],
    }


def _intervals(
    test: Embedded, probability: Floats, healthy: int | None
) -> dict[str, list[float | None]]:
    """Ends of the interval of each figure; patients and seeds are drawn together."""
    generator = np.random.default_rng(1)
    drawn = []
    for rows in patient_samples(test.patient):
        chosen = generator.integers(len(probability), size=len(probability))
        figures = {
            seed: list(class_scores(test.label[rows], probability[seed][rows], healthy).values())
            for seed in np.unique(chosen).tolist()
        }
        drawn.append(np.mean([figures[seed] for seed in chosen.tolist()], axis=0))
    columns = np.array(drawn).T
    return {
        name: [_finite(end) for end in percentiles(values)]
        if np.isfinite(values).any()
        else [None] * 2
        for name, values in zip(FIGURES, columns)
    }


def _regression(
    train: Embedded, test: Embedded, features: Floats, test_features: Floats
) -> dict[str, float]:
    """AUROC of a logistic regression."""
    probe = fit_probe(features, train.label)
    probability = np.zeros((len(test.label), int(max(train.label.max(), test.label.max())) + 1))
    probability[:, probe.classes_] = probe.predict_proba(test_features.astype(np.float64))
    return {name: value for name, value in class_scores(test.label, probability, None).items()
            if name in ("auroc", "aupr")}  # fmt: skip


def _counts(data: ProbeSet, test: Embedded) -> dict[str, Any]:
    return {
        "training_images": data.images["training"],
        "validation_images": data.images["validation"],
        "test_images": len(test.label),
        "test_patients": len(np.unique(test.patient)),
        "classes": len(data.classes),
    }


def _named(names: Sequence[str], number: int | None) -> str | None:
    return None if number is None else names[number]


def _finite(value: Any) -> float | None:
    """None for a figure that the rows do not have, such as NaN of a class that is missing."""
    return float(value) if np.isfinite(value) else None
