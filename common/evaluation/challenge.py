"""The OpenBHB challenge on one training run, from its public parts.

``evaluate.json`` runs this. The heads of `common.metrics.openbhb` are fitted on the training
subjects and read from the test subjects: the age error inside and outside the training sites, the
site's balanced accuracy inside, and Lc. Beside it stand what chance, age itself, the pixels and an
untrained encoder reach. The leaderboard scores on private subjects and other folds: figures from
here are "public-validation Lc" and must not be compared with it. Where all training subjects are of
one site, that is always told: accuracy, chance and floor are 1, and Lc is the external error.

A second probe of the site standardises the features and chooses its C on the training subjects; of
the pixels it also chooses, there, how far they are averaged down. It stands beside, and in no Lc.

Written into the run folder are ``evaluation.json`` and ``scores.npz``; ``model.pt`` gets the last
encoder with the ridge as its head, so that it predicts age in years.
"""

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from common.checks import require
from common.deploy.embedding import Embedded
from common.evaluation.gaps import Aged, gap_cases, gaps
from common.evaluation.run_evaluation import Batches, Evaluated, pixels, raw_name
from common.evaluation.subjects import SubjectArguments, SubjectsEvaluation
from common.metrics.openbhb import (
    age_floor,
    balanced_accuracy,
    fit_age,
    fit_site,
    fit_site_standardised,
    openbhb_score,
)
from common.metrics.patient_bootstrap import LEVEL, patient_draws, percentiles
from common.report.kinds.challenge import KIND

__all__ = ["ChallengeEvaluation"]

_LABEL = "public-validation Lc"
_METHOD = "bootstrap of the test subjects, the fitted heads kept"
_SIDES = (4, 8, 12)  # of a volume averaged down for the second probe of the site
_SIDE = 8  # of a volume averaged down for the baseline: more makes saga take hours on 64 sites

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class _Subjects:
    """What is known of the subjects whatever the features: ages, sites, who is internal."""

    train_age: Floats
    train_site: NDArray[np.int64]
    age: Floats
    site: NDArray[np.int64]
    internal: Flags
    patient: NDArray[np.str_]

    @property
    def aged(self) -> Flags:
        return np.isfinite(self.train_age)

    @property
    def placed(self) -> Flags:
        return self.train_site >= 0

    @property
    def of_one_site(self) -> bool:
        """Whether there is but one site to be told, which any features tell."""
        return len(np.unique(self.train_site[self.placed])) == 1

    @property
    def inside(self) -> Flags:
        return self.internal & np.isfinite(self.age)

    @property
    def outside(self) -> Flags:
        return ~self.internal & np.isfinite(self.age)

    @property
    def recognisable(self) -> Flags:
        return self.internal & np.isin(self.site, self.train_site[self.placed])


@dataclass(frozen=True)
class _Reading:
    """What the heads say of the test subjects: age ``(M,)``, site ``(M,)``, the ridge itself."""

    age: Floats
    site: NDArray[np.int64]
    ridge: Ridge


