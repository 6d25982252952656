"""Cuts of a volume go through the lesion, wherever a view moved it."""

import numpy as np
import torch

from common.audit.images import from_arrays
from common.audit.pictures import take_pictures
from common.audit.sets import as_set
from common.policies import EachWithProbability
from common.transforms import Composition


def volumes() -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.zeros(4, 1, 16, 16, 16)
    mask[:, :, 1:4, 10:13, 2:5] = 1
    return 0.3 + 0.5 * mask, mask


def test_the_cuts_of_a_mirrored_volume_follow_its_lesion() -> None:
    x, mask = volumes()
    transform = Composition(["mirror"], 3, {"mirror": {"axes": [0, 1, 2]}})
    given = as_set((EachWithProbability(1.0, transform.sizes), transform), "mirror")
    found = take_pictures(from_arrays(x, None, mask), [given], [[]], 0)
    assert found.masks is not None
    assert found.sets[0].masks is not None
    assert found.masks.sum(axis=(2, 3)).tolist() == [[9, 9, 9]] * 4
    assert np.unique(found.sets[0].masks.sum(axis=(3, 4))).tolist() == [9]
    assert (found.sets[0].views[..., 0][found.sets[0].masks] == 204).all()
