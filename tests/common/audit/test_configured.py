"""Sets are read from bundles, overlays and files; what a proposal writes is accepted by both."""

import json
from pathlib import Path

import numpy as np
import pytest

from common.audit import audit
from common.audit.configured import base_of, read_transforms
from common.checks import InputError
from common.config import check
from common.deploy.loading import folder_of

BUNDLES = sorted(path.parent.parent.name for path in Path("bundles").glob("*/configs/train.json"))
BARE = ("biased_image_fairkl", "brain_mri_age_contrastive")  # transform nothing by themselves


@pytest.mark.parametrize("bundle", [name for name in BUNDLES if name not in BARE])
def test_every_bundle_that_transforms_is_read(bundle: str) -> None:
    found = read_transforms(bundle)
    assert found.bundle == bundle
    for kind in found.kinds:
        assert len(kind.words()) == len(kind.probability) == len(kind.transform.order)


def test_the_parts_of_a_weighted_sum_and_of_dino_are_kinds_of_views() -> None:
    assert [kind.name for kind in read_transforms("cell_microscopy_ssl").kinds] == ["left", "right"]
    local = read_transforms("fundus_photo_dino+augmentation_strong").kinds[-1]
    assert (local.count, local.transform.settings["resized_crop"]["scale"]) == (8, [0.05, 0.4])


@pytest.mark.bad_input("audit")
@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("nothing_of_the_kind", "bundle: must be the folder of a bundle"),
        ("brain_mri_age_contrastive", "Name an overlay of it: augmentation_affine"),
        ("model.pt", "Give the run's folder"),
        (
            "fundus_photo_dino+augmentation_huge",
            "must name an overlay of the bundle or its file, .* augmentation_strong, ",
        ),
        ("brain_mri_learned_transforms+evaluate", "does not read: head_fitted_on, test"),
        (
            "chest_xray_decoupled_uniformity+bundles/fundus_photo_dino/configs/augmentation_weak.json",
            "does not read: global_scale, brightness, contrast",
        ),
    ],
)
def test_a_set_that_is_none_ends_in_one_line(spec: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        read_transforms(spec)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["brain_mri_learned_transforms", "digits_ssl_clusters"])
def test_a_proposal_is_an_overlay_that_the_bundle_accepts(spec: str, tmp_path: Path) -> None:
    rng, label = np.random.default_rng(0), np.arange(24) % 2
    x = rng.uniform(0, 0.3, (24, 1, 32, 32)) + 0.5 * label[:, None, None, None]
    found = audit(x.astype(np.float32), [read_transforms(spec, 32)], columns={"label": label})
    assert found.sets[0].proposal is not None
    overlay = tmp_path / "proposal.json"
    overlay.write_text(json.dumps(found.sets[0].proposal.overlay))
    folder = folder_of(spec)
    config = {**base_of(spec), **found.sets[0].proposal.overlay, "bundle_root": str(folder)}
    check(config, [folder / "configs" / "train.json", overlay])
    again = read_transforms(overlay, 32)
    assert (again.bundle, again.kinds[0].chooser) == (spec, "probability")


def test_an_overlay_that_sets_one_key_of_a_block_is_applied() -> None:
    found = read_transforms("natural_image_contrastive+recipe_decoupled_uniformity").kinds[0]
    assert found.transform.settings["color_jitter"]["hue"] == 0.2
