"""The trained network as others use it.

- `save_model`, `load_weights`, `read_weights`: ``model.pt`` and ``model.json`` beside it, strictly;
- `CallRule`, `Threshold`: which class a prediction is called;
- `digest`: whether a head is still as it was before a training;
- `output_names`: which class each output of a network is of;
- `LoadModel`: the handler that loads them before a training goes on from them.
- `TrainedModel`, `trained_network`: sizes, classes and network of a bundle's model, as trained;
- `Predictor`, `load`: predict on files: what inference.json, ``python -m common predict`` and
  `common.load` run. A `Prediction` is what is said of an image, `PredictionFolder` writes it.
- `Expected`, `Familiarity`: what training images were like, by which a `Predictor` tells strangers;
  `Predictor.reference` calibrates on scans of one's own scanner.
- `Explanation`, `write_explanations`: what a prediction depends on, as pictures in a page.
- `SaveAttention`, `SaveCropMaps`: viewers that write where a vision transformer, or a channel that
  chooses crops, looked.
- `embed`, `Embedded`: features, logits and labels of a data loader.
- `write_cells`: where each cell lies and which cluster is nearest, ``cells.csv``.
- `write_prior`: the representation of every image as a table, which `common.data` reads as a prior.
- `common.deploy.released`: the weights that come with a bundle, and how they stay apart from a
  user's own; ``python -m common release`` puts a model there.
- `common.deploy.pack`: a bundle with its weights and code as one zip (``python -m common pack``).
- `common.deploy.app`: a packed bundle as an app of MONAI Deploy, and its operator.
- `export_submission`: a brain-age network as a submission to the OpenBHB challenge.
"""

from common.deploy.attention import SaveAttention
from common.deploy.call_rule import CallRule, Threshold
from common.deploy.cell_table import write_cells
from common.deploy.crop_maps import SaveCropMaps
from common.deploy.embedding import Embedded, embed
from common.deploy.expected import Expected
from common.deploy.explanation import Explanation, write_explanations
from common.deploy.familiarity import Familiarity
from common.deploy.loading import load
from common.deploy.model_file import (
    LoadModel,
    digest,
    load_weights,
    output_names,
    read_weights,
    save_model,
)
from common.deploy.prediction import Prediction
from common.deploy.prediction_folder import PredictionFolder
from common.deploy.predictor import Predictor
from common.deploy.prior import write_prior
from common.deploy.provenance import versions
from common.deploy.submission import export_submission
from common.deploy.trained_model import TrainedModel, trained_network

__all__ = [
    "CallRule",
    "Embedded",
    "Expected",
    "Explanation",
    "Familiarity",
    "LoadModel",
    "Prediction",
    "PredictionFolder",
    "Predictor",
    "SaveAttention",
    "SaveCropMaps",
    "Threshold",
    "TrainedModel",
    "digest",
    "embed",
    "export_submission",
    "load",
    "load_weights",
    "output_names",
    "read_weights",
    "save_model",
    "trained_network",
    "versions",
    "write_cells",
    "write_explanations",
    "write_prior",
]
