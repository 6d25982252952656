"""Shared code of the bundles: what lives where, and how data flows.

::

    scans ──data_prep──▶ manifest.json + images ──common.data──▶ x
    x ──policy──▶ lam ; (x, lam) ──transforms──▶ views ──encoder──▶ h ──head──▶ z ──loss──▶ scalar
                           └─ a method says which it uses, in which phases; one engine runs them
    h ──metrics──▶ numbers ──evaluation──▶ probe, challenge, bias, audit ──report──▶ report.html
    encoder (+ head) = models/model.pt ──predictor (deploy)──▶ predictions.csv, embeddings.npz

Rooms, each with one door (its ``__init__``); an arrow means "imports":

- `common.text` → nothing
- `common.checks` → text
- `common.files` → checks
- `common.tracking` → checks, files
- `common.command_line` → checks
- `common.distributed` → checks
- `common.kernels` → checks
- `common.transforms` → checks
- `common.networks` → checks, distributed, files, transforms
- `common.policies` → checks, distributed, networks, transforms
- `common.losses` → checks, distributed, kernels
- `common.methods` → checks, distributed, losses, networks, policies, transforms
- `common.data` → checks, files
- `common.metrics` → checks
- `common.config` → checks, files, text
- `common.report` → checks, files
- `common.deploy` → checks, command_line, config, data, files, methods, networks, report, text,
  transforms
- `common.engines` → checks, config, data, deploy, distributed, files, methods, networks, tracking
- `common.federated` → checks, command_line, data, deploy, engines, files, losses, methods, networks
- `common.audit` → checks, command_line, config, data, deploy, files, losses, methods, metrics,
  networks, policies, report, transforms
- `common.evaluation` → audit, checks, config, data, deploy, files, methods, metrics, networks,
  policies, report, tracking, transforms
- `common.cluster` → checks
- `common.own_process` → files
- `common.sweep` → checks, cluster, command_line, config, data, deploy, evaluation, files,
  own_process, report, text
- `common.label` → checks, command_line, config, data, deploy, files, report

Shapes: ``x (B, C, *spatial)`` float in [0, 1]; ``lam (B, K)`` in [0, 1], NaN where one is not
applied to that image; ``h (B, F)``; ``z (B, V, D)`` for V views of B subjects; ``label (B,)``
with -1 for "not labelled"; ``y`` or ``age (B,)`` with NaN for "unknown"; ``bias`` or ``site (B,)``;
``prior (B,)`` or ``(B, P)``, finite.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.deploy import Predictor

__version__ = "0.1.0"


def load(bundle: str | Path, weights: str | Path | None = None) -> "Predictor":
    """Load a trained model to predict with; see `common.deploy.load`.

    Args:
        bundle: name of a bundle, such as "chest_xray_learned_transforms", or the folder of one.
        weights: ``model.pt`` with ``model.json`` beside it, or their folder; the model of the
            bundle's ``models`` unless given, or else the one that came with it.

    Returns:
        An object with ``predict(paths)``, ``embed(paths)`` and ``explain(paths)``.
    """
    from common.deploy import load

    return load(bundle, weights)
