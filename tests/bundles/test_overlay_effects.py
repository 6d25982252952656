"""An overlay changes, in what is built, what it names and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from torch import nn

from common.checks import InputError
from common.config import check
from common.data import save_prior
from tests.commands import BUNDLES, ROOT

CHANGES = {  # axis -> (one of these changes, besides them nothing but these and the folder may)
    "augmentation": ("policy transform views", "epochs"),
    "ablation": ("methods", ""),
    "clusters": ("head", "methods optimizers"),
    "encoder": ("encoder", "head projector method methods student momentum_encoder"),
    "loss": ("loss regularizer method", "projector predictor optimizers momentum_encoder"),
    "strategy": (
        "loss method policy optimizers data",
        "projector predictor momentum_encoder regularizer",
    ),
    "alpha": ("method policy optimizers", ""),
    "epsilon": ("loss", ""),
    "fairkl": ("regularizer", "method"),
    "kernel": ("loss", ""),
    "norm": ("encoder", "projector student momentum_encoder methods"),
    "objective": ("loss", ""),
    "diagnosis": ("method", ""),
    "method": ("method methods", "loss projector predictor momentum_encoder optimizers"),
    "order": ("transform", ""),
    "prior": ("loss", "data method"),
    "representation": ("encoder", "head optimizers"),
    "channel": ("encoder", "optimizers"),
    "recipe": ("optimizers", "epochs loss projector schedule transform"),
    "finetune": (
        "method",
        "encoder student loss projector epochs views optimizers policy transform schedule",
    ),
    "linear": ("method", "encoder epochs loss optimizers policy projector schedule transform"),
    "data": ("folder", "encoder head method policy transform epochs schedule optimizers"),
}
BESIDE = {  # what single rows change besides, as their _desc_ says
    "strategy_first_set": "methods transform",  # one method in the place of the sum of two
    "strategy_left": "methods transform",
    "strategy_right": "methods transform",
    "strategy_second_set": "methods transform",
    "loss_ce": "encoder",  # ReLU, features of any length
    "loss_end": "encoder",
    "loss_l1": "encoder head",  # the probes read the encoder
    "strategy_deep_cluster_v2": "schedule",
    "strategy_dino": "student policy transform views",
    "strategy_moco_v2": "exchanged",  # the queue of the other direction
    "strategy_nnbyol": "queue",
    "strategy_nnclr": "queue",
    "strategy_re_ssl": "queue weak_policy weak_transform",
    "strategy_swav": "prototypes queues",
    "strategy_vibcreg": "transform",
    "strategy_vicreg": "transform",
    "strategy_rotation_crop_flips": "transform",
    "strategy_printed": "encoder",  # its channel sees the whole image
    "strategy_simclr": "encoder",  # of digits: its channel does not learn
}
DEFAULT = {  # rows that train.json is already
    *("loss_fairkl_released", "loss_exponential", "data_vbm", "prior_age", "strategy_ours"),
    *("strategy_self_supervised_supervised", "strategy_y_aware", "augmentation_weak"),
    *("alpha_1_10_1_1_1", "natural_image_contrastive/loss_sup_info_nce"),
    "brain_mri_age_contrastive/encoder_resnet18",
    "natural_image_ssl_study/strategy_simclr",
    "strategy_weighted_sum",
    "digits_ssl_clusters/strategy_first_set",
}
AFTER: dict[Any, list[str]] = {  # bundle, axis -> what the overlay follows
    ("brain_mri_y_aware", "diagnosis"): ["strategy_from_scratch"],
    ("natural_image_contrastive", "prior"): ["loss_decoupled_uniformity"],
}
APART = {"train", "inference", "metadata", "evaluate", "multi_gpu_train", "export_submission"}
APART |= {"audit", "prior", "prior_model"}  # they write a table, or judge; see test_smoke_priors.py
APART |= {"strategy_vae"}  # its sizes are those of the images; see test_smoke_volumes.py
FACETS = {"global_views": "views", "local_views": "views", "teacher": "student"}


def described(thing: Any, path: str, into: dict[str, Any], seen: set[int]) -> dict[str, Any]:
    """Every number, word, class and shape that `thing` holds, by path."""
    if thing is None or isinstance(thing, bool | int | float | str):
        into[path] = thing
    elif isinstance(thing, torch.Tensor):
        into[path] = tuple(thing.shape)
    elif isinstance(thing, dict):
        for key, value in thing.items():
            described(value, f"{path}.{key}", into, seen)
    elif isinstance(thing, list | tuple | set):
        described(dict(enumerate(thing)), path, into, seen)
    elif hasattr(thing, "func"):
        described({"": thing.func.__name__, **thing.keywords}, path, into, seen)
    elif id(thing) not in seen:
        seen.add(id(thing))
        into[path] = getattr(thing, "__name__", type(thing).__name__)
        held = {k: v for k, v in getattr(thing, "__dict__", {}).items() if not k.startswith("_")}
        if isinstance(thing, nn.Module):
            held |= dict(thing.named_children()) | dict(thing.named_parameters(recurse=False))
        described({} if hasattr(thing, "__name__") else held, path, into, seen)
    return into


def parsed(bundle: Path, names: list[str], folder: Path) -> ConfigParser:
    files = [bundle / "configs" / f"{name}.json" for name in ("train", *names)]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.update({"device": "meta", "dataset_dir": str(folder), "train#dataloader": [0]})
    if "in_features" in parser:
        parser["in_features"] = 284  # counted in a prepared table
    for counted in {"images", "batches"} & set(parser.get()):
        parser[counted] = 50  # in a prepared set
    if "prior_file" in parser and names:
        parser["prior_file"] = str(folder / "prior.npz")
    return parser


def built(bundle: Path, names: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """What a configuration builds, described, by facet."""
    parser = parsed(bundle, names, folder)
    network, optimizers = map(parser.get_parsed_content, ("network", "optimizers"))
    own = {k: v for k, v in vars(network).items() if not k.startswith("_") and k != "training"}
    parts = dict(network.named_children())
    classifier = parts.pop("classifier")
    facets = {
        **{"encoder": classifier.encoder, "head": classifier.head, **parts},
        "method": {"": type(network).__name__, **own},
        "optimizers": {
            k: (type(optimizers[k]).__name__, optimizers[k].defaults) for k in optimizers
        },
        "epochs": parser["epochs"],
        "data": {key: plain(parser, value) for key, value in parser["train#dataset"].items()},
        "folder": parser.get_parsed_content("run_dir"),
    }
    if "scheduler" in parser:
        facets["schedule"] = parser.get_parsed_content("scheduler").state_dict()
    return {name: described(thing, name, {}, set()) for name, thing in facets.items()}


def plain(parser: ConfigParser, value: Any) -> Any:
    """A value with the dials that it names; other references as they are written."""
    if isinstance(value, dict):
        return {key: plain(parser, inner) for key, inner in value.items()}
    dial = isinstance(value, str) and value.startswith("@") and value[1:] in parser.get()["sources"]
    return parser.get_parsed_content(value[1:]) if dial else value


def changed(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    names = {name for name in {*one, *other} if one.get(name) != other.get(name)}
    return {FACETS.get(name, name) for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_an_overlay_changes_what_it_names_and_nothing_else(bundle: Path, tmp_path: Path) -> None:
    save_prior(tmp_path / "prior.npz", ["a", "b", "c"], np.eye(3))
    before: dict[str, dict[str, Any]] = {}
    for path in sorted((bundle / "configs").glob("*.json")):
        axis = path.stem.split("_")[0]
        if path.stem in APART:
            continue
        after = AFTER.get((bundle.name, axis), [])
        if str(after) not in before:
            before[str(after)] = built(bundle, after, tmp_path)
        actual = changed(before[str(after)], built(bundle, [*after, path.stem], tmp_path))
        must, may = (set(words.split()) for words in CHANGES[axis])
        beside = {"folder", *BESIDE.get(path.stem, "").split()}
        if DEFAULT & {path.stem, f"{bundle.name}/{path.stem}"}:
            assert actual <= {"folder"}, path.stem
        else:
            assert actual & must, path.stem
            assert actual <= must | may | beside, path.stem


TOGETHER = {  # bundle -> overlays that go together
    "biased_image_fairkl": ["data_bffhq+loss_ce", "data_corrupted_cifar10+loss_end"],
    "brain_mri_age_contrastive": [
        *("loss_l1+encoder_densenet121", "data_roi+loss_l1", "fairkl_site+loss_threshold_paper"),
        "augmentation_cutout+encoder_alexnet",
    ],
    "brain_mri_decoupled_uniformity": ["prior_vae+encoder_resnet18", "prior"],
    "brain_mri_y_aware": [
        *("strategy_simclr+finetune", "augmentation_cutout+finetune+diagnosis_autism"),
        "strategy_from_scratch+diagnosis_bipolar",
    ],
    "cell_microscopy_ssl": [
        *("strategy_second_set+method_byol+encoder_resnet18", "method_vicreg+clusters_4+evaluate"),
        *("ablation_left_affine+encoder_resnet18", "strategy_right+method_vicreg"),
    ],
    "digits_ssl_clusters": [
        "strategy_second_set+method_byol+encoder_convnext_tiny",
        "strategy_rotation_crop+encoder_resnet18+evaluate",
    ],
    "digits_trainable_crop": [
        *("data_original+strategy_simclr", "strategy_simclr+representation_oracle+evaluate"),
        "data_original+strategy_printed",
    ],
    "fundus_photo_dino": [
        *("augmentation_strong+finetune", "encoder_vit_tiny+augmentation_weak_med+finetune"),
    ],
    "natural_image_contrastive": [
        "recipe_decoupled_uniformity+recipe_decoupled_uniformity_lars"
        "+loss_decoupled_uniformity+prior_vae+augmentation_no_color",
        *("recipe_decoupled_uniformity+loss_byol", "data_cifar100+loss_simclr+encoder_resnet18"),
    ],
    "natural_image_ssl_study": [
        *("strategy_vicreg+data_imagenet100+encoder_convnext_tiny", "strategy_byol+data_cifar100"),
        *("strategy_deep_cluster_v2+linear_probe", "strategy_dino+encoder_resnet50+finetune"),
    ],
}
APART_FROM = [  # bundle, overlays or a dial that do not go together, what the line names
    ("biased_image_fairkl", "loss_ce", {"temperature": 0.3}, "'temperature'"),
    ("biased_image_fairkl", "loss_fairkl_released", {"fairkl_variance_floor": 0.1}, "fairkl_v"),
    ("biased_image_fairkl", "data_bffhq", {"channels": [8, 8]}, "'channels'"),
    (
        "brain_mri_age_contrastive",
        "loss_l1+fairkl_site",
        {},
        "fairkl_site.json: 'regularizer_weight'",
    ),
    (
        "brain_mri_age_contrastive",
        "loss_y_aware",
        {"regularizer_weight": 3.0},
        "regularizer_weight: has no",
    ),
    ("brain_mri_age_contrastive", "loss_threshold+loss_l1", {}, "loss_threshold.json: "),
    ("brain_mri_age_contrastive", "loss_y_aware", {"variant": "paper"}, "variant: has no effect"),
    ("brain_mri_age_contrastive", "data_vbm", {"dropout": 0.1}, "dropout: has no effect"),
    ("brain_mri_decoupled_uniformity", "strategy_simclr+prior_vae", {}, "'prior_suffix'"),
    ("brain_mri_decoupled_uniformity", "prior_none", {"sigma": 3.0}, "'sigma'"),
    ("brain_mri_learned_transforms", "strategy_random", {"alpha_1": 2.0}, "alpha_1: has no effect"),
    ("brain_mri_y_aware", "diagnosis_autism", {}, "'positive_weight'"),
    ("cell_microscopy_ssl", "method_vicreg", {"queue": 64}, "'queue'"),
    ("cell_microscopy_ssl", "strategy_left", {"weights": [1.0, 1.0]}, "'weights'"),
    ("chest_xray_decoupled_uniformity", "prior_vae+strategy_byol", {}, "prior_vae.json: 'prior_f"),
    ("digits_ssl_clusters", "method_byol", {"temperature": 0.5}, "'temperature'"),
    ("digits_ssl_clusters", "encoder_resnet18", {"norm_groups": 8}, "norm_groups: has no effect"),
    ("digits_trainable_crop", "strategy_simclr", {"entropy_weight": 1.0}, "entropy_weight: has no"),
    ("fundus_photo_dino", "finetune", {"teacher_temperature": 0.07}, "teacher_temperature: has"),
    ("natural_image_contrastive", "prior_table", {}, "prior_table.json: 'loss#kernel'"),
    ("natural_image_contrastive", "prior_table+loss_decoupled_uniformity", {}, "'loss#kernel'"),
    ("natural_image_ssl_study", "strategy_byol", {"temperature": 0.5}, "'temperature'"),
    (
        "natural_image_ssl_study",
        "encoder_resnet50",
        {"strategy": "moco_v2", "title": "MoCo"},
        "strategy: 'moco_v2' must come with the overlay that makes it, strategy_moco_v2.json",
    ),
    (
        "natural_image_ssl_study",
        "strategy_byol",
        {"strategy": "simclr", "title": "SimCLR"},
        "strategy_simclr.json",
    ),
    ("digits_ssl_clusters", "method_byol", {"strategy": "second_set"}, "strategy_second_set.json"),
    ("natural_image_contrastive", "loss_sup_con", {"bundle_root": "."}, "bundle_root: must be"),
]


def given(bundle: Path, names: str, **overrides: Any) -> None:
    files = [bundle / "configs" / f"{name}.json" for name in ("train", *names.split("+"))]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    parser.update({"bundle_root": str(bundle), **overrides})
    check(dict(parser.get()), files)


@pytest.mark.parametrize("bundle", TOGETHER)
def test_overlays_that_go_together_pass(bundle: str) -> None:
    for names in TOGETHER[bundle]:
        given(ROOT / "bundles" / bundle, names)


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize(("bundle", "names", "dials", "line"), APART_FROM)
def test_what_has_no_effect_is_refused_in_one_line(
    bundle: str, names: str, dials: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError) as caught:
        given(ROOT / "bundles" / bundle, names, **dials)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_each_overlay_passes_alone_or_after_what_it_follows(bundle: Path) -> None:
    alone = {"train", "inference", "metadata", "multi_gpu_train"}
    for name in sorted({path.stem for path in (bundle / "configs").glob("*.json")} - alone):
        axis = name if name == "prior" else (bundle.name, name.split("_")[0])
        given(bundle, "+".join([*AFTER.get(axis, []), name]))
