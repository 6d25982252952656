"""Contrastive losses ``(z, **targets) -> scalar``, ``z (B, V, D)``: V views of B subjects.

- `InfoNCE`: SimCLR's loss, for two or more views, with an optional margin;
- `DecoupledInfoNCE`: transformed against untransformed images, the positive kept out of the
  denominator (learned transforms, Eq. 2).

All normalise their rows (so unit vectors pass unchanged), average over anchors, work in float32
or wider whatever the input, gather the other ranks' rows with gradients (`common.distributed`
has the convention) and need memory linear in the batch (`common.losses.repulsion`). The attribute
``targets`` of a loss names the batch columns it reads besides z.
"""

from common.losses.decoupled_info_nce import DecoupledInfoNCE
from common.losses.info_nce import InfoNCE

__all__ = ["DecoupledInfoNCE", "InfoNCE"]
