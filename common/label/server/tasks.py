"""What MONAI Label asks of an app: answers, training, scoring and strategies."""

import logging
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from common.checks import require
from common.label.answers import answer, score_names
from common.label.labels import target_of
from common.label.models import Model
from common.label.pool import Pool, embedded, read_pool
from common.label.server.studies import Studies
from common.label.strategies import STRATEGIES, Geometry, Round, propose
from common.label.training import last_result, offered, train

__all__ = ["BundleInfer", "BundleTrain", "Embeddings", "Propose"]

_LOG = logging.getLogger("common.label")

RANDOM = "The images come in random order until the model has read some of them."


def texts(value: Any, what: str) -> list[str]:
    """Return what a client sent, if it is a list of texts.

    Raises:
        InputError: it is not.
    """
    fits = isinstance(value, list) and all(isinstance(one, str) for one in value)
    require(fits, f"{what}: must be a list of texts, got {str(value)[:40]!r}.")
    return list(value)


class BundleInfer(InferTask):
    """What a bundle says of an image; see `common.label.answer`."""

    def __init__(self, model: Model) -> None:
        kind = InferType.OTHERS if model.regression else InferType.CLASSIFICATION
        metadata = model.metadata
        super().__init__(
            type=kind,
            labels={name: number for number, name in enumerate(model.choices)},
            dimension=model.dimension,
            description=str(metadata.get("description", model.name)),
            config={"embedding": False},
        )
        self.model = model

    def info(self) -> dict[str, Any]:
        """Return what clients are told of it, by the newest model."""
        self.labels = {name: number for number, name in enumerate(self.model.choices)}
        return {**super().info(), "says": self.model.kind, "model": self.model.key}

    def is_valid(self) -> bool:
        """Whether there is a model."""
        return self.model.available

    def get_path(self, validate: bool = True) -> str | None:
        """Return the file of the weights."""
        path = self.model.weights / "model.pt"
        return str(path) if path.is_file() or not validate else None

    def __call__(self, request: dict[str, Any]) -> tuple[None, dict[str, Any]]:
        """Answer."""
        begun = time.monotonic()
        wanted = bool(request.get("embedding", False))
        said = answer(self.model, Path(request["image"]), embedding=wanted)
        _LOG.info("%s: answered in %.2f s", self.model.name, time.monotonic() - begun)
        return None, said


class BundleTrain(TrainTask):
    """The bundle's own training and evaluation on the labels so far."""

    def __init__(self, model: Model) -> None:
        super().__init__(f"Trains {model.name} on the labels of the studies, and evaluates it")
        self.model = model

    def config(self) -> dict[str, Any]:
        """Return the dials, with the values that a training would have."""
        return {**offered(self.model), "overlays": []}

    def stats(self) -> dict[str, Any]:
        """Return what the last training came to."""
        return last_result(self.model)

    def __call__(self, request: dict[str, Any], datastore: Studies) -> dict[str, Any]:
        """Train."""
        asked = {key: value for key, value in request.items() if key != "model"}
        samples = datastore.samples(self.model.below)
        return train(self.model, samples, asked, say=lambda text: _LOG.info("%s", text))


class Embeddings(ScoringMethod):
    """Every image as each bundle's newest model sees it, kept for the strategies."""

    def __init__(self, models: dict[str, Model]) -> None:
        super().__init__("Embeddings of the images by each bundle's newest model")
        self.models = models

    def wanted(self, request: dict[str, Any]) -> list[str]:
        """Return the names of the bundles that are asked for: "model", one or a list, or all.

        Raises:
            InputError: there is none of a name.
        """
        asked = request.get("model") or list(self.models)
        names = texts([asked] if isinstance(asked, str) else asked, "model")
        for name in names:
            require(name in self.models, f"model: must be one of {', '.join(self.models)}.")
        return names

    def __call__(self, request: dict[str, Any], datastore: Studies) -> dict[str, Any]:
        """Embed what is not embedded yet; return how many images each bundle has."""
        counts = {}
        for name in self.wanted(request):
            model = self.models[name]
            if model.available:
                counts[name] = len(embedded(model, datastore.samples(model.below)).ids)
        return counts


class Propose(Strategy):
    """Which image to label next, by `common.label.propose`, with the reason."""

    def __init__(self, name: str, models: dict[str, Model]) -> None:
        super().__init__(str(STRATEGIES[name].__doc__).splitlines()[0])
        self.name, self.models = name, models
        self._geometry: dict[str, tuple[Any, Geometry]] = {}

    def __call__(self, request: dict[str, Any], datastore: Studies) -> dict[str, Any]:
        """Choose.

        Args:
            request: "model", the bundle (the first one unless given); "skip", images that are not
                to be proposed.
            datastore: of the images.

        Returns:
            "id", "why" and "model"; nothing when all are labelled.
        """
        name = str(request.get("model") or next(iter(self.models)))
        require(name in self.models, f"model: must be one of {', '.join(self.models)}.")
        model, skip = self.models[name], set(texts(request.get("skip") or [], "skip"))
        samples = datastore.samples(model.below)
        pool = read_pool(model).only([sample.id for sample in samples])
        if not pool.ids:
            return self._any(name, [s.id for s in samples if s.label is None and s.id not in skip])
        of = {sample.id: sample for sample in samples}
        targets = [target_of(of[i], model) for i in pool.ids]
        classes = [-1 if t is None or model.regression else int(t) for t in targets]
        chosen = propose(
            self.name,
            Round(
                self._geometry_of(model, pool),
                np.array(classes, int),
                None if model.no_labels else pool.scores,
                tuple(model.choices),
                np.array([i in skip for i in pool.ids]),
                np.array([of[i].label is not None for i in pool.ids]),
                score_names(model),
            ),
        )
        if chosen is None:
            return {}
        return {"id": pool.ids[chosen.row], "why": chosen.why, "model": name}

    def _geometry_of(self, model: Model, pool: Pool) -> Geometry:
        """The same as before as long as model and images are."""
        stamp = (model.key, pool.ids, pool.stamps)
        if model.name not in self._geometry or self._geometry[model.name][0] != stamp:
            self._geometry[model.name] = stamp, Geometry(pool.h)
        return self._geometry[model.name][1]

    def _any(self, name: str, ids: list[str]) -> dict[str, Any]:
        return {"id": random.choice(ids), "why": RANDOM, "model": name} if ids else {}
