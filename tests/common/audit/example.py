"""A small audit with every section filled, for tests of what a person sees: drawn, not measured."""

from itertools import pairwise

import numpy as np

from common.report.audit.result import (
    Audit,
    Blank,
    Cost,
    Difficulty,
    Estimate,
    GroupInformation,
    ImagesUsed,
    LabelInformation,
    Learned,
    Lesions,
    LesionSize,
    Measurement,
    Member,
    Part,
    Pictures,
    Proposal,
    Scan,
    SetAudit,
    SetPictures,
    Shortcut,
    Skipped,
    Step,
    Telling,
)

EDGES = tuple(np.linspace(0, 2, 41).tolist())


def about(value: float, half: float = 0.05) -> Estimate:
    """Return a figure with an interval around it."""
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def bump(centre: float, width: float = 0.2) -> tuple[float, ...]:
    """Return shares of pairs in each bin, a bell around a distance."""
    middle = np.array([(a + b) / 2 for a, b in pairwise(EDGES)])
    bell = np.exp(-(((middle - centre) / width) ** 2))
    return tuple((bell / bell.sum()).tolist())


def example_set(name: str, kept: float, learned: bool = False) -> SetAudit:
    """Return one set, which keeps a share of lesions and of the label's information."""
    order = ("blur", "crop")
    words = ("blur 0 px to 2 px", "crop centre at the start to centre at the end")
    tells = Telling(features="intensities", untransformed=about(0.95), transformed=about(0.94))
    groups = tuple(
        GroupInformation(
            name=group,
            images=20,
            untransformed=about(0.9),
            transformed=about(0.9 - loss),
            loss=Estimate(loss, loss - 0.1, loss + 0.1),
        )
        for group, loss in (("lesion", 0.4), ("no lesion", 0.05))
    )
    label = LabelInformation(
        images=40,
        chance=0.5,
        features="encoder",
        untransformed=about(0.9),
        transformed=about(0.5 + 0.4 * kept),
        kept=about(kept),
        tellings=(Telling(features="encoder", untransformed=about(0.9), transformed=about(0.7)),),
        classes=groups,
        sites=groups,
        losers=("lesion",),
    )
    steps = tuple(
        Step(
            strength=strength,
            words=f"0 px to {4 * strength:g} px",
            settings={"max_sigma": 4 * strength},
            probability=1.0,
            lesions_kept=about(1 - strength / 3),
            label_kept=about(1 - strength / 2),
            info_nce=3 + strength,
            keeps=strength <= 0.25,
        )
        for strength in (0.25, 0.5, 0.75, 1.0)
    )
    return SetAudit(
        name=name,
        source="bundle",
        members=(
            Member(
                name="views",
                policy="learned" if learned else "probability",
                order=order,
                words=words,
                probability=(0.5, 0.5),
            ),
        ),
        lesions=Lesions(
            images=20,
            views=40,
            kept=about(kept),
            sizes=(
                LesionSize(low=3.0, high=6.0, images=10, kept=about(kept / 2)),
                LesionSize(low=6.1, high=11.0, images=10, kept=about(min(1.0, kept * 1.5))),
            ),
        ),
        blank=Blank(views=80, black=about(0.06), constant=about(0.01), images=0.0),
        label=label,
        shortcuts=(
            Shortcut(
                attribute="site",
                values=("a", "b", "c"),
                images=40,
                chance=1 / 3,
                features="intensities",
                untransformed=about(0.95),
                transformed=about(0.94),
                tellings=(tells,),
                remains=True,
            ),
        ),
        difficulty=Difficulty(
            images=40,
            edges=EDGES,
            positive=bump(0.6),
            negative=bump(1.3),
            untransformed=bump(1.4),
            positive_mean=0.6,
            negative_mean=1.3,
            untransformed_mean=1.4,
            overlap=0.2,
            area=0.95,
            nearer=0.05,
            alignment=0.4,
            uniformity=-3.0,
            info_nce=3.2,
            guessing=float(np.log(79)),
        ),
        parts=tuple(
            Part(
                member="views",
                transformation=transformation,
                words=text,
                probability=0.5,
                alone=2.0 + share,
                without=3.2 - 3 * share,
                share=share,
                lesions_kept=about(1 - share),
                label_kept=about(1 - share / 2),
            )
            for transformation, text, share in zip(order, words, (0.2, 0.7))
        ),
        learned=(_learned(),) if learned else (),
        scans=tuple(
            Scan(member="views", transformation=transformation, steps=steps, strongest=0)
            for transformation in order
        ),
        proposal=Proposal(
            words=("blur 0 px to 1 px",),
            left_out=("crop",),
            lesions_kept=about(0.97),
            label_kept=about(0.93),
            info_nce=2.8,
            weakened=0,
            overlay={"transform": {"_target_": "common.transforms.Composition", "order": ["blur"]}},
            bundle="brain_mri_learned_transforms",
        ),
        cost=Cost(seconds_per_1000_views=1.5, views=80, threads=1, device="cpu"),
    )


