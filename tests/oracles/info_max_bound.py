"""Minus the Jensen bound of CRL-TAC, one pair at a time."""

import torch
from torch import Tensor


def info_max_bound(z: Tensor, beta: float, weight: Tensor, exact: bool = False) -> Tensor:
    """Eq. 16 with weights on every expectation, a version itself left out of both sums.

    `exact` is Eq. 2: the mean of the exponentials before the logarithm, of the partners too.
    """
    images, versions = z.shape[:2]
    length = z.norm(dim=2, keepdim=True)
    h = z / length.where(length > 0, 1)  # a row of zeros has no direction
    everyone = [(k, j) for k in range(images) for j in range(versions)]
    bound = z.new_zeros(())
    for k, j in everyone:
        agreement, share = z.new_zeros(()), z.new_zeros(())
        for other in range(versions):
            if other != j:
                s = beta * (h[k, j] @ h[k, other])
                agreement = agreement + weight[k, other] * (torch.exp(s) if exact else s)
                share = share + weight[k, other]
        total, mass = z.new_zeros(()), z.new_zeros(())
        for i, other in everyone:
            if (i, other) != (k, j):
                total = total + weight[i, other] * torch.exp(beta * (h[k, j] @ h[i, other]))
                mass = mass + weight[i, other]
        agreement = torch.log(agreement / share) if exact else agreement / share
        bound = bound + weight[k, j] * (agreement - torch.log(total / mass))
    return -bound / images
