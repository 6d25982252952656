"""What the transformations of a training do to the images, a trained network M included.

The audit of `common.audit` after a training: its views are those of the run, its encoder is the
trained one. It is written into a folder of its own, since it judges the transformations, not the
encoder; the run's evaluation stays. Nothing is deployed.
"""

from pathlib import Path
from typing import Any, Unpack

from torch import Tensor
from torch.nn.functional import interpolate

from common.audit import Encoder, audit, read_images, read_transforms
from common.checks import require
from common.evaluation.run_evaluation import Evaluated, RunArguments, RunEvaluation
from common.report.audit.archive import ARCHIVE, as_arrays
from common.report.kinds.audit import KIND
from common.report.words import plural

__all__ = ["AuditEvaluation"]

_METHOD = "bootstrap of the patients"


class AuditEvaluation(RunEvaluation):
    """The audit of a run, see the module's docstring.

    Args:
        dataset_dir: the prepared folder, with a label; its training part is looked at.
        audit_dir: where a folder of the run's name is written to.
        keep: share of the label's information, and of lesions, that a proposal must keep.
        max_images: that are looked at; whole patients are drawn.
        run: see `common.evaluation.run_evaluation.RunArguments`.
    """

    kind = KIND

    def __init__(
        self,
        dataset_dir: str | Path,
        audit_dir: str | Path,
        keep: float = 0.9,
        max_images: int = 2000,
        **run: Unpack[RunArguments],
    ) -> None:
        super().__init__(**run)
        self.dataset_dir = dataset_dir
        self.keep = keep
        self.max_images = max_images
        self.output = Path(audit_dir) / self.run_dir.resolve().name

    def evaluate(self) -> Evaluated:
        """Audit the last snapshot."""
        epoch, path = self.snapshots()[-1]
        self.load(path)
        size = self.settings.get("image_size")
        images = read_images(
            self.dataset_dir,
            size=size if isinstance(size, int) else None,
            max_images=self.max_images,
        )
        encoder = Encoder(f"trained for {plural(epoch, 'epoch')}", self._represent)
        found = audit(images, [read_transforms(self.run_dir)], encoder=encoder, keep=self.keep)
        (one,) = found.sets
        require(
            one.label is not None,
            f"{self.dataset_dir}: must have a label for an audit after a training, got none. Use "
            "python -m common audit, which needs none.",
        )
        assert one.label is not None
        told = one.label.transformed
        figures: dict[str, Any] = {
            "counts": {"images": found.images.used, "patients": found.images.patients},
            "audit": found.to_json(),
            "told": told.value,
            "interval": {
                "level": found.measurement.level,
                "method": _METHOD,
                "told": [told.low, told.high],
            },
            "epochs": [{"epoch": epoch, "told": told.value}],
        }
        arrays = {} if found.pictures is None else {ARCHIVE: as_arrays(found.pictures)}
        self.output.mkdir(parents=True, exist_ok=True)
        return Evaluated(figures, arrays, f"label told from views {told.value:.4f}")

    def _represent(self, x: Tensor) -> Tensor:
        size = self.settings.get("image_size")
        if isinstance(size, int) and x.dim() == 4 and x.shape[2:] != (size, size):
            x = interpolate(x, [size, size], mode="bilinear", antialias=True)
        h: Tensor = self.classifier.encode(x.to(self.device))
        return h.float().cpu()

    def _deploy(self, evaluated: Evaluated) -> None:
        """Deploy nothing: an audit judges the views."""
