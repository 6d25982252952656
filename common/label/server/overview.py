"""What is known of the studies before anything is trained: patients, and labels that count."""

from typing import Any

from common.label.labels import target_of
from common.label.models import Model
from common.label.patients import patients_of
from common.label.server.app import LabelApp

__all__ = ["at_start", "overview"]


def at_start(app: LabelApp) -> list[str]:
    """Return what is printed when the server starts; no line names a patient or a file."""
    told = overview(app)
    lines = [f"{name}: {one['patients']}" for name, one in told["bundles"].items()]
    notes = [model.no_labels for model in app.models.values() if model.no_labels]
    return [*notes, *lines, *([told["unread"]] if told["unread"] else [])]


def overview(app: LabelApp) -> dict[str, Any]:
    """Return how many patients and labels there are, and which label files count as none.

    Returns:
        "bundles": by name, "patients" (a sentence) and "labelled" (images that teach it); "unread":
        how many label files count as none and why, "" where there are none.
    """
    bundles = {name: _of_bundle(app, model) for name, model in app.models.items()}
    return {"bundles": bundles, "unread": _unread(app)}


def _of_bundle(app: LabelApp, model: Model) -> dict[str, Any]:
    samples = app.datastore().samples(model.below)
    labelled = sum(target_of(sample, model) is not None for sample in samples)
    return {"patients": patients_of(model, samples).said, "labelled": labelled}


def _unread(app: LabelApp) -> str:
    """Label files that teach nothing, counted by the reason."""
    studies = app.datastore()
    reasons = studies.faults()
    inside = {name: app.served(name) for name in studies.list_images()}
    for sample in studies.samples():
        if sample.label is not None:
            models = inside[sample.id]
            if not models:
                reasons["of images outside the folders of the bundles"] += 1
            elif all(target_of(sample, model) is None for model in models):
                reasons["of no class, or age, that a bundle of the image learns"] += 1
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return f"{reasons.total()} label files count as none: {told}" if reasons else ""
