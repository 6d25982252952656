"""The trained network as others use it.

- `save_model`, `load_weights`, `read_weights`: ``model.pt`` and ``model.json`` beside it, strictly;
- `digest`: whether a head is still as it was before a training;
- `output_names`: which class each output of a network is of;
- `LoadModel`: the handler that loads them before the first image.
- `embed`, `Embedded`: features, logits and labels of a data loader.
- `SavePredictions`, `SaveAges`: the inference handlers that write ``predictions.csv`` (of classes,
  of ages) and ``embeddings.npz``.
- `SaveAttention`, `SaveCropMaps`: the inference handlers that write where a vision transformer, or
  a channel that chooses crops, looked.
- `write_prior`: the representation of every image as a table, which `common.data` reads as a prior.
- `export_ramp`: a brain-age network as a submission to the OpenBHB challenge.
"""

from common.deploy.age_predictions import SaveAges
from common.deploy.attention import SaveAttention
from common.deploy.crop_maps import SaveCropMaps
from common.deploy.embedding import Embedded, embed
from common.deploy.model_file import (
    LoadModel,
    digest,
    load_weights,
    output_names,
    read_weights,
    save_model,
)
from common.deploy.predictions import SavePredictions
from common.deploy.prior import write_prior
from common.deploy.provenance import versions
from common.deploy.ramp import export_ramp

__all__ = [
    "Embedded",
    "LoadModel",
    "SaveAges",
    "SaveAttention",
    "SaveCropMaps",
    "SavePredictions",
    "digest",
    "embed",
    "export_ramp",
    "load_weights",
    "output_names",
    "read_weights",
    "save_model",
    "versions",
    "write_prior",
]
