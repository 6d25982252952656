"""Brain-age features for the OpenBHB challenge; this file and weights.pth stand alone.

The challenge hands over subjects as rows of 3,659,572 values and fits its own heads on the features
returned here. weights.pth is a TorchScript archive of the whole network, masks and normalisation
included, with the columns it reads in "block.json": only torch, numpy and scikit-learn are needed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline, make_pipeline

ROW = 3_659_572
BATCH = 8


class Embedder(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Rows of subjects in, features out; nothing is fitted.

    Attributes:
        indices: the subjects to embed, set by the challenge; None for all.
    """

    indices: Sequence[int] | None = None

    def fit(self, X: Any = None, y: Any = None) -> "Embedder":
        """Load the network."""
        extra = {"block.json": ""}
        weights = Path(__file__).resolve().parent / "weights.pth"
        self.network_ = torch.jit.load(  # type: ignore[no-untyped-call]  # torch.jit has no types
            str(weights), map_location="cpu", _extra_files=extra
        ).eval()
        block = json.loads(extra["block.json"])
        self.columns_ = slice(block["start"], block["stop"])
        return self

    @torch.no_grad()
    def predict(self, X: Any) -> Any:
        """Return the features ``(n, F)`` float32 of the rows `indices` of X ``(N, 3659572)``."""
        if X.shape[1] != ROW:
            raise ValueError(f"estimator: X must have {ROW} columns, got {X.shape[1]}.")
        rows = np.arange(len(X)) if self.indices is None else np.asarray(self.indices)
        features = []
        for start in range(0, len(rows), BATCH):
            values = np.stack([X[row, self.columns_] for row in rows[start : start + BATCH]])
            features.append(self.network_(torch.from_numpy(values.astype(np.float32))))
        return torch.cat(features).numpy()

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")


def get_estimator() -> Pipeline:
    """Return what the challenge asks for."""
    return make_pipeline(Embedder())
