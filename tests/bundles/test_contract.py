"""What every folder in bundles/ promises, without training anything."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
import torch
from monai.bundle import ComponentLocator, ConfigParser, ConfigWorkflow, verify_net_in_out
from monai.networks.utils import copy_model_state

import common
from common.config import Limit, unknown_arguments, unknown_keys
from common.data import fingerprint, write_manifest
from common.data.manifest import PARTS
from common.deploy.released import RELEASED
from tests.commands import BUNDLES, ROOT

FILES = ("metadata.json", "train.json", "evaluate.json", "inference.json", "multi_gpu_train.json")
OTHERS = ("LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt")
REQUIRED = {
    "schema": str,
    "version": str,
    "changelog": dict,
    "monai_version": str,
    "pytorch_version": str,
    "numpy_version": str,
    "required_packages_version": dict,
    "name": str,
    "task": str,
    "description": str,
    "authors": str,
    "copyright": str,
    "data_source": str,
    "data_type": str,
    "intended_use": str,
    "references": list,
    "network_data_format": dict,
}
TENSOR = {
    "type": str,
    "format": str,
    "num_channels": int,
    "spatial_shape": list,
    "dtype": str,
    "value_range": list,
    "is_patch_data": bool,
    "channel_def": dict,
}
NOT_A_DIAL = {
    *("_desc_", "imports", "bundle", "bundle_root", "dataset_dir", "output_dir", "ckpt_dir"),
    *("strategy", "title", "run_dir", "device", "sources", "limits", "initialize", "run"),
}
SEMANTIC = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
LARGEST = 25 * 2**20
OURS = "monai-contrastive-bundles"
LOCK = ROOT / "requirements.lock"
NAMED = {"PIL": "pillow", "ignite": "pytorch-ignite", "sklearn": "scikit-learn"}

pytestmark = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def config(bundle: Path, name: str) -> dict[str, Any]:
    return dict(read(bundle / "configs" / f"{name}.json"))


def overlays(bundle: Path) -> list[Path]:
    standing_alone = ("train.json", "inference.json", "metadata.json")
    return [p for p in sorted((bundle / "configs").glob("*.json")) if p.name not in standing_alone]


def walk(content: Any) -> Iterator[tuple[str, Any]]:
    """(key, value) of every dict, at any depth."""
    if isinstance(content, dict):
        yield from content.items()
    for value in content.values() if isinstance(content, dict) else content:
        if isinstance(value, dict | list):
            yield from walk(value)


def texts(content: Any) -> Iterator[str]:
    """Every string, at any depth."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            yield from texts(value)


def test_the_files_are_there(bundle: Path) -> None:
    wanted = [bundle / "configs" / name for name in FILES] + [bundle / name for name in OTHERS]
    missing = [str(path.relative_to(bundle)) for path in wanted if not path.is_file()]
    assert missing == []
    assert all(path.stat().st_size for path in wanted)


def test_a_bundle_holds_no_python_and_no_large_file(bundle: Path) -> None:
    files = [path for path in bundle.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".py"] == []
    own = [path for path in files if path.parent.name != RELEASED]
    assert [path for path in own if path.stat().st_size > LARGEST] == []


def test_the_name_is_that_of_the_folder_everywhere(bundle: Path) -> None:
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+){1,4}", bundle.name)
    for name in ("train", "inference"):
        assert config(bundle, name)["bundle"] == bundle.name
    assert f"bundles/{bundle.name}/docs/README.md" in (ROOT / "README.md").read_text()


def test_the_metadata_is_complete(bundle: Path) -> None:
    metadata = config(bundle, "metadata")
    wrong = [key for key, kind in REQUIRED.items() if not isinstance(metadata.get(key), kind)]
    assert wrong == []
    assert [key for key in REQUIRED if not metadata[key]] == []
    assert metadata["schema"].endswith("meta_schema_20240725.json")
    assert "optional_packages_version" not in metadata


def test_the_version_is_semantic_and_in_the_changelog(bundle: Path) -> None:
    metadata = config(bundle, "metadata")
    assert re.fullmatch(SEMANTIC, metadata["version"])
    assert metadata["version"] in metadata["changelog"]
    for key in ("monai_version", "pytorch_version", "numpy_version"):
        assert re.fullmatch(SEMANTIC, metadata[key])
    assert metadata["required_packages_version"]["monai-contrastive-bundles"] == common.__version__


