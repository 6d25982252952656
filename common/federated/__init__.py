"""Training at several hospitals together: images stay, weights travel.

::

    server    weights w ──▶ clients 1..K              only named tensors, `SharedWeights`
    client k  w ──local epochs on its own images──▶ w_k, n_k images
    server    w ← sum_k n_k w_k / sum_k n_k           `average`; then the next round

- `BundleAlgo`: any bundle as a client, MONAI's ``MonaiAlgo`` with strict names; what is shared and
  what stays is a dial.
- `SharedWeights`: which tensors of a method are shared.
- `FederatedTrainer`, `FederatedEvaluator`: a bundle's engines at a client.
- `average`, `federated_averaging`: FedAvg by images, and its loop in one process.

``python -m common federated`` runs a federation on one machine, in this process or in NVFlare's
simulator; docs/federated.md says how hospitals run one.
"""

from common.federated.algo import BundleAlgo
from common.federated.averaging import average, federated_averaging
from common.federated.shared import SharedWeights
from common.federated.trainer import FederatedEvaluator, FederatedTrainer

__all__ = [
    "BundleAlgo",
    "FederatedEvaluator",
    "FederatedTrainer",
    "SharedWeights",
    "average",
    "federated_averaging",
]