def _learned() -> Learned:
    counts = (0, 4, 30, 6, 0)
    return Learned(
        member="views",
        images=40,
        names=("blur", "crop_0", "crop_1"),
        units=(("0 px", "2 px"), ("top", "bottom"), ("left", "right")),
        mean=(0.5, 0.4, 0.6),
        std=(0.01, 0.08, 0.08),
        edges=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        counts=(counts, counts, counts),
    )


def example_pictures(sets: int) -> Pictures:
    """Return discs on noise, the lesions, and views that are shifted copies."""
    rng = np.random.default_rng(0)
    n, views, steps, side = 4, 3, 4, 48
    row, column = np.mgrid[:side, :side]
    disc = (row - 20) ** 2 + (column - 28) ** 2 < 36
    image = np.clip(90 + 20 * rng.standard_normal((n, 1, side, side, 1)), 0, 255)
    image[:, :, disc] = 220
    image = image.astype(np.uint8)
    mask = np.broadcast_to(disc, (n, 1, side, side))
    moved = np.stack([np.roll(image, 5 * view, axis=3) for view in range(views)], 1)
    moved_mask = np.stack([np.roll(mask, 5 * view, axis=3) for view in range(views)], 1)
    dimmed = np.stack([(image[:2] * (1 - 0.2 * step)).astype(np.uint8) for step in range(steps)], 1)
    dimmed_mask = np.stack([mask[:2]] * steps, 1)
    one = SetPictures(
        views=moved, masks=moved_mask, scans=(dimmed,) * 2, scan_masks=(dimmed_mask,) * 2
    )
    return Pictures(images=image, masks=mask, sets=(one,) * sets)


def example_audit() -> Audit:
    """Return an audit of two sets, the second with a trained network M."""
    return Audit(
        images=ImagesUsed(
            source="phantom",
            found=42,
            used=40,
            sampled=False,
            skipped=(
                Skipped(3, "must be an image that can be read, got one that cannot"),
                Skipped(17, "must show something, got one value everywhere"),
            ),
            spatial_dims=2,
            channels=1,
            shape=(48, 48),
            unit="px",
            spacing=(1.0, 1.0),
            patients=20,
            patients_known=True,
            target="label",
            classes=("no lesion", "lesion"),
            class_counts=(20, 20),
            with_lesion=20,
        ),
        measurement=Measurement(
            seed=0,
            views=2,
            keep=0.9,
            temperature=0.1,
            encoder="untrained",
            difficulty_images=40,
            scan_images=40,
        ),
        sets=(example_set("base SimCLR", 0.69), example_set("learned", 0.4, learned=True)),
        notes=("Sex is not told, so that it was not looked at as a shortcut.",),
        seconds=12.5,
        pictures=example_pictures(2),
    )