def test_the_packages_named_are_those_imported_as_locked(bundle: Path) -> None:
    named = config(bundle, "metadata")["required_packages_version"]
    named = {name: version for name, version in named.items() if name != OURS}
    lock = dict(line.split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    locked = {name.lower(): version for name, version in lock.items()}
    assert named == {name: locked[name.lower()] for name in named}
    assert sorted(imported() - {name.lower() for name in named}) == []


@cache
def imported() -> set[str]:
    """The dependencies of pyproject.toml that `common` imports, by the names of their packages."""
    texts = "\n".join(path.read_text() for path in (ROOT / "common").rglob("*.py"))
    modules = set(re.findall(r"^\s*(?:from|import) (\w+)", texts, flags=re.M))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split("[<>=~\\[]", line)[0].lower() for line in project["dependencies"]}
    actual = {NAMED.get(module, module).lower() for module in modules}
    return (actual & needed) - {"torch", "monai", "numpy"}


def test_the_first_input_is_image_and_the_first_output_pred(bundle: Path) -> None:
    formats = config(bundle, "metadata")["network_data_format"]
    assert next(iter(formats["inputs"])) == "image"
    assert next(iter(formats["outputs"])) == "pred"
    for tensor in [*formats["inputs"].values(), *formats["outputs"].values()]:
        wrong = [key for key, kind in TENSOR.items() if not isinstance(tensor.get(key), kind)]
        assert wrong == []
        assert len(tensor["channel_def"]) == tensor["num_channels"]
        assert all(isinstance(size, int | str) for size in tensor["spatial_shape"])
        assert all(isinstance(value, int | float) for value in tensor["value_range"])


def test_the_network_has_the_inputs_and_outputs_of_the_metadata(bundle: Path) -> None:
    folder = bundle / "configs"
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(folder / "metadata.json"),
        config_file=str(folder / "inference.json"),
        device="cpu",
        n=4,
        p=4,
        any=64,
    )
    model = ConfigParser(config(bundle, "inference")).get_parsed_content("model")
    classes = config(bundle, "metadata")["network_data_format"]["outputs"]["pred"]["channel_def"]
    released = bundle / "models" / RELEASED / "model.json"
    named = json.loads(released.read_text())["classes"] if released.is_file() else []
    assert model.classes(len(classes)) == (named or list(classes.values()))


