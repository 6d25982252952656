"""Whitening, from the formulas, in float64 with NumPy alone."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


def covariance(rows: Rows, epsilon: float) -> Rows:
    centred = rows - rows.mean(axis=0)
    return centred.T @ centred / len(rows) + epsilon * np.eye(rows.shape[1])


def zca(rows: Rows, epsilon: float) -> Rows:
    """Centred rows times S^(-1/2), by the eigenvectors of S."""
    values, vectors = np.linalg.eigh(covariance(rows, epsilon))
    return (rows - rows.mean(axis=0)) @ vectors @ np.diag(values**-0.5) @ vectors.T


def iterated(rows: Rows, epsilon: float, rounds: int) -> Rows:
    """Huang et al. 2019, Algorithm 1, step by step."""
    spread = covariance(rows, epsilon)
    trace = float(np.trace(spread))
    p = np.eye(len(spread))
    for _ in range(rounds):
        p = (3 * p - np.linalg.matrix_power(p, 3) @ (spread / trace)) / 2
    return (rows - rows.mean(axis=0)) @ (p / trace**0.5)


def spherical_k_means(rows: Rows, centroids: Rows, rounds: int) -> tuple[Rows, NDArray[np.int64]]:
    """Assign by the largest cosine, then take the direction of each cluster's sum; in turn."""
    centroids = centroids.copy()
    for turn in range(rounds + 1):
        nearest = np.array(
            [max(range(len(centroids)), key=lambda k: r @ centroids[k]) for r in rows]
        )
        if turn < rounds:
            for k in range(len(centroids)):
                total = sum((r for r, n in zip(rows, nearest) if n == k), np.zeros(rows.shape[1]))
                if (nearest == k).any():
                    centroids[k] = total / np.linalg.norm(total)
    return centroids, nearest
