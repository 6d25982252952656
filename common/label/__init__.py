"""A MONAI Label app for every bundle: it proposes images, takes labels of whole images, trains.

``python -m common.label --studies DIR --bundles A,B`` starts MONAI Label's server with it.

::

    studies ──Sample (id, path, label)──▶ Predictor ──▶ answer: scores, familiarity, slice, saliency
    samples ──`embedded`──▶ Pool: embeddings in an .npz, keyed by the model's hash
    Pool + labels ──`propose` (k-centre, typicality, margin, combined)──▶ the next image, and why
    samples + JSON labels ──`write_training_set`──▶ manifest ──the bundle's train, evaluate──▶ model
    model ──a folder of its own, then ``current``──▶ the next answer comes from it

Names:

- `Model`: a bundle as the server uses it: its newest model, classes, dials;
- `answer`, `picture`: what is said of an image, as JSON; what is shown of it, as PNG;
- `Pool`, `embedded`: images as the encoder sees them; `STRATEGIES`, `propose`: which to label next;
- `Sample`, `read_label`: an image of the studies and its label; `write_training_set`: all of them
  as a manifest, patients kept together; `train`: the bundle's own training and evaluation on it.

``common.label.server`` joins these to MONAI Label, and is the only place that needs it: tasks and
app as MONAI Label asks for them, the studies folder, the routes and what they refuse, ``/review``.

A label is a JSON file: ``{"label": "lesion"}`` or ``{"age": 61.5}``; "site", "patient", "age" and
"bundle" (whom it is for, where several have the class) may stand beside it.
"""

from common.label.answers import answer
from common.label.labels import Sample, read_label
from common.label.models import Model
from common.label.pictures import picture
from common.label.pool import Pool, embedded
from common.label.strategies import STRATEGIES, propose
from common.label.training import train
from common.label.training_set import write_training_set

__all__ = [
    "STRATEGIES",
    "Model",
    "Pool",
    "Sample",
    "answer",
    "embedded",
    "picture",
    "propose",
    "read_label",
    "train",
    "write_training_set",
]