def is_dial(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return not any(isinstance(v, dict) or str(v).startswith(("$", "@")) for v in values)


@pytest.mark.parametrize("name", ["train", "inference"])
def test_every_dial_has_a_source_and_every_source_a_dial(bundle: Path, name: str) -> None:
    content = config(bundle, name)
    dials = {key for key, value in content.items() if key not in NOT_A_DIAL and is_dial(value)}
    assert len(dials) >= 2
    assert dials == set(content["sources"])
    assert all(str(source).strip() for source in content["sources"].values())


@pytest.mark.parametrize("name", ["train", "inference"])
def test_every_dial_has_a_limit_that_its_default_keeps(bundle: Path, name: str) -> None:
    content = config(bundle, name)
    limits = {dial: Limit.parse(rule) for dial, rule in content["limits"].items()}
    beside = {"device"} | ({"strategy", "title"} if name == "train" else set())
    assert set(limits) == set(content["sources"]) | beside
    assert [d for d in content["sources"] if not limits[d].allows(content[d])] == []
    named = {limit.reader[0] for limit in limits.values() if limit.reader}
    assert named <= set(content)


def test_the_dials_of_an_evaluation_have_limits_too(bundle: Path) -> None:
    content, train = config(bundle, "evaluate"), config(bundle, "train")
    own = {key for key in set(content) - set(train) - NOT_A_DIAL if key[0] != "+"}
    own -= {key for key in own if isinstance(content[key], dict)}
    limits = {dial: Limit.parse(rule) for dial, rule in content.get("+limits", {}).items()}
    assert own - {"resize", "figure_views"} == set(limits)
    assert [dial for dial, limit in limits.items() if not limit.allows(content[dial])] == []


def test_every_key_and_argument_of_an_overlay_is_known(bundle: Path) -> None:
    names = overlays(bundle)
    assert {"evaluate.json", "multi_gpu_train.json"} < {path.name for path in names}
    train = config(bundle, "train")
    assert (
        list(unknown_arguments(train)) == list(unknown_arguments(config(bundle, "inference"))) == []
    )
    for path in names:
        files = [bundle / "configs" / "train.json", path]
        assert list(unknown_keys(ConfigParser.load_config_files(files), train)) == []
        assert list(unknown_arguments(read(path))) == []


def test_an_overlay_that_changes_the_run_names_its_strategy_and_titles_it(bundle: Path) -> None:
    kinds = ("strategy_", "alpha_", "loss_")
    rows = [path for path in overlays(bundle) if path.name.startswith(kinds)]
    names = [read(path).get("strategy") for path in rows]
    assert None not in names
    assert len(set(names)) == len(names)
    titles = {read(path)["title"] for path in rows}
    assert len(titles) == len(rows)
    named = [p for p in rows if not p.name.startswith("alpha_")]
    assert [p for p in rows if p.stem.split("_", 1)[1] == read(p)["strategy"]] == named


def test_other_data_have_a_folder_and_so_a_report_of_their_own(bundle: Path) -> None:
    train = config(bundle, "train")
    contents = [read(path) for path in overlays(bundle) if path.name.startswith("data_")]
    folders = [
        content.get("output_dir", train["output_dir"])
        for content in contents
        if any(content[key] != train[key] for key in content if key != "_desc_")
    ]
    assert len({train["output_dir"], *folders}) == 1 + len(folders)


def test_an_evaluation_records_which_data_it_read(bundle: Path, tmp_path: Path) -> None:
    keys = ("arguments", "versions", "counts", "sha256")
    listed = {**{part: [] for part in (*PARTS, "skipped")}, **{key: {} for key in keys}}
    write_manifest(tmp_path, {**listed, "source": "test", "licence": "none"})
    parser = ConfigParser({"dataset_dir": str(tmp_path), **config(bundle, "evaluate")})
    actual = parser.get_parsed_content("evaluation#data")
    assert actual in (fingerprint(tmp_path), [fingerprint(tmp_path)])


def test_every_target_resolves_and_ours_through_a_public_door(bundle: Path) -> None:
    locator = ComponentLocator()
    targets = {
        value
        for path in (bundle / "configs").glob("*.json")
        for key, value in walk(read(path))
        if key == "_target_"
    }
    assert len(targets) > 10
    for target in sorted(targets):
        if "." not in target:
            assert isinstance(locator.get_component_module_name(target), str), target
            continue
        assert locate(target) is not None, target
        if target.startswith("common."):
            door, _, name = target.rpartition(".")
            assert door.count(".") == 1, target
            assert name in import_module(door).__all__, target


@pytest.mark.parametrize("names", ["train", "train+evaluate", "train+multi_gpu_train", "inference"])
def test_monai_finds_every_property(
    bundle: Path, names: str, workflow: Callable[..., ConfigWorkflow], tmp_path: Path
) -> None:
    parts = workflow(bundle, names, tmp_path, initialize=[])
    parts.initialize()
    assert parts.check_properties() == []


def test_training_and_inference_build_the_network_of_model_pt(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle / "configs", tmp_path / "configs")  # without a model
    root = {"bundle_root": str(tmp_path)}
    networks = [
        ConfigParser(config(bundle, name) | root).get_parsed_content("network_def")
        for name in ("train", "inference")
    ]
    trained, deployed = (network.state_dict() for network in networks)
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in deployed.items()}
    _, updated, unchanged = copy_model_state(networks[1], networks[0])
    assert len(updated) == len(trained)
    assert list(unchanged) == []
    loaded = networks[1].state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in trained.items())


def test_public_weights_reach_the_network_of_every_strategy(bundle: Path) -> None:
    contents = [read(path) for path in (bundle / "configs").glob("*.json")]
    classifiers = [block["classifier"] for key, block in networks(contents) if key == "network"]
    classifiers += [c["classifier"] for c in contents if isinstance(c.get("classifier"), dict)]
    assert classifiers
    if "@pretrained" not in texts(config(bundle, "train")["encoder"]):
        assert {block["path"] for block in classifiers} == {"@pretrained"}


def networks(contents: list[Any]) -> Iterator[tuple[str, Any]]:
    """What stands at the top of some configurations and holds a classifier."""
    for content in contents:
        yield from ((k, v) for k, v in content.items() if isinstance(v, dict) and "classifier" in v)


def test_handlers_are_dicts_and_imports_are_not_ours(bundle: Path) -> None:
    """MONAI Label reads ``_target_`` of each handler; our own code comes by ``_target_`` only."""
    train, inference = config(bundle, "train"), config(bundle, "inference")
    for handlers in (train["train"]["handlers"], train["validate"]["handlers"]):
        assert all(isinstance(handler, dict) for handler in handlers)
    assert all(isinstance(viewer, dict) for viewer in inference.get("viewers", []))
    for line in train["imports"] + inference["imports"]:
        assert re.fullmatch(r"\$import (os|monai|torch|numpy as np)", line)


def test_no_path_is_absolute(bundle: Path) -> None:
    for path in (bundle / "configs").glob("*.json"):
        for text in texts(read(path)):
            assert not text.startswith(("/", "~")), f"{path.name}: {text}"
            assert not re.search(r"/(home|root|mnt|Users|workspace)/|[A-Z]:\\", text), path.name


def test_the_readme_mentions_every_overlay(bundle: Path) -> None:
    text = (bundle / "docs" / "README.md").read_text()
    missing = [path.name for path in overlays(bundle) if path.stem not in text]
    assert missing == []
