"""What is asked of every set, on the same images."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from common.audit.difficulty import difficulty_of, pairs_of
from common.audit.features import Encoder
from common.audit.images import AuditImages, some_patients
from common.audit.information import Told, ask, asked_once, best, label_information, shortcut
from common.audit.proposal import propose
from common.audit.scan import Bench, parts_of, scans_of
from common.audit.seen import as_they_are, blank_of, lesions_of, look
from common.audit.sets import TransformationSet
from common.audit.targets import attributes, label_of, left_out
from common.audit.views import draw
from common.metrics.lambda_spread import lambda_spread
from common.report.audit.result import Estimate, Measurement, SetAudit
from common.report.audit.strengths import Cost, Learned

__all__ = ["Study"]

DIFFICULTY = {2: 128, 3: 64}  # images of the batch
SCANNED = {2: 400, 3: 120}  # images of the scans
TIMED = 256  # views at most


class Study:
    """What is asked of every set, on the same images."""

    def __init__(
        self,
        images: AuditImages,
        encoder: Encoder,
        views: int,
        keep: float,
        temperature: float,
        seed: int,
    ) -> None:
        self.images, self.encoder = images, encoder
        self.views, self.keep, self.temperature, self.seed = views, keep, temperature, seed
        self.label = label_of(images)
        self.attributes, self.notes = attributes(images, self.label.name if self.label else "")
        if self.label is None:
            self.notes.insert(
                0,
                "The label is not told or has fewer than two classes with two patients or more, "
                "so that what views tell of it was not measured.",
            )
        elif rare := left_out(images, self.label):
            self.notes.insert(0, rare)
        if images.mask is None or not bool(images.mask.any()):
            self.notes.insert(0, "No image has a lesion's mask, so that lesions were not counted.")
        if images.skipped:
            self.notes.append(
                "Files that could not be used are numbered by their place in the sorted list of "
                "all files of the folder (of a prepared folder: in the training part of its "
                "list), from 1."
            )
        dims, names = images.spatial_dims, images.patient.tolist()
        self.batch = images.rows(some_patients(names, DIFFICULTY[dims], seed + 1))
        self.few = images.rows(some_patients(names, SCANNED[dims], seed + 1))
        self.few_label = label_of(self.few)
        self._plain: dict[bool, dict[str, dict[str, Told]]] = {}

    def described(self) -> Measurement:
        """Return how it was measured."""
        return Measurement(
            seed=self.seed,
            views=self.views,
            keep=self.keep,
            temperature=self.temperature,
            encoder=self.encoder.name,
            difficulty_images=len(self.batch),
            scan_images=len(self.few),
        )

    def of(self, transforms: TransformationSet) -> SetAudit:
        """Return all that was found of one set."""
        images = self.images
        plain = self._asked(transforms)
        seen = look(images, transforms, self.encoder, self.views, self.seed)
        bench = self._bench(transforms)
        scans = scans_of(transforms, bench)
        pairs = pairs_of(self.batch, transforms, self.encoder, self.seed)
        label = None
        if self.label is not None:
            views = ask(seen.features, self.label)
            label = label_information(self.label, plain[self.label.name], views, images)
        return SetAudit(
            name=transforms.name,
            source=transforms.source,
            members=tuple(kind.described() for kind in transforms.kinds),
            lesions=lesions_of(images, seen),
            blank=blank_of(images, seen),
            label=label,
            shortcuts=tuple(
                shortcut(one, plain[one.name], ask(seen.features, one)) for one in self.attributes
            ),
            difficulty=difficulty_of(pairs, self.temperature),
            parts=parts_of(transforms, bench),
            learned=tuple(self._learned(transforms)),
            scans=scans,
            proposal=propose(transforms, scans, bench),
            cost=self._cost(transforms),
        )

    def _asked(self, transforms: TransformationSet) -> dict[str, dict[str, Told]]:
        """What untransformed images tell of every target; once for sets that prepare alike."""
        key = transforms.standardize
        if key not in self._plain:
            features = as_they_are(self.images, transforms, self.encoder)
            targets = [*([self.label] if self.label else []), *self.attributes]
            told = {target.name: asked_once(features, target) for target in targets}
            self._plain[key] = told
        return self._plain[key]

    def _bench(self, transforms: TransformationSet) -> Bench:
        told = None
        if self.few_label is not None:
            features = as_they_are(self.few, transforms, self.encoder)
            asked = asked_once(features, self.few_label)
            told = Bench.plain_of(asked, self.few_label)
            if told is None:
                self._decline(best(asked).estimate, self.few_label.chance)
        return Bench(
            images=self.few,
            batch=self.batch,
            label=self.few_label,
            plain=told,
            encoder=self.encoder,
            keep=self.keep,
            temperature=self.temperature,
            seed=self.seed,
        )

    def _decline(self, found: Estimate, chance: float) -> None:
        """Say once why no setting is proposed for the label."""
        ends = f", {found.low:.2f} to {found.high:.2f}" if np.isfinite(found.low) else ""
        note = (
            "No setting is proposed for the label: images as they are tell it with a balanced "
            f"accuracy of {found.value:.2f} ({len(self.few)} images{ends}; chance {chance:.2f}), "
            "which is not clearly enough above chance to say what a setting keeps of it."
        )
        if not any(one.startswith(note[:40]) for one in self.notes):
            self.notes.append(note)

    def _learned(self, transforms: TransformationSet) -> Iterator[Learned]:
        for kind in transforms.kinds:
            if kind.chooser not in ("learned", "crops"):
                continue
            alone = replace(transforms, kinds=(kind,))
            lam = torch.cat([b.lam for b in draw(self.images, alone, self.seed)])
            told = lambda_spread(lam.double().numpy())
            yield Learned(
                member=kind.name,
                images=len(lam),
                names=tuple(kind.transform.names),
                units=tuple(kind.transform.units),
                mean=tuple(told["lam_mean"]),
                std=tuple(told["lam_std_over_images"]),
                edges=tuple(told["histogram"]["edges"]),
                counts=tuple(tuple(row) for row in told["histogram"]["counts"]),
            )

    def _cost(self, transforms: TransformationSet) -> Cost:
        few = replace(self.few, mask=None)
        few = few.rows(np.arange(min(len(few), TIMED)))
        began = time.perf_counter()
        views = sum(len(batch.rows) for batch in draw(few, transforms, self.seed))
        seconds = time.perf_counter() - began
        return Cost(
            seconds_per_1000_views=1000 * seconds / views,
            views=views,
            threads=torch.get_num_threads(),
            device="cpu",
        )
