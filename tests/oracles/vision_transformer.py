"""A vision transformer token by token and head by head, from a state dict, in float64."""

import math

import torch
from torch import Tensor

State = dict[str, Tensor]


def linear(x: Tensor, w: State, name: str) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def normalised(x: Tensor, w: State, name: str) -> Tensor:
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return (x - mean) / (variance + 1e-6).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def keys_cubic(distance: float) -> float:
    """Cubic convolution (Keys 1981) with a = -0.75."""
    a, d = -0.75, abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def axis_weights(count: int, side: int) -> Tensor:
    """How much each of `side` learned positions counts at each of `count` positions."""
    scale = (count + 0.1) / side
    weights = torch.zeros(count, side, dtype=torch.double)
    for i in range(count):
        source = (i + 0.5) / scale - 0.5
        for j in range(math.floor(source) - 1, math.floor(source) + 3):
            weights[i, min(max(j, 0), side - 1)] += keys_cubic(source - j)
    return weights


def positions(w: State, rows: int, columns: int) -> Tensor:
    """The position embeddings of the class token and the patches, row by row."""
    learned = w["pos_embed"][0]
    side = math.isqrt(len(learned) - 1)
    if (rows, columns) == (side, side):
        return learned
    grid = learned[1:].reshape(side, side, -1)
    grid = torch.einsum(
        "ri,cj,ijf->rcf", axis_weights(rows, side), axis_weights(columns, side), grid
    )
    return torch.cat([learned[:1], grid.reshape(rows * columns, -1)])


def attention(x: Tensor, w: State, name: str, heads: int) -> tuple[Tensor, Tensor]:
    """The mixed tokens ``(T, F)`` and the weights ``(heads, T, T)`` of one image."""
    q, k, v = linear(x, w, f"{name}.qkv").chunk(3, dim=1)
    width = x.shape[1] // heads
    mixed, used = [], []
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        weights = (q[:, own] @ k[:, own].T / math.sqrt(width)).softmax(dim=1)
        mixed.append(weights @ v[:, own])
        used.append(weights)
    return linear(torch.cat(mixed, dim=1), w, f"{name}.proj"), torch.stack(used)


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def blocks(image: Tensor, w: State, heads: int, patch: int) -> tuple[list[Tensor], list[Tensor]]:
    """Tokens ``(T, F)`` after each block, and its attention, of one image ``(C, H, W)``."""
    rows, columns = image.shape[1] // patch, image.shape[2] // patch
    kernel, bias = w["patch_embed.proj.weight"], w["patch_embed.proj.bias"]
    tokens = [w["cls_token"][0, 0]]
    for r in range(rows):
        for c in range(columns):
            piece = image[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch]
            tokens.append((kernel * piece).sum(dim=(1, 2, 3)) + bias)
    x = torch.stack(tokens) + positions(w, rows, columns)
    after, weights, index = [], [], 0
    while f"blocks.{index}.norm1.weight" in w:
        name = f"blocks.{index}"
        mixed, used = attention(normalised(x, w, f"{name}.norm1"), w, f"{name}.attn", heads)
        x = x + mixed
        hidden = gelu(linear(normalised(x, w, f"{name}.norm2"), w, f"{name}.mlp.fc1"))
        x = x + linear(hidden, w, f"{name}.mlp.fc2")
        after.append(x)
        weights.append(used)
        index += 1
    return after, weights