class ChallengeEvaluation(SubjectsEvaluation):
    """Age error and site leakage of every snapshot of a run; see the module's docstring.

    Args:
        training: the training subjects: "image", "age" (years; NaN = not known), "site" (-1 = not
            known), in one order whenever they are asked for.
        test: the test subjects, likewise; see `SubjectsEvaluation`.
        jobs: fits of a head at a time; -1 = one for each core. The figures are the same.
        subjects: see `common.evaluation.subjects.SubjectArguments`; the errors of a head "trained"
            to predict age (the l1 baseline) are told as well, while the figures are the
            challenge's; the network has one output.
    """

    kind = KIND

    def __init__(
        self,
        training: Batches,
        test: Batches,
        jobs: int = 1,
        **subjects: Unpack[SubjectArguments],
    ) -> None:
        super().__init__(training, test, **subjects)
        self.jobs = jobs

    def evaluate(self) -> Evaluated:
        """Evaluate all snapshots."""
        train, test = self.untrained(self.training, self.test)
        subjects = self._subjects(train, test)
        features = {
            raw_name(self.training): (pixels(self.training, _SIDE), pixels(self.test, _SIDE)),
            "untrained": (train.h, test.h),
        }
        baselines = {
            name: _figures(subjects, self._read(subjects, *pair)) for name, pair in features.items()
        }
        pixels_at = [[pixels(part, side) for part in (self.training, self.test)] for side in _SIDES]
        standardised = {
            raw_name(self.training): self._told_apart(subjects, train.patient, pixels_at),
            "untrained": self._told_apart(subjects, train.patient, [[train.h, test.h]]),
        }
        epochs = []
        for epoch in self.course():
            train, test = self.embed(self.training), self.embed(self.test)
            reading = self._read(subjects, train.h, test.h)
            epochs.append({"epoch": epoch, **_figures(subjects, reading)})
        standardised["features"] = self._told_apart(subjects, train.patient, [[train.h, test.h]])
        result = self._result(subjects, reading) | {
            "epochs": epochs,
            "baselines": baselines,
            "bacc_standardised": standardised,
        }
        if self.uses_trained_head:
            result["head"] = _errors(subjects, test.logits[:, 0])
        aged = Aged(subjects.age, reading.age, subjects.patient, subjects.internal)
        result["gaps"] = gaps(aged, self.manifest)
        return Evaluated(
            result,
            {"scores.npz": _scores(subjects, reading), "cases.npz": gap_cases(aged, self.test)},
            _told(result),
            None if self.uses_trained_head else _weights(reading.ridge),
            ["age"],
        )

    def _subjects(self, train: Embedded, test: Embedded) -> _Subjects:
        internal = test.within(train)
        subjects = _Subjects(train.age, train.site, test.age, test.site, internal, test.patient)
        for name, members in (("internal", subjects.inside), ("external", subjects.outside)):
            require(
                bool(members.any()),
                f"ChallengeEvaluation: test must hold {name} subjects with an age, got none. "
                "Prepare the data with whole sites held out.",
            )
        return subjects

    def _read(self, subjects: _Subjects, train: Floats, test: Floats) -> _Reading:
        aged, placed = subjects.aged, subjects.placed
        ridge = fit_age(train[aged], subjects.train_age[aged], self.jobs)
        if subjects.of_one_site:
            site = np.full(len(test), subjects.train_site[placed][0])
        else:
            site = fit_site(train[placed], subjects.train_site[placed], self.jobs).predict(test)
        return _Reading(ridge.predict(test), site, ridge)

    def _told_apart(
        self, subjects: _Subjects, patient: NDArray[np.str_], candidates: list[list[Floats]]
    ) -> float:
        """Balanced accuracy of the second probe, by the candidate best on training subjects."""
        placed, known = subjects.placed, subjects.recognisable
        if subjects.of_one_site:
            return 1.0
        fitted = [
            fit_site_standardised(
                train[placed], subjects.train_site[placed], patient[placed], self.jobs
            )
            for train, _ in candidates
        ]
        best = int(np.argmax([search.best_score_ for search in fitted]))
        predicted = fitted[best].predict(candidates[best][1][known])
        return balanced_accuracy(predicted, subjects.site[known])

    def _result(self, subjects: _Subjects, reading: _Reading) -> dict[str, Any]:
        placed = subjects.placed & subjects.aged
        placeable = subjects.recognisable & np.isfinite(subjects.age)
        known = (subjects.train_age[placed], subjects.train_site[placed])
        tested = (subjects.age[placeable], subjects.site[placeable])
        floor = 1.0 if subjects.of_one_site else age_floor(*known, *tested)
        sites = np.unique(subjects.train_site[subjects.placed])
        return {
            "label": _LABEL,
            "counts": {
                "training_subjects": len(subjects.train_age),
                "training_sites": len(sites),
                "internal_subjects": int(subjects.inside.sum()),
                "external_subjects": int(subjects.outside.sum()),
            },
            **_figures(subjects, reading),
            "interval": _intervals(subjects, reading),
            "bacc_chance": 1 / len(np.unique(subjects.site[subjects.recognisable])),
            "bacc_age_floor": floor,
            "site_names": self.site_names,
        }


def _told(result: dict[str, Any]) -> str:
    low, high = result["interval"]["lc"]
    return (
        f"{_LABEL} {result['lc']:.2f} (95 % interval over subjects {low:.2f} to {high:.2f}), age "
        f"error {result['mae_internal']:.2f} internal and {result['mae_external']:.2f} external "
        f"years, site {result['bacc_internal']:.3f} (age alone {result['bacc_age_floor']:.3f}, "
        f"chance {result['bacc_chance']:.3f})"
    )


def _errors(subjects: _Subjects, predicted: Floats) -> dict[str, float]:
    error = np.abs(predicted - subjects.age)
    return {
        "mae_internal": float(error[subjects.inside].mean()),
        "mae_external": float(error[subjects.outside].mean()),
    }


def _figures(subjects: _Subjects, reading: _Reading) -> dict[str, float]:
    errors = _errors(subjects, reading.age)
    known = subjects.recognisable
    bacc = balanced_accuracy(reading.site[known], subjects.site[known])
    score = openbhb_score(errors["mae_external"], bacc)
    return {**errors, "bacc_internal": bacc, "lc": score}


def _intervals(subjects: _Subjects, reading: _Reading) -> dict[str, Any]:
    """Internal and external subjects are drawn apart, so that both keep their number."""
    error = np.abs(reading.age - subjects.age)
    internal, external = error[subjects.inside], error[subjects.outside]
    known = subjects.recognisable
    predicted, site = reading.site[known], subjects.site[known]
    draws = {
        "mae_internal": patient_draws(
            lambda index: float(internal[index].mean()), subjects.patient[subjects.inside]
        ),
        "mae_external": patient_draws(
            lambda index: float(external[index].mean()), subjects.patient[subjects.outside], seed=1
        ),
        "bacc_internal": patient_draws(
            lambda index: balanced_accuracy(predicted[index], site[index]), subjects.patient[known]
        ),
    }
    draws["lc"] = np.array(
        [openbhb_score(m, b) for m, b in zip(draws["mae_external"], draws["bacc_internal"])]
    )
    ends = {name: list(percentiles(values)) for name, values in draws.items()}
    return {"level": LEVEL, "method": _METHOD, **ends}


def _scores(subjects: _Subjects, reading: _Reading) -> dict[str, NDArray[Any]]:
    return {
        "age": subjects.age,
        "predicted_age": reading.age,
        "site": subjects.site,
        "predicted_site": reading.site,
        "internal": subjects.internal,
        "patient": subjects.patient,
    }


def _weights(ridge: Ridge) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.tensor(np.atleast_2d(ridge.coef_), dtype=torch.float32)
    return weight, torch.tensor(np.atleast_1d(ridge.intercept_), dtype=torch.float32)
