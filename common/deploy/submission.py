"""A brain-age network as a submission to the OpenBHB challenge (RAMP, ramp-kits).

The challenge's workflow imports ``submissions/<name>/estimator.py``, calls ``get_estimator()``,
``fit(None, None)`` to restore weights, sets the attribute ``indices`` of its steps, and asks
``predict(X)`` for at most 10,000 features of each row of X. Beside it, it carries two more files,
``weights.pth`` and ``metadata.pkl``.
"""

import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, jit, nn

from common.checks import InputError, require
from common.deploy.model_file import load_weights
from common.deploy.provenance import versions
from common.files import replacing
from common.networks import ImageClassifier

__all__ = ["BLOCKS", "export_submission"]

#        name        (first column, columns) of a row of 3,659,572
BLOCKS = {
    "vbm": (0, 519_945),
    "quasiraw": (519_945, 1_827_095),
    "xhemi": (2_347_040, 1_310_736),
    "vbm_roi": (3_657_776, 284),
    "desikan": (3_658_060, 476),
    "destrieux": (3_658_536, 1_036),
}
_VOLUMES = ("vbm", "quasiraw")  # blocks whose rows fill a volume
_MOST_FEATURES = 10_000


class _Submission(nn.Module):
    """Rows of a block ``(B, columns) -> (B, F)``: the volume, as the training had it, embedded."""

    mask: Tensor

    def __init__(self, encoder: nn.Module, mask: NDArray[np.bool_] | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mask", torch.zeros(0, dtype=torch.bool))
        if mask is not None:
            self.mask = torch.from_numpy(mask)

    def forward(self, rows: Tensor) -> Tensor:
        if self.mask.dim() > 1:
            volume = rows.new_zeros([rows.size(0), 1, *self.mask.shape])
            volume[:, 0, self.mask] = rows
            rows = volume
        features: Tensor = self.encoder(rows)
        return features


def export_submission(
    target: str | Path,
    network: ImageClassifier,
    block: str,
    mask: str | Path | NDArray[np.bool_] | None = None,
    weights: str | Path | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write a submission: ``estimator.py``, ``weights.pth`` and ``metadata.pkl``.

    The written files need neither this package nor MONAI: ``weights.pth`` is a TorchScript archive
    of the encoder with its mask, and ``estimator.py`` only selects columns and calls it.

    Args:
        target: folder of the submission, such as ``submissions/y_aware``.
        network: the classifier; its ``encode`` gives the features to submit.
        block: which of `BLOCKS` the network was trained on.
        mask: for "vbm" and "quasiraw", the mask the volumes were filled by
            (``volume[mask] = row``): an array or the ``.npy`` of the prepared folder. None for
            blocks that the network reads as they are.
        weights: ``models/model.pt``, loaded strictly; None keeps the weights `network` has.
        about: facts to put into ``metadata.pkl``.

    Returns:
        `target`.

    Raises:
        InputError: an unknown block, a mask that does not fit it, weights that do not fit the
            network, more than 10,000 features, or a network that cannot be scripted.
    """
    require(
        block in BLOCKS,
        f"export_submission: block must be one of {', '.join(BLOCKS)}, got {block!r}.",
    )
    start, columns = BLOCKS[block]
    voxels = _mask(mask, block)
    if weights is not None:
        load_weights(Path(weights), network)
    submission = _Submission(network.encoder, voxels).cpu().eval()
    scripted = _trace(submission, columns)
    target = Path(target)
    extra = {"block.json": json.dumps({"start": start, "stop": start + columns, "name": block})}
    with replacing(target / "weights.pth") as partial:
        jit.save(scripted, str(partial), _extra_files=extra)
    facts = {"block": block, "versions": versions(), **(about or {})}
    with replacing(target / "metadata.pkl") as partial:
        partial.write_bytes(pickle.dumps(facts))
    with replacing(target / "estimator.py") as partial:
        partial.write_text(
            Path(__file__).with_name("submission_estimator.py").read_text(encoding="utf-8")
        )
    return target


def _mask(mask: str | Path | NDArray[np.bool_] | None, block: str) -> NDArray[np.bool_] | None:
    """The mask of the block as an array, None where the network reads the rows as they are."""
    columns = BLOCKS[block][1]
    if mask is None:
        require(
            block not in _VOLUMES,
            f"export_submission: mask must be given for {block}, got none. "
            "Give mask.npy of the prepared data.",
        )
        return None
    if isinstance(mask, str | Path):
        try:
            voxels: NDArray[np.bool_] = np.load(mask, allow_pickle=False)
        except FileNotFoundError:
            raise InputError(
                f"{mask}: must exist for a submission on {block}, got no such file. Prepare the "
                "challenge's rows (data_prep openbhb): volumes alone have no mask."
            ) from None
        except (OSError, ValueError, EOFError):
            raise InputError(
                f"{mask}: must be an array of NumPy (.npy), got another file. Prepare it again."
            ) from None
    else:
        voxels = mask
    require(
        voxels.dtype == np.bool_ and int(voxels.sum()) == columns,
        f"export_submission: mask must be bool with {columns} voxels for {block}, got "
        f"{voxels.dtype} with {np.count_nonzero(voxels)}. Give mask.npy of the prepared data.",
    )
    return voxels


def _trace(submission: _Submission, columns: int) -> Any:
    """Script the network by example, and make sure that the script does the same on other rows."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(3, columns, generator=generator)
    with torch.no_grad(), warnings.catch_warnings():
        # what a trace cannot follow is found by the comparison below, on another number of rows
        warnings.simplefilter("ignore", jit.TracerWarning)
        try:
            scripted = jit.trace(  # type: ignore[no-untyped-call]  # torch.jit has no types
                submission, rows[:2], check_trace=False
            )
        except RuntimeError as error:
            raise InputError(
                "export_submission: the network must be scriptable, got "
                f"{str(error).splitlines()[0]}"
            ) from error
        features = submission(rows)
        require(
            torch.allclose(scripted(rows), features, rtol=1e-4, atol=1e-5),
            "export_submission: the scripted network must give the features of the network, got "
            "others. Use an encoder whose path does not depend on its input.",
        )
    require(
        features.shape[1] <= _MOST_FEATURES,
        f"export_submission: the challenge takes at most {_MOST_FEATURES} features, got "
        f"{features.shape[1]}. Submit a projection.",
    )
    return scripted
