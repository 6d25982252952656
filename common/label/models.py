"""A bundle as the server uses it: its newest model, what it says, what its labels are."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

from monai.bundle import ConfigParser

from common.checks import require, require_name
from common.deploy import Predictor, TrainedModel, load
from common.deploy.loading import folder_of
from common.deploy.released import own_or_released
from common.files import read_json, whole

__all__ = ["Model", "name_of"]

CURE = "Give the folder of the bundle, whole."
CURRENT = "current"
PLACES = ("bundle_root", "dataset_dir", "output_dir", "ckpt_dir", "run_dir")


def name_of(bundle: str | Path) -> str:
    """Return the name that a bundle, given by name or folder, has in its train.json."""
    return str(read_json(folder_of(bundle) / "configs" / "train.json", CURE)["bundle"])


class Model:
    """A bundle with the newest of its models; nothing is loaded before it is asked for.

    A training here leaves the bundle's own ``models`` as they are: `deploy` puts what it made into
    ``work``, and that is the newest.

    Args:
        bundle: name of a bundle of this collection, or the folder of one.
        work: folder of what is made for it.
        below: folder of the studies whose images are for it; "" for all.
        classes: names of the classes to label, by number; those of the model unless given.
        folders: whether each sub-folder of `below` holds the images of one patient.

    Attributes:
        name: of the bundle.
        lock: hold it while the network runs: explanations hook into it.
    """

    def __init__(
        self,
        bundle: str | Path,
        work: Path,
        below: str = "",
        classes: Sequence[str] = (),
        folders: bool = True,
    ) -> None:
        self.folder = folder_of(bundle)
        self.name = name_of(bundle)
        self.work, self.below, self.given = work / self.name, below, tuple(classes)
        self.folders = folders
        self.lock = RLock()
        self._loaded: tuple[Any, Predictor] | None = None

    @property
    def train_config(self) -> dict[str, Any]:
        """``train.json``."""
        return dict(ConfigParser.load_config_file(self.folder / "configs" / "train.json"))

    @property
    def metadata(self) -> dict[str, Any]:
        """``metadata.json``."""
        return read_json(self.folder / "configs" / "metadata.json", CURE)

    @property
    def weights(self) -> Path:
        """Folder of the newest model: one that was trained here, or else the bundle's.

        Raises:
            InputError: what was noted of the newest is no name of a folder beside it.
        """
        pointer = self.work / "models" / CURRENT
        if pointer.is_file():
            cure = f"{pointer}, which names the newest model (remove it, and train again),"
            named = pointer.read_bytes()[:400].decode(errors="replace").strip()
            return self.work / "models" / require_name(named, cure)
        return own_or_released(self.folder / "models" / "model.pt").parent

    @property
    def trained(self) -> TrainedModel:
        """What the newest model was trained as; its record is empty where there is none."""
        return TrainedModel(self.name, self.folder, self.weights / "model.pt")

    @property
    def available(self) -> bool:
        """Whether there is a model."""
        return (self.weights / "model.pt").is_file()

    @property
    def key(self) -> str:
        """Hash of the newest model's weights; "" where there is none."""
        return str(self.trained.record.get("weights", ""))

    @property
    def dimension(self) -> int:
        """Spatial axes of its images: 2 or 3."""
        return len(self.metadata["network_data_format"]["inputs"]["image"]["spatial_shape"])

    @property
    def regression(self) -> bool:
        """Whether it predicts numbers, such as ages; else classes."""
        return bool(self.metadata["network_data_format"]["outputs"]["pred"]["type"] == "regression")

    @property
    def no_labels(self) -> str:
        """Why it takes no labels here; "" where it does."""
        if "findings" not in self.train_config:
            return ""
        return (
            f"{self.name}: learns several findings of an image at once, and labels here are one "
            "class an image. Train it with python -m data_prep folders --findings."
        )

    @property
    def kind(self) -> str:
        """What it says of an image: "classification", "values" or "embedding" (head not fitted)."""
        if not self.trained.head_fitted:
            return "embedding"
        return "values" if self.regression else "classification"

    @property
    def learnt(self) -> list[str]:
        """Names of what the newest model was trained to say; else those in the metadata."""
        names = self.metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()
        return [str(name) for name in self.trained.record.get("classes") or names]

    @property
    def choices(self) -> list[str]:
        """Classes that an image can be labelled as, by number; of a regression its values."""
        known = list(self.given) or self.learnt
        return known if self.regression or len(known) > 1 else [f"no {known[0]}", known[0]]

    def predictor(self) -> Predictor:
        """Return the newest model, loaded; again when another was deployed meanwhile.

        Raises:
            InputError: there is none, or a damaged one.
        """
        require(
            self.available,
            f"{self.name}: must have a model to predict with, got none. Train it, or copy model.pt "
            "and model.json into its models folder.",
        )
        with self.lock:
            path = self.weights / "model.pt"
            facts = path.stat()
            stamp = (path, facts.st_mtime_ns, facts.st_size)
            if self._loaded is None or self._loaded[0] != stamp:
                predictor = load(self.folder, self.weights)
                predictor.num_workers = 0
                self._loaded = stamp, predictor
            return self._loaded[1]

    def dials(self) -> dict[str, Any]:
        """What a training can be told, with the newest model's values, or else the bundle's.

        Places and devices are not among them.
        """
        return self._limited(self.train_config, self.trained.record)

    def evaluation_dials(self) -> dict[str, Any]:
        """The same of its evaluation."""
        overlay = ConfigParser.load_config_file(self.folder / "configs" / "evaluate.json")
        return self._limited(overlay, {})

    def _limited(self, config: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        limits = config.get("limits", config.get("+limits", {}))
        kept = {**record.get("config", {}), **record.get("dials", {})}
        names = [name for name in limits if name not in (*PLACES, "device", "resume")]
        return {name: kept.get(name, config.get(name)) for name in names}

    def built_otherwise(self) -> dict[str, Any]:
        """What the newest model has other than train.json and is no dial, such as its encoder."""
        record, limits = self.trained.record, self.train_config.get("limits", {})
        changed = [name for name in record.get("changed", ()) if name not in limits]
        own = self.train_config
        return {name: record["config"][name] for name in changed if name in own}

    def deploy(self, made: Path) -> None:
        """Make the model of a folder the newest.

        Args:
            made: folder with ``model.pt`` and ``model.json``; it is moved.
        """
        record = read_json(made / "model.json", "Train again.")
        target = self.work / "models" / str(record["weights"])
        with self.lock:
            if target.is_dir():
                shutil.rmtree(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(str(made), target)
            with whole(target.parent / CURRENT) as partial:
                partial.write_text(target.name, encoding="utf-8")

    def class_named(self, label: Any) -> str:
        """Return the name of the class that a label names, or tells the number of; "" of none."""
        names = self.choices
        if isinstance(label, bool) or not isinstance(label, str | int):
            return ""
        if str(label) in names:
            return str(label)
        return names[label] if isinstance(label, int) and 0 <= label < len(names) else ""

    def number(self, label: Any) -> int:
        """Return the number of a class that a label names.

        Raises:
            InputError: it names none.
        """
        names = self.choices
        named = self.class_named(label)
        require(
            bool(named),
            f"label: must be {', '.join(names)}, for {self.name}, got {str(label)[:80]!r}.",
        )
        return names.index(named)
