"""The app as MONAI Label loads it."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from monailabel.interfaces.app import MONAILabelApp

from common.checks import InputError, require
from common.label.labels import label_for
from common.label.models import Model, name_of
from common.label.server.settings import quieten, require_folder
from common.label.server.studies import Studies
from common.label.server.tasks import BundleInfer, BundleTrain, Embeddings, Propose
from common.label.strategies import STRATEGIES

__all__ = ["LabelApp"]

Tasks = dict[str, Any]


class LabelApp(MONAILabelApp):
    """Bundles over a folder of images.

    Args:
        app_dir: the folder of this file.
        studies: the folder of the images.
        conf: "bundles", "classes" and "folders" (JSON) and "work", as `Options` has them.

    Attributes:
        models: by the bundle's name.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        quieten()
        require_folder(studies)
        bundles: dict[str, str] = json.loads(conf["bundles"])
        classes: dict[str, list[str]] = json.loads(conf.get("classes", "{}"))
        folders = bool(json.loads(conf.get("folders", "true")))
        made = [
            Model(bundle, Path(conf["work"]), below, classes.get(name_of(bundle), ()), folders)
            for bundle, below in bundles.items()
        ]
        self.models = {model.name: model for model in made}
        super().__init__(
            app_dir,
            studies,
            conf,
            name="Contrastive bundles",
            description="Scores, proposals and training for labels of whole images",
            version="1.0",
        )

    def init_datastore(self) -> Studies:
        """Return the folder of the images."""
        return Studies(Path(self.studies))

    def served(self, image: str) -> list[Model]:
        """Return the bundles that an image, by its name, is for."""
        place = PurePosixPath(image)
        return [m for m in self.models.values() if not m.below or place.is_relative_to(m.below)]

    def save(self, image: str, content: Any) -> None:
        """Save the label of an image.

        Raises:
            InputError: no such image, no label, or one that no bundle of the image learns.
        """
        self.datastore().sample(image)
        self.datastore().label(image, label_for(content, self.served(image)))

    def init_infers(self) -> Tasks:
        """Return an answer for each bundle."""
        return {name: BundleInfer(model) for name, model in self.models.items()}

    def init_trainers(self) -> Tasks:
        """Return a training for each bundle."""
        return {name: BundleTrain(model) for name, model in self.models.items()}

    def init_scoring_methods(self) -> Tasks:
        """Return the embeddings."""
        return {"embeddings": Embeddings(self.models)}

    def init_strategies(self) -> Tasks:
        """Return the strategies; the first is the one `/review` asks."""
        return {name: Propose(name, self.models) for name in STRATEGIES}

    def on_init_complete(self) -> None:
        """Begin to embed the images, in a process of its own."""
        self.async_scoring("embeddings")

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train, and embed the images with the new model.

        Raises:
            InputError: what ended the training; in a process of its own, whose output clients are
                shown, its line is the last. Of another error the line has the kind: its text may
                name a file.
        """
        try:
            made: dict[str, Any] = super().train(request)
            self.scoring({"method": "embeddings", "model": request["model"]})
            return made
        except Exception as error:
            if self._server_mode:
                raise
            told = str(error) if isinstance(error, InputError) else type(error).__name__
            raise SystemExit(f"The training ended early: {told}") from None

    def scored(self, request: dict[str, Any]) -> list[str]:
        """Return the names of the bundles whose images are to be embedded; see `Embeddings`."""
        embeddings: Embeddings = self._scoring_methods["embeddings"]
        return embeddings.wanted(request)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the next image and why; unlike MONAI Label's, without scoring all again."""
        name = str(request.get("strategy") or next(iter(STRATEGIES)))
        require(name in self._strategies, f"strategy: must be one of {', '.join(STRATEGIES)}.")
        chosen: dict[str, Any] = self._strategies[name](request, self.datastore())
        if chosen:
            chosen["path"] = self.datastore().get_image_uri(chosen["id"])
        return chosen
