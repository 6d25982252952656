"""The OpenBHB challenge: brain age from features that should not tell the site (Dufumier 2022).

"OpenBHB: a large-scale multi-site brain MRI data-set for age prediction and debiasing". Frozen
features are read by two heads, exactly those of the challenge's public code (ramp-kits,
``brain_age_with_site_removal``, ``problem.py``): ridge regression for age, logistic regression for
the site, each with its strength chosen among 0.01 ... 100 by 5-fold cross-validation. Features are
not standardised. The talk ranks by

    Lc = MAE_external * BAcc_internal^0.3                                       (lower is better)

Beside the challenge's head for the site stands one that a representation cannot fool by being
small: `fit_site_standardised`.

The fits of a search run on threads, each on one core: saga lets others work meanwhile. A figure is
the same to the last bit on any number of them.

Differs from the challenge's code: saga is seeded, so that a figure can be had twice; and earlier
versions of ``problem.py`` combined the two by a sum instead (MAE_ext BAcc + MAE_int / sites).
"""

import warnings
from typing import Any

import numpy as np
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from common.checks import require

__all__ = [
    "age_floor",
    "age_mae",
    "balanced_accuracy",
    "fit_age",
    "fit_site",
    "fit_site_standardised",
    "openbhb_score",
    "site_balanced_accuracy",
]

_STRENGTHS = [0.01, 0.1, 1.0, 10.0, 100.0]
_SPLITS = 5
_ITERATIONS = 150
_EXPONENT = 0.3
_YEARS = 5.0
_TUNED = [0.001, 0.01, 0.1, 1.0, 10.0]
_INNER = 3

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


def openbhb_score(mae_external: float, bacc_internal: float) -> float:
    """Return Lc = MAE_external * BAcc_internal^0.3, lower is better.

    Args:
        mae_external: mean absolute error of age on subjects of unseen sites, years, >= 0.
        bacc_internal: balanced accuracy of the site on subjects of seen sites, a fraction in
            [0, 1], not a percentage.

    Raises:
        InputError: a figure out of its range.

    >>> round(openbhb_score(3.76, 0.051), 2)  # L_exp in the talk
    1.54
    """
    require(
        0 <= mae_external < float("inf"),
        f"openbhb_score: mae_external must be a number of years >= 0, got {mae_external}.",
    )
    require(
        0 <= bacc_internal <= 1,
        f"openbhb_score: bacc_internal must be a fraction in [0, 1], got {bacc_internal}. "
        "Divide a percentage by 100.",
    )
    return float(mae_external * bacc_internal**_EXPONENT)


def fit_age(features: Floats, age: Floats, jobs: int = 1) -> Ridge:
    """Fit the challenge's head for age.

    Args:
        features: ``(N, F)``, N at least 10; not standardised here.
        age: ``(N,)``, years.
        jobs: fits at a time; -1 = one for each core.

    Returns:
        Ridge regression on all rows, with the alpha of the best mean r² over 5 contiguous folds:
        the order of the rows matters, as in the challenge.

    Raises:
        InputError: see `site_balanced_accuracy`; or too few rows.
    """
    _check("fit_age", "age", features, age)
    require(
        len(features) >= 2 * _SPLITS,
        f"fit_age: features must have at least {2 * _SPLITS} rows, got {len(features)}.",
    )
    search = GridSearchCV(Ridge(), {"alpha": _STRENGTHS}, cv=_SPLITS, scoring="r2")
    return _fitted(search, features, age, jobs).best_estimator_


def fit_site(features: Floats, site: Integers, jobs: int = 1) -> LogisticRegression:
    """Fit the challenge's head for the site.

    Args:
        features: ``(N, F)``; not standardised here.
        site: ``(N,)`` integers, at least two of them, one at least 5 times.
        jobs: fits at a time; -1 = one for each core.

    Returns:
        Logistic regression on all rows (saga, stopped after 150 passes whether or not it has
        converged), with the C of the best mean balanced accuracy over 5 stratified folds.

    Raises:
        InputError: see `site_balanced_accuracy`; or too few subjects.
    """
    _check("fit_site", "site", features, site)
    values, counts = np.unique(site, return_counts=True)
    require(
        len(values) >= 2 and int(counts.max()) >= _SPLITS,
        f"fit_site: site must hold at least 2 sites, one of them {_SPLITS} times, got "
        f"{len(values)} with at most {counts.max(initial=0)} subjects each. The challenge asks how "
        "well the site can be told: prepare subjects of a second site too.",
    )
    model = LogisticRegression(solver="saga", max_iter=_ITERATIONS, random_state=0)
    search = GridSearchCV(model, {"C": _STRENGTHS}, cv=_SPLITS, scoring="balanced_accuracy")
    return _fitted(search, features, site, jobs).best_estimator_


