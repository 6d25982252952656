"""The one engine that runs every method, and what belongs to a training run.

- `ContrastiveTrainer`: a MONAI `Trainer` on Ignite; runs the phases a method yields.
- `PhaseOptimizers`: one optimiser per phase, with a learning rate each.
- `EpochSampler`: shuffles by (seed, epoch), the same global batches for any number of ranks.
- `LARS`: the optimiser of large batches, whose rate follows each weight's length.
- `ClippedAdamW`: AdamW with each gradient clipped by itself, no decay of biases and norms.
- `CosineSchedule`, `ExponentialSchedule`, `LinearSchedule`, `StepSchedule`: settings by the
  iteration, as MONAI handlers.
- `RunFolder`: everything a run leaves in its folder (record, snapshots, checkpoint for an exact
  resume, history, model) and the progress bar, as a MONAI handler.
- `Tracking`: losses, validation metrics and views in TensorBoard or MLflow, as a MONAI handler.
"""

from common.engines.clipped_adamw import ClippedAdamW
from common.engines.lars import LARS
from common.engines.optimizers import PhaseOptimizers
from common.engines.run_folder import RunFolder
from common.engines.sampler import EpochSampler
from common.engines.schedule import (
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    StepSchedule,
)
from common.engines.tracking import Tracking
from common.engines.trainer import ContrastiveTrainer

__all__ = [
    "LARS",
    "ClippedAdamW",
    "ContrastiveTrainer",
    "CosineSchedule",
    "EpochSampler",
    "ExponentialSchedule",
    "LinearSchedule",
    "PhaseOptimizers",
    "RunFolder",
    "StepSchedule",
    "Tracking",
]
