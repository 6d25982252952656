"""Two descriptions of small images that need no label: a VAE's latent mean, and whitened patches.

Both are fitted on the training rows and describe every row. Patches: each image is covered by
6 x 6 patches, normalised in contrast and whitened, and compared with a random dictionary of such
patches; what exceeds a threshold, of either sign, is averaged over the four quadrants (Coates and
Ng, The importance of encoding versus training with sparse coding and vector quantization, ICML
2011: random patches, soft threshold), then reduced to principal components.
"""

import numpy as np
import torch
from monai.networks.nets import VarAutoEncoder
from sklearn.decomposition import PCA
from torch import Tensor, nn

Array = np.ndarray
SIDE_OF_PATCH = 6


def vae_latents(x: Tensor, train: Array, seed: int, epochs: int, latent: int = 32) -> Array:
    """Mean of the latent Gaussian ``(N, latent)``; reconstruction by squared error, beta 1.

    Args:
        x: ``(N, 3, side, side)`` uint8.
        train: rows to fit on.
        seed: of weights and batches.
        epochs: over the training rows, in batches of 128.
        latent: width.
    """
    torch.manual_seed(seed)
    network = VarAutoEncoder(2, x.shape[1:], 3, latent, (16, 32, 64), (2, 2, 2), norm="BATCH")
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(epochs):
        for chosen in torch.from_numpy(train)[torch.randperm(len(train))].split(128):
            image = x[chosen].float() / 255
            again, mean, log_variance, _ = network(image)
            # Gaussian pixels of variance 0.02
            error = (again - image).square().flatten(1).sum(dim=1) / (2 * 0.02)
            spread = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
            optimizer.zero_grad()
            (error + spread).mean().backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        parts = [network.encode_forward(part.float() / 255)[0] for part in x.split(256)]
    return torch.cat(parts).numpy()


class Patches(nn.Module):
    """Responses of whitened patches to a dictionary of them, averaged over quadrants."""

    def __init__(self, x: Tensor, atoms: int, stride: int, generator: torch.Generator) -> None:
        super().__init__()
        self.stride = stride
        rows = self._normalised(x)
        rows = rows.flatten(0, 1)
        rows = rows[torch.randperm(len(rows), generator=generator)[:50_000]]
        self.mean = rows.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov((rows - self.mean).T))
        self.whitening = (vectors * (values.clamp(min=0) + 0.1).rsqrt()) @ vectors.T
        dictionary = (rows[:atoms] - self.mean) @ self.whitening
        self.dictionary = nn.functional.normalize(dictionary, dim=1)

    def _normalised(self, x: Tensor) -> Tensor:
        """Patches ``(N, places, values)`` of mean 0 and deviation about 1."""
        rows = nn.functional.unfold(x.float(), SIDE_OF_PATCH, stride=self.stride).transpose(1, 2)
        rows = rows - rows.mean(dim=2, keepdim=True)
        return rows / (rows.var(dim=2, keepdim=True) + 10).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 8 atoms)`` for ``x (N, 3, side, side)`` uint8."""
        s = (self._normalised(x) - self.mean) @ (self.whitening @ self.dictionary.T)
        places = round(s.shape[1] ** 0.5)
        s = torch.cat([(s - 0.5).relu(), (-s - 0.5).relu()], dim=2)
        s = s.transpose(1, 2).unflatten(2, (places, places))
        return nn.functional.adaptive_avg_pool2d(s, 2).flatten(1)


def patch_features(
    x: Tensor, train: Array, seed: int, atoms: int = 200, components: int = 64
) -> Array:
    """Principal components ``(N, components)`` of the responses, standardised before."""
    generator = torch.Generator().manual_seed(seed)
    some = torch.from_numpy(train)[torch.randperm(len(train), generator=generator)[:1000]]
    patches = Patches(x[some], atoms, max(x.shape[2] // 24, 1), generator)
    with torch.no_grad():
        h = torch.cat([patches(part) for part in x.split(64)]).numpy()
    h = (h - h[train].mean(axis=0)) / (h[train].std(axis=0) + 1e-6)
    count = min(components, len(train))
    pca = PCA(count, random_state=seed, svd_solver="randomized").fit(h[train])
    return pca.transform(h)


def pixels(x: Tensor, train: Array, components: int = 100) -> Array:
    """Principal components of the pixels."""
    flat = (x.flatten(1).float() / 255).numpy()
    count = min(components, len(train))
    return PCA(count, random_state=0, svd_solver="randomized").fit(flat[train]).transform(flat)


def median_distance(prior: Array, draws: int = 2000) -> float:
    """Median Euclidean distance of two rows, from random pairs."""
    generator = np.random.default_rng(0)
    one, other = (generator.integers(len(prior), size=draws) for _ in range(2))
    apart = one != other
    return float(np.median(np.linalg.norm(prior[one[apart]] - prior[other[apart]], axis=1)))
