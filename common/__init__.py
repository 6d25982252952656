"""Shared code of the bundles: what lives where, and how data flows.

::

    scans ──data_prep──▶ manifest.json + images ──common.data──▶ x
    x ──policy──▶ lam ; (x, lam) ──transforms──▶ views ──encoder──▶ h ──head──▶ z ──loss──▶ scalar
                           └─ a method says which it uses, in which phases; one engine runs them
    h ──evaluation──▶ probe, challenge, bias, audit ──report──▶ report.html
    encoder (+ head) = models/model.pt ──inference.json──▶ predictions.csv, embeddings.npz

Rooms, each with one door (its ``__init__``); an arrow means "may import":

- `common.checks`: nothing of ours
- `common.distributed`, `common.files` → checks
- `common.data` → checks
- `common.transforms` → checks
- `common.networks` → checks
- `common.policies` → networks
- `common.kernels` → checks
- `common.losses` → checks, distributed, kernels
- `common.methods` → all above
- `common.config` → checks, files
- `common.deploy` → checks, config, files
- `common.engines` → checks, files, distributed, config, data, deploy, methods
- `common.evaluation` → checks, files, config, data, deploy, methods, networks
- `common.report` → checks

Shapes: ``x (B, C, *spatial)`` float in [0, 1]; ``lam (B, K)`` in [0, 1], NaN where one is not
applied to that image; ``h (B, F)``; ``z (B, V, D)`` for V views of B subjects; ``label (B,)``
with -1 for "not labelled"; ``y`` or ``age (B,)`` with NaN for "unknown"; ``bias`` or ``site (B,)``;
``prior (B,)`` or ``(B, P)``, finite.
"""

__version__ = "0.1.0"
