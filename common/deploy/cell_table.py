"""``cells.csv``: where each cell lies and which cluster it belongs to, after a prediction.

A head that names the nearest centre (`common.evaluation.ClustersEvaluation`) has the output
``2 c.h - |c|^2`` for centre c, so the distance of h to the nearest one is the root of
``|h|^2 - max output``.
"""

import csv
import re
from pathlib import Path

import numpy as np
import torch

from common.checks import require
from common.deploy.trained_model import TrainedModel
from common.files import replacing
from common.networks import ImageClassifier

__all__ = ["write_cells"]

TABLE = "cells.csv"
COLUMNS = ("field", "row_px", "column_px", "cluster", "distance")
PLACE = re.compile(r"(.+)\[(\d+),(\d+)\]")  # of a nucleus, as `common.data.CellFiles` names it
CLUSTERS = "cluster "  # how the classes of a head of clusters begin


def write_cells(folder: str | Path, model: TrainedModel, network: ImageClassifier) -> Path:
    """Write ``cells.csv`` from the ``embeddings.npz`` of the same folder, a row a cell.

    Its columns are the field (the file, of a ready crop), the row and the column of the nucleus in
    pixels (empty for a ready crop), the number of the cluster with the nearest centre, and the
    Euclidean distance to that centre. A model whose head is no head of clusters leaves the last two
    empty.

    Args:
        folder: of a prediction that ended.
        model: that predicted.
        network: its network, loaded.

    Returns:
        The path of the table.

    Raises:
        InputError: there are no embeddings.
    """
    source, path = Path(folder) / "embeddings.npz", Path(folder) / TABLE
    require(source.is_file(), f"{source}: must hold embeddings, got no such file. Predict first.")
    with np.load(source) as stored:
        h, names = stored["h"].astype(np.float64), stored["name"].tolist()
    head = network.head
    clusters = all(name.startswith(CLUSTERS) for name in model.classes(head.out_features))
    with torch.no_grad():
        weight, bias = head.weight.double().cpu().numpy(), head.bias.double().cpu().numpy()
    outputs = h @ weight.T + bias
    distance = np.sqrt(np.maximum((h**2).sum(axis=1) - outputs.max(axis=1), 0))
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name, cluster, far in zip(names, outputs.argmax(axis=1), distance):
            place = PLACE.fullmatch(name)
            where = place.groups() if place else (name, "", "")
            writer.writerow([*where, *((cluster, f"{far:.6g}") if clusters else ("", ""))])
    return path
