"""Case against control inside and outside the training sites (talk, slide 45).

``evaluate.json`` runs this on a pre-trained encoder or on a fine-tuned network. A linear probe is
fitted on the training subjects and scored on internal (seen sites) and external (unseen sites) test
subjects; of a fine-tuned network the head itself is scored, with the probe beside it. Without
fine-tuning, the encoder has seen no diagnosis, and a leave-site-out table follows: the probe fitted
on all subjects of all other sites, one site left out at a time or the sites of one fold (5 folds in
the talk, slide 76). Repeats are seeds, each a run of its own.

Written are ``evaluation.json``, ``scores.npz`` and ``model.pt``.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.deploy.embedding import Embedded
from common.evaluation.cases import patients
from common.evaluation.decision import Decided, Scored, call_rule, decide, probability_of
from common.evaluation.run_evaluation import Batches, Evaluated, pixels, raw_name
from common.evaluation.subjects import SubjectArguments, SubjectsEvaluation
from common.metrics.linear_probe import as_layer, fit_probe
from common.metrics.patient_bootstrap import LEVEL, auc, patient_interval
from common.report.kinds.case_control import KIND

__all__ = ["CaseControlEvaluation"]

_METHOD = "bootstrap of the AUC, test patients drawn with replacement, the network kept"

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


class CaseControlEvaluation(SubjectsEvaluation):
    """AUC of every snapshot of a run, internal, external and by site; see the module's docstring.

    Args:
        training: the training subjects: "image", "label" (1 = case, 0 = control, -1 = neither,
            left out), "site" for the table.
        test: the test subjects, likewise; see `SubjectsEvaluation`.
        site_folds: folds that the sites are dealt into to be left out together, of about as many
            subjects each; 0 leaves out each site alone.
        validation: other subjects, likewise, on whom the threshold is chosen; None for none.
        subjects: see `common.evaluation.subjects.SubjectArguments`; a head "trained" by
            fine-tuning decides; the network has one output.
    """

    kind = KIND

    def __init__(
        self,
        training: Batches,
        test: Batches,
        site_folds: int = 0,
        validation: Batches | None = None,
        **subjects: Unpack[SubjectArguments],
    ) -> None:
        super().__init__(training, test, **subjects)
        require(
            site_folds == 0 or site_folds >= 2,
            f"CaseControlEvaluation: site_folds must be 0 or at least 2, got {site_folds}.",
        )
        self.site_folds = site_folds
        self.validation = validation

    def evaluate(self) -> Evaluated:
        """Evaluate all snapshots."""
        train, test = self.untrained(self.training, self.test)
        members = _members(train, test)
        baselines = {
            raw_name(self.training): _areas(
                _probed(train, pixels(self.training), pixels(self.test)), test, members
            ),
            "untrained": _areas(_probed(train, train.h, test.h), test, members),
        }
        epochs = []
        for epoch in self.course():
            train, test = self.embed(self.training), self.embed(self.test)
            probe = _probed(train, train.h, test.h)
            decided = test.logits[:, 0].astype(np.float64) if self.uses_trained_head else probe
            epochs.append({"epoch": epoch, **_areas(decided, test, members)})
        names, by_site = self._by_site(train, test)
        decisions, cases = self._decision(train, test, decided)
        result = {
            "deployed_head": "trained" if self.uses_trained_head else "refitted",
            "counts": _counts(train, test, members),
            **_areas(decided, test, members),
            "interval": _intervals(decided, test, members),
            "probe": _areas(probe, test, members),
            "leave_site_out": by_site,
            "site_names": names,
            "epochs": epochs,
            "baselines": baselines,
            "decisions": decisions,
        }
        scores = {"label": test.label, "patient": test.patient, "internal": members["internal"]}
        known = train.label >= 0
        return Evaluated(
            result,
            {"scores.npz": {**scores, "score": decided, "probe": probe}} | cases,
            _told(result),
            None
            if self.uses_trained_head
            else as_layer(fit_probe(train.h[known], train.label[known])),
            call_rule=call_rule(decisions, ["case"], "control"),
        )

    def _decision(self, train: Embedded, test: Embedded, scores: Floats) -> Decided:
        """What a threshold does that is chosen on the validation subjects."""
        if self.validation is None:
            return [], {}
        other = self.embed(self.validation)
        theirs = other.logits[:, 0] if self.uses_trained_head else _probed(train, train.h, other.h)
        patient = patients(self.manifest, "validation", other.patient)
        chosen = Scored(other.label, probability_of(theirs), patient)
        scored = Scored(test.label, probability_of(scores), test.patient)
        return decide(["case"], [chosen], [scored], self.test, self.manifest)

    def _by_site(self, train: Embedded, test: Embedded) -> tuple[list[str], dict[str, Any] | None]:
        """Names of the sites, or of their folds, and the leave-site-out table over them."""
        if self.uses_trained_head or "site" not in train.columns or "site" not in test.columns:
            return self.site_names, None
        site = np.concatenate([train.site, test.site])
        if self.site_folds == 0:
            return self.site_names, _leave_out(train, test, site)
        fold_of = _dealt(site[site >= 0], self.site_folds)
        folds: list[list[str]] = [[] for _ in range(self.site_folds)]
        for number in sorted(fold_of):
            known = number < len(self.site_names)
            folds[fold_of[number]].append(self.site_names[number] if known else f"site {number}")
        group = np.array([fold_of.get(int(number), -1) for number in site])
        return [", ".join(names) for names in folds], _leave_out(train, test, group)


def _told(result: dict[str, Any]) -> str:
    figures = [
        f"{name} {result[f'auc_{name}']:.3f} ({low:.3f} to {high:.3f})"
        for name in ("internal", "external")
        for low, high in [result["interval"][f"auc_{name}"]]
    ]
    return f"AUC {', '.join(figures)} (95 % intervals over patients)"


def _members(train: Embedded, test: Embedded) -> dict[str, Flags]:
    """Labelled test subjects of seen and of unseen sites."""
    internal, known = test.within(train), test.label >= 0
    members = {"internal": internal & known, "external": ~internal & known}
    for name, here in (("training", train.label[train.label >= 0]), *_labels(test, members)):
        require(
            set(np.unique(here)) == {0, 1},
            f"CaseControlEvaluation: {name} subjects must be cases and controls (label 1 and 0), "
            f"got {np.unique(here).tolist()}. Prepare the data with both in every part.",
        )
    return members


def _labels(test: Embedded, members: dict[str, Flags]) -> list[tuple[str, NDArray[np.int64]]]:
    return [(f"{name} test", test.label[here]) for name, here in members.items()]


def _probed(train: Embedded, features: Floats, test_features: Floats) -> Floats:
    """Decision values of the probe fitted on the labelled training subjects."""
    known = train.label >= 0
    probe = fit_probe(features[known], train.label[known])
    return np.asarray(probe.decision_function(test_features.astype(np.float64)))


def _areas(scores: Floats, test: Embedded, members: dict[str, Flags]) -> dict[str, float]:
    return {f"auc_{name}": auc(test.label[m], scores[m]) for name, m in members.items()}


def _intervals(scores: Floats, test: Embedded, members: dict[str, Flags]) -> dict[str, Any]:
    ends = {
        f"auc_{name}": list(
            patient_interval(
                test.label[here], scores[here], np.zeros(int(here.sum()), int), test.patient[here]
            )
        )
        for name, here in members.items()
    }
    return {"level": LEVEL, "method": _METHOD, **ends}


def _counts(train: Embedded, test: Embedded, members: dict[str, Flags]) -> dict[str, int]:
    counts = {
        "training_subjects": int((train.label >= 0).sum()),
        "training_cases": int((train.label == 1).sum()),
    }
    for name, here in members.items():
        counts[f"{name}_subjects"] = int(here.sum())
        counts[f"{name}_cases"] = int((test.label[here] == 1).sum())
    return counts


def _dealt(site: NDArray[np.int64], folds: int) -> dict[int, int]:
    """Fold of each site: the largest first, each to the fold with the fewest subjects so far."""
    numbers, counts = np.unique(site, return_counts=True)
    filled, fold_of = [0] * folds, {}
    for place in np.argsort(-counts, kind="stable"):
        fold = filled.index(min(filled))
        fold_of[int(numbers[place])] = fold
        filled[fold] += int(counts[place])
    return fold_of


def _leave_out(train: Embedded, test: Embedded, group: NDArray[np.int64]) -> dict[str, Any] | None:
    """AUC on each group of sites by a probe that saw all others; those with one class have none."""
    h = np.concatenate([train.h, test.h])
    label = np.concatenate([train.label, test.label])
    known = (label >= 0) & (group >= 0)
    h, label, group = h[known], label[known], group[known]
    rows = []
    for number in np.unique(group):
        here = group == number
        if len(np.unique(label[here])) < 2 or len(np.unique(label[~here])) < 2:
            continue
        scores = fit_probe(h[~here], label[~here]).decision_function(h[here].astype(np.float64))
        rows.append(
            {
                "site": int(number),
                "subjects": int(here.sum()),
                "cases": int(label[here].sum()),
                "auc": auc(label[here], scores),
            }
        )
    if not rows:
        return None
    areas = [row["auc"] for row in rows]
    return {"auc_mean": float(np.mean(areas)), "auc_std": float(np.std(areas)), "sites": rows}
