"""Fig. 2 of Cheng et al. (2025): views of images as the encoder sees them, as counts and places."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from common.checks import require
from common.evaluation.run_evaluation import Batches
from common.metrics.augmentation_groups import augmentation_groups, group_map
from common.networks import ImageClassifier

__all__ = ["GroupFigure"]

BINS = 50


class GroupFigure:
    """Draws views of some images and measures how they lie together.

    Args:
        views: ``x (B, C, H, W) -> [view, ...]``, `common.methods.ViewGroup`; its first view is
            drawn again and again. Those of the run's own training, as in the paper, or the same
            for all runs: weaker views lie closer together in any representation.
        features: the last so many columns of the representation are read; with several class
            tokens, F for the last one alone.
        images: number of images, the first; at least 2.
        repeats: views of each, at least 2.
        seed: of the views and of the map.
    """

    def __init__(
        self,
        views: nn.Module,
        features: int,
        images: int = 60,
        repeats: int = 10,
        seed: int = 0,
    ) -> None:
        require(
            min(images, repeats) >= 2,
            f"GroupFigure: images and repeats must be at least 2, got {images} and {repeats}.",
        )
        self.views = views
        self.features = features
        self.images = images
        self.repeats = repeats
        self.seed = seed

    def __call__(
        self, classifier: ImageClassifier, batches: Batches, device: str | torch.device
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Measure.

        Returns:
            Counts of the distances of positive and negative pairs over common ``edges``, their
            means, the silhouette; and the arrays "place" ``(N, V, 2)``, "positive" and "negative".
        """
        with torch.random.fork_rng(_devices(device)):
            torch.manual_seed(self.seed)
            h = self._represented(classifier, batches, device)
        groups = augmentation_groups(h)
        edges = np.linspace(0, max(groups.positive.max(), groups.negative.max(), 1e-12), BINS + 1)
        pairs = {"positive": groups.positive, "negative": groups.negative}
        figures = {
            "images": len(h),
            "views": h.shape[1],
            "silhouette": groups.silhouette,
            "edges": edges.tolist(),
            **{
                name: {
                    "mean": float(distance.mean()),
                    "counts": np.histogram(distance, edges)[0].tolist(),
                }
                for name, distance in pairs.items()
            },
        }
        arrays = {name: distance.astype(np.float32) for name, distance in pairs.items()}
        return figures, {"place": group_map(h, seed=self.seed).astype(np.float32), **arrays}

    @torch.no_grad()
    def _represented(
        self, classifier: ImageClassifier, batches: Batches, device: str | torch.device
    ) -> NDArray[np.float32]:
        """Representations ``(N, V, features)`` of the views."""
        classifier.eval()
        parts: list[NDArray[np.float32]] = []
        left = self.images
        for batch in batches:
            x = batch["image"][:left].to(device)
            features = [
                classifier.encode(self.views(x)[0])[:, -self.features :]
                for _ in range(self.repeats)
            ]
            parts.append(torch.stack(features, dim=1).float().cpu().numpy())
            left -= len(x)
            if left <= 0:
                break
        return np.concatenate(parts)


def _devices(device: str | torch.device) -> list[torch.device]:
    """The GPU whose random state is put back, where there is one."""
    used = torch.device(device)
    return [used] if used.type == "cuda" else []
