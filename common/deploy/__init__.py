"""The trained network as others use it.

- `save_model`, `load_weights`, `read_weights`: ``model.pt`` and ``model.json`` beside it, strictly;
- `digest`: whether a head is still as it was before a training;
- `LoadModel`: the handler that loads them before the first image.
"""

from common.deploy.model_file import LoadModel, digest, load_weights, read_weights, save_model

__all__ = ["LoadModel", "digest", "load_weights", "read_weights", "save_model"]