def fit_site_standardised(
    features: Floats, site: Integers, patient: NDArray[Any], jobs: int = 1
) -> GridSearchCV:
    """Fit a head for the site on standardised features, its C chosen on the subjects given.

    The challenge's head reads features as they are, 150 passes long: of a representation that
    merely shrank, and of one with many columns, it tells less of the site than there is.

    Args:
        features: ``(N, F)``.
        site: ``(N,)`` integers, at least two of them, one of 5 subjects or more.
        patient: ``(N,)``, whose rows stay together while C is chosen.
        jobs: fits at a time; -1 = one for each core.

    Returns:
        The search, fitted on all rows: ``predict(features)``, and ``best_score_``, the balanced
        accuracy of the chosen C (of 0.001 ... 10) over three folds.
    """
    _check("fit_site_standardised", "site", features, site)
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    folds = StratifiedGroupKFold(_INNER, shuffle=True, random_state=0)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model),
        {"logisticregression__C": _TUNED},
        cv=list(folds.split(features, site, patient)),
        scoring="balanced_accuracy",
    )
    return _fitted(search, features, site, jobs)


def age_mae(
    train_features: Floats, train_age: Floats, test_features: Floats, test_age: Floats
) -> float:
    """Return the mean absolute error, in years, of `fit_age` on the test rows.

    Args:
        train_features: ``(N, F)``.
        train_age: ``(N,)``, years.
        test_features: ``(M, F)``.
        test_age: ``(M,)``, years.
    """
    _check("age_mae", "test_age", test_features, test_age)
    predicted = fit_age(train_features, train_age).predict(test_features)
    return float(np.mean(np.abs(predicted - test_age)))


def site_balanced_accuracy(
    train_features: Floats, train_site: Integers, test_features: Floats, test_site: Integers
) -> float:
    """Return how well the site can be told from features: recall of `fit_site`, mean over sites.

    Args:
        train_features: ``(N, F)``.
        train_site: ``(N,)`` integers.
        test_features: ``(M, F)``.
        test_site: ``(M,)``; rows of sites that are not in `train_site` are left out, as in the
            challenge.

    Returns:
        Balanced accuracy in [0, 1] over the sites among the test rows; chance is 1 / sites.

    Raises:
        InputError: shapes that do not fit, values that are not finite, or no test row of a known
            site.
    """
    _check("site_balanced_accuracy", "test_site", test_features, test_site)
    known = np.isin(test_site, train_site)
    require(
        bool(known.any()),
        "site_balanced_accuracy: test_site must hold a site of train_site, got none. Give the "
        "internal test set; sites nobody trained on cannot be recognised.",
    )
    predicted = fit_site(train_features, train_site).predict(test_features[known])
    return balanced_accuracy(predicted, test_site[known])


def balanced_accuracy(predicted: Integers, target: Integers) -> float:
    """Return the mean over the classes in `target` ``(N,)`` of the share that was recognised."""
    right = predicted == target
    return float(np.mean([right[target == value].mean() for value in np.unique(target)]))


def age_floor(
    train_age: Floats, train_site: Integers, test_age: Floats, test_site: Integers
) -> float:
    """Return the site balanced accuracy that age alone allows: a floor for features that tell age.

    Sites differ in age, so features that hold age and nothing else still tell a little of the site.
    Age is given to the challenge's head as Gaussian bumps, 5 years wide and apart: a smooth curve,
    as age lies in a representation, of which a linear head sees more than of the number itself
    (on six OpenNeuro studies .51 against .40).

    Args:
        train_age: ``(N,)``, years.
        train_site: ``(N,)`` integers.
        test_age: ``(M,)``, years.
        test_site: ``(M,)``.
    """
    return site_balanced_accuracy(_bumps(train_age), train_site, _bumps(test_age), test_site)


def _bumps(age: Floats) -> NDArray[np.float64]:
    centres = np.arange(0, 100 + _YEARS, _YEARS)
    return np.exp(-((age[:, None] - centres) ** 2) / (2 * _YEARS**2))


def _fitted(
    search: GridSearchCV, features: Floats, target: NDArray[Any], jobs: int
) -> GridSearchCV:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 150 passes are the challenge's rule
        warnings.filterwarnings("ignore", "The least populated class in y")
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        with parallel_config("threading", n_jobs=jobs), threadpool_limits(1, "blas"):
            return search.fit(features, target)


def _check(name: str, target: str, features: Floats, values: NDArray[Any]) -> None:
    require(
        features.ndim == 2 and values.shape == (len(features),),
        f"{name}: {target} must have one value for each row of features (N, F), got shapes "
        f"{values.shape} and {features.shape}.",
    )
    require(
        bool(np.isfinite(features).all() and np.isfinite(values).all()),
        f"{name}: features and {target} must be finite. Leave out subjects without {target}.",
    )
