"""DINO: the student's softmax of every view against the teacher's of every other global view.

With the student's logits s_v of V views, the teacher's t_u of the first G of them (the global
views), temperatures T_s and T_t and a centre c::

    q_u = softmax((t_u - c) / T_t)                                      no gradient
    l = - 1 / (G (V - 1)) sum_u sum_{v != u} q_u . log softmax(s_v / T_s)
    c <- m c + (1 - m) mean of t over views, subjects and ranks         after the loss

averaged over the subjects (Caron et al., Emerging properties in self-supervised vision
transformers, ICCV 2021, Eq. 1 to 4 and Algorithm 1; facebookresearch/dino, ``DINOLoss``).

Differs from the released code: the sums over u are taken before the product with the log softmax,
so that no array of the size of the logits is made for each pair of views.

Paper: https://arxiv.org/abs/2104.14294
"""

import torch
from torch import Tensor, nn

from common.checks import require
from common.distributed import gather

__all__ = ["DINO", "dino"]


def dino(
    z: Tensor, teacher: Tensor, center: Tensor, *, temperature: float, teacher_temperature: float
) -> Tensor:
    """Compute DINO's cross entropy.

    Args:
        z: (B, V, K), the student's logits, global views first; V >= 2, any floating type.
        teacher: (B, G, K), the teacher's logits of the first G views, 1 <= G <= V; receives no
            gradient.
        center: (K,) or (1, K), subtracted from the teacher's logits.
        temperature: T_s, positive.
        teacher_temperature: T_t, positive.

    Returns:
        Scalar, mean over this rank's subjects and the G (V - 1) pairs, float32 or wider.

    >>> z = torch.zeros(1, 2, 4)
    >>> round(float(dino(z, z, z[0, 0], temperature=0.1, teacher_temperature=0.04)), 4)  # log 4
    1.3863
    """
    _check(z, teacher, center)
    large, views = teacher.shape[1], z.shape[1]
    wide = torch.promote_types(z.dtype, torch.float32)
    with torch.autocast(z.device.type, enabled=False):
        # views first, as the networks give them
        centred = teacher.detach().transpose(0, 1).to(wide) - center.detach().to(wide)
        q = centred.div_(teacher_temperature).softmax(dim=2)
        every = q.sum(dim=0, keepdim=True)
        logarithm = (z.transpose(0, 1).to(wide) / temperature).log_softmax(dim=2)
        # a global view is compared with the other G - 1 teachers, a local one with all G
        total = torch.linalg.vecdot(every - q, logarithm[:large]).sum()
        if views > large:
            total = total + torch.linalg.vecdot(every, logarithm[large:]).sum()
        loss: Tensor = -total / (len(z) * large * (views - 1))
        return loss


class DINO(nn.Module):
    """The loss of DINO, which keeps the teacher's centre; see the module.

    The forward pass reads the centre and leaves it as it is; `update_center` moves it. The centre
    is part of the state, so a resumed training goes on with it.

    Args:
        out_features: K, number of prototypes.
        temperature: T_s, of the student.
        teacher_temperature: T_t, below T_s, which sharpens; an attribute of the same name that
            `common.engines.LinearSchedule` may warm up.
        center_momentum: m, in [0, 1].
    """

    targets: tuple[str, ...] = ()
    center: Tensor

    def __init__(
        self,
        out_features: int = 65536,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        center_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        require(out_features >= 1, f"DINO: out_features must be at least 1, got {out_features}.")
        require(
            min(temperature, teacher_temperature) > 0,
            "DINO: temperature and teacher_temperature must be positive, got "
            f"{temperature} and {teacher_temperature}.",
        )
        require(
            0 <= center_momentum <= 1,
            f"DINO: center_momentum must be between 0 and 1, got {center_momentum}.",
        )
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self.center_momentum = center_momentum
        self.register_buffer("center", torch.zeros(1, out_features))

    def extra_repr(self) -> str:
        """Show the settings."""
        return (
            f"out_features={self.center.shape[1]}, temperature={self.temperature}, "
            f"teacher_temperature={self.teacher_temperature}, "
            f"center_momentum={self.center_momentum}"
        )

    def forward(self, z: Tensor, teacher: Tensor) -> Tensor:
        """Compute the loss of logits (B, V, K) and the teacher's (B, G, K)."""
        return dino(
            z,
            teacher,
            self.center,
            temperature=self.temperature,
            teacher_temperature=self.teacher_temperature,
        )

    @torch.no_grad()
    def update_center(self, teacher: Tensor) -> None:
        """Move the centre towards the mean of the logits (B, G, K) of all ranks.

        Every rank must hold as many subjects.
        """
        mean = teacher.detach().to(self.center).mean(dim=(0, 1)).unsqueeze(0)
        self.center.lerp_(gather(mean).mean(dim=0, keepdim=True), 1 - self.center_momentum)


def _check(z: Tensor, teacher: Tensor, center: Tensor) -> None:
    require(
        z.dim() == 3 and z.shape[1] >= 2 and min(z.shape) >= 1 and z.is_floating_point(),
        f"DINO: z must be floating (B, V >= 2, K), got {z.dtype} {tuple(z.shape)}.",
    )
    require(
        teacher.dim() == 3
        and teacher.is_floating_point()
        and teacher.shape[::2] == z.shape[::2]
        and 1 <= teacher.shape[1] <= z.shape[1],
        f"DINO: teacher must be floating ({z.shape[0]}, 1 to {z.shape[1]}, {z.shape[2]}), got "
        f"{teacher.dtype} {tuple(teacher.shape)}.",
    )
    require(
        center.numel() == z.shape[2],
        f"DINO: z must have the {center.numel()} logits of the centre, got {z.shape[2]}. Set "
        "out_features of the loss to that of the head.",
    )
