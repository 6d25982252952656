"""What a batch of subjects needs besides its columns: standardised images, groups of ages."""

from typing import Any

import torch
from torch import Tensor

from common.checks import require

__all__ = ["SubjectBatch"]


class SubjectBatch:
    """A ``collate_fn`` for `StackDataset`, whose batches come whole.

    Args:
        standardize: bring each image to mean 0 and standard deviation 1 over all its values, as
            MONAI's ``NormalizeIntensityd`` does; a constant image becomes zeros.
        label: a column that is returned as "label" too, which MONAI's evaluators hand to a metric.
        age_group: years of a group: the column "age_group" is ``floor(age / age_group)``, -1
            where the age is not known. 0 puts everyone into group 0, whatever the age. A loss that
            reads a class (`FairKL`) can be given it in place of one.

    >>> batch = {"image": torch.tensor([[1.0, 3.0]]), "age": torch.tensor([47.0])}
    >>> out = SubjectBatch(standardize=True, age_group=10)(batch)
    >>> out["image"].tolist(), out["age_group"].tolist()
    ([[-1.0, 1.0]], [4])
    """

    def __init__(
        self, standardize: bool = False, label: str = "label", age_group: float = 0.0
    ) -> None:
        require(age_group >= 0, f"SubjectBatch: age_group must not be negative, got {age_group}.")
        self.standardize = standardize
        self.label = label
        self.age_group = age_group

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch with what was asked for."""
        result = dict(batch)
        if self.standardize:
            result["image"] = _standardized(batch["image"])
        if self.label in batch:
            result["label"] = batch[self.label]
        if "age" in batch:
            result["age_group"] = self._groups(batch["age"])
        return result

    def _groups(self, age: Tensor) -> Tensor:
        if self.age_group == 0:
            return torch.zeros(len(age), dtype=torch.int64)
        return (age / self.age_group).floor().nan_to_num(-1).long()


def _standardized(x: Tensor) -> Tensor:
    dims = tuple(range(1, x.dim()))
    std = x.std(dim=dims, correction=0, keepdim=True)
    return (x - x.mean(dim=dims, keepdim=True)) / std.where(std > 0, 1)
