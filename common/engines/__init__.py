"""The one engine that runs every method, and what belongs to a training run.

- `ContrastiveTrainer`: a MONAI `Trainer` on Ignite; runs the phases a method yields.
- `PhaseOptimizers`: one optimiser per phase, with a learning rate each.
- `EpochSampler`: shuffles by (seed, epoch), the same global batches for any number of ranks.
- `LARS`: the optimiser of large batches, whose rate follows each weight's length.
- `ClippedAdamW`: AdamW with each gradient clipped by itself, no decay of biases and norms.
- `CosineSchedule`, `ExponentialSchedule`, `LinearSchedule`, `StepSchedule`: settings by the
  iteration, as MONAI handlers.
- `Checkpoint`: exact resume at epoch boundaries, as a MONAI handler.
- `History`: epoch means of every loss term, as JSON, as a MONAI handler.
- `Progress`: the progress bar, as a MONAI handler.
"""

from common.engines.checkpoint import Checkpoint
from common.engines.clipped_adamw import ClippedAdamW
from common.engines.history import History
from common.engines.lars import LARS
from common.engines.optimizers import PhaseOptimizers
from common.engines.progress import Progress
from common.engines.sampler import EpochSampler
from common.engines.schedule import (
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    StepSchedule,
)
from common.engines.trainer import ContrastiveTrainer

__all__ = [
    "LARS",
    "Checkpoint",
    "ClippedAdamW",
    "ContrastiveTrainer",
    "CosineSchedule",
    "EpochSampler",
    "ExponentialSchedule",
    "History",
    "LinearSchedule",
    "PhaseOptimizers",
    "Progress",
    "StepSchedule",
]
