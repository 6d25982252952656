"""Small trained models of real bundles, as an evaluation deploys them."""

from pathlib import Path
from typing import Any

import torch

from common.deploy import TrainedModel, save_model
from common.deploy.model_record import write_model_record
from tests.commands import ROOT

SLICES = "brain_mri_learned_transforms"
BRAINS = "brain_mri_age_contrastive"
EYES = "fundus_photo_dino"
FILMS = "chest_xray_learned_transforms"
SMALL: dict[str, dict[str, Any]] = {
    SLICES: {
        "dials": {"image_size": 16, "channels": [2, 4]},
        "preparation": {"kind": "grey", "size": 0, "bits": 0},
        "classes": ["clear", "lesion"],
    },
    BRAINS: {
        "dials": {"representation": "encoder"},
        "config": {
            "encoder": {
                "_target_": "common.networks.ConvEncoder",
                "spatial_dims": 3,
                "channels": [2, 4],
            }
        },
        "changed": ["encoder"],
    },
    EYES: {
        "dials": {
            "image_size": 32,
            "patch_size": 8,
            "embed_dim": 12,
            "depth": 4,
            "heads": 2,
            "num_classes": 2,
        },
        "preparation": {"kind": "fundus", "size": 0, "bits": 0},
        "classes": ["no spots", "spots"],
    },
    FILMS: {
        "dials": {"image_size": 32},
        "preparation": {"kind": "grey", "size": 0, "bits": 0},
        "classes": ["lesion"],
    },
}


def written_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``model.json`` alone, as an evaluation does, for what needs no weights."""
    write_model_record(folder / "model.json", {"weights": "", **record})


def deployed(folder: Path, bundle: str = SLICES, **about: Any) -> Path:
    """Write ``model.pt`` and ``model.json`` of a small, untrained network; return the folder."""
    named = {"bundle": bundle, "strategy": "any", "seed": 0, "head_fitted": True}
    record = {**named, "config": {}, "dials": {}, "changed": [], **SMALL[bundle], **about}
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = TrainedModel(bundle, ROOT / "bundles" / bundle, folder / "model.pt")
    model.record = record
    save_model(folder / "model.pt", model.network(), record)
    return folder
