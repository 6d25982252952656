"""DeepCluster v2: every view is classified as the cluster that its image fell into an epoch ago.

A memory bank M_v keeps the last projection of each image of the training set, one for each view. At
the start of an epoch, for each of H heads::

    C_h, a_h = spherical k-means of M_(h mod 2)             `common.methods.spherical_k_means`

and one training step, with views x_1, x_2, encoder f and projector g (Caron et al., Unsupervised
learning of visual features by contrasting cluster assignments, NeurIPS 2020, section 4.1 and
appendix C)::

    z_v = g(f(x_v)) at unit length,  s_vh = z_v C_h^T
    f, g:  minimise  DeepClusterV2(s, a)                    `common.losses.DeepClusterV2`
    M_v[position of the image] <- z_v

The centroids C are not trained. In the first epoch the bank fills and nothing is learned; the
released code instead looks at all images once before it. Images that no batch held so far have no
cluster.

Differs from the released code: every rank holds the whole bank, 1 KiB for an image at 128 columns.

Paper: https://arxiv.org/abs/2006.09882
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.distributed import gather
from common.losses import DeepClusterV2 as ClusterLoss
from common.methods.method import Method, Phase
from common.methods.spherical_k_means import spherical_k_means
from common.networks import ImageClassifier, width_of

__all__ = ["DeepClusterV2"]

VIEWS = 2


class DeepClusterV2(Method):
    """Classify views as the clusters of their images; see the module.

    Bank, centroids and assignments are buffers: a resumed training goes on with them.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: g, ``h -> z``, with the attribute ``out_features``, such as `Projector`.
        policy: draws the parameters of each view, see `Method`.
        transform: ``(x, lam) -> x``.
        images: N, number of images of the training set.
        prototypes: K, clusters of each head; 3000 in the paper, fewer for a small set.
        heads: H, clusterings that are learned at once.
        temperature: divides the cosines in the loss.
        rounds: of k-means.
    """

    bank: Tensor
    known: Tensor
    centroids: Tensor
    assignment: Tensor
    clusterings: Tensor

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        *,
        images: int,
        prototypes: int = 3000,
        heads: int = 3,
        temperature: float = 0.1,
        rounds: int = 10,
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(
            min(prototypes, heads, rounds) >= 1,
            "DeepClusterV2: prototypes, heads and rounds must be at least 1, got "
            f"{(prototypes, heads, rounds)}.",
        )
        require(
            prototypes <= images,
            f"DeepClusterV2: prototypes must be at most the {images} images of the training set, "
            f"got {prototypes}.",
        )
        width = width_of("DeepClusterV2", projector)
        self.projector = projector
        self.loss = ClusterLoss(temperature)
        self.rounds = rounds
        self.register_buffer("bank", torch.zeros(VIEWS, images, width))
        self.register_buffer("known", torch.zeros(images, dtype=torch.bool))
        self.register_buffer("centroids", torch.zeros(heads, prototypes, width))
        self.register_buffer("assignment", torch.full((images, heads), -1))
        self.register_buffer("clusterings", torch.zeros((), dtype=torch.long))

    def begin_epoch(self) -> None:
        """Cluster the images seen so far, once for each head."""
        if not bool(self.known.any()):
            return
        heads, prototypes, _ = self.centroids.shape
        seen = int(self.known.sum())
        require(
            prototypes <= seen,
            f"DeepClusterV2: prototypes must be at most the {seen} images that an epoch's batches "
            f"hold, got {prototypes}.",
        )
        for head in range(heads):
            rows = self.bank[head % VIEWS][self.known]
            seed = int(self.clusterings) * heads + head
            found = spherical_k_means(rows, prototypes, rounds=self.rounds, seed=seed)
            self.centroids[head], self.assignment[self.known, head] = found
        self.clusterings += 1

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase.

        Args:
            batch: "image" ``(B, C, *spatial)`` in [0, 1], and "position" ``(B,)`` int64, the number
                of each image in the training set, from 0.
        """
        position = self._position(batch)
        views = [self.transformed(batch["image"]) for _ in range(VIEWS)]
        z = [self.projector(self.classifier.encode(view)) for view in views]
        with torch.autocast(z[0].device.type, enabled=False):
            wide = torch.promote_types(z[0].dtype, torch.float32)
            unit = nn.functional.normalize(torch.stack(z, dim=1).to(wide), dim=2)  # (B, V, D)
            scores = torch.einsum("bvd,hkd->bvhk", unit, self.centroids.to(wide))
            loss = self.loss(scores, self.assignment[position])
        if not bool(self.clusterings):  # nothing to learn yet
            loss = loss.detach()
        yield Phase("encoder", loss, {"cluster_cross_entropy": loss.detach()})
        everyones = gather(position)
        self.bank[:, everyones] = gather(unit.detach()).transpose(0, 1).to(self.bank)
        self.known[everyones] = True

    def _position(self, batch: Mapping[str, Any]) -> Tensor:
        require(
            "position" in batch,
            "DeepClusterV2: the batch must hold 'position', the number of each image in the "
            f"training set, got {', '.join(sorted(batch))}. Add it to the columns of StackDataset.",
        )
        position: Tensor = batch["position"]
        low, high = int(position.min()), int(position.max())
        require(
            low >= 0 and high < len(self.known),
            f"DeepClusterV2: position must be below images, {len(self.known)}, got {low} to {high}."
            " Set images to the number of the training set.",
        )
        return position
