"""The vision transformer and DINO's head against their formulas, and public weights."""

import argparse
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.networks import (
    DINOHead,
    ImageClassifier,
    StandardizedEncoder,
    VisionTransformer,
    load_vit_weights,
)
from tests.oracles import vision_transformer as oracle

TINY: dict[str, Any] = {"image_size": 12, "patch_size": 4, "embed_dim": 6, "depth": 3, "heads": 2}
SIZES = {
    "ViT-Ti": (192, 12, 3, 5_524_416),
    "ViT-S": (384, 12, 6, 21_665_664),
    "ViT-B": (768, 12, 12, 85_798_656),
    "ViT-L": (1024, 24, 16, 303_301_632),
}


def tiny(**settings: Any) -> VisionTransformer:
    """A transformer whose weights are all of the size of 1, in float64."""
    torch.manual_seed(0)
    network = VisionTransformer(**{**TINY, **settings}).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def images(rows: int = 12, columns: int = 12, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, rows, columns, generator=generator, dtype=torch.double)


GRIDS = pytest.mark.parametrize("shape", [(12, 12), (8, 20), (16, 16), (13, 10)], ids=str)


@GRIDS
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_transformer_is_its_formula_on_every_grid(shape: tuple[int, int], pool: Any) -> None:
    network, x = tiny(pool=pool), images(*shape)
    w = network.state_dict()
    expected = []
    for image in x:
        last = oracle.blocks(image, w, heads=2, patch=4)[0][-1]
        token = last[0] if pool == "cls" else last[1:].mean(dim=0)
        expected.append(oracle.normalised(token, w, "norm"))
    torch.testing.assert_close(network(x), torch.stack(expected), rtol=0, atol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_last_tokens_are_those_of_the_last_blocks_in_their_order(n: int) -> None:
    network, x = tiny(), images(8, 20)
    w = network.state_dict()
    expected = []
    for image in x:
        after = oracle.blocks(image, w, heads=2, patch=4)[0][-n:]
        expected.append(torch.cat([oracle.normalised(t[0], w, "norm") for t in after]))
    torch.testing.assert_close(network.last_tokens(x, n), torch.stack(expected), rtol=0, atol=1e-10)
    assert torch.equal(network.last_tokens(x, n)[:, -6:], network(x))
    assert torch.equal(tiny(last_blocks=n)(x), network.last_tokens(x, n))


@GRIDS
def test_the_attention_is_that_of_the_class_token_in_the_last_block(
    shape: tuple[int, int],
) -> None:
    network, x = tiny(), images(*shape)
    rows, columns = shape[0] // 4, shape[1] // 4
    observed = network.attention(x)
    assert observed.shape == (2, 2, rows, columns)
    for image, weights in zip(x, observed):
        full = oracle.blocks(image, network.state_dict(), heads=2, patch=4)[1][-1][:, 0]
        expected = full[:, 1:].reshape(2, rows, columns)
        torch.testing.assert_close(weights, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(weights.sum(dim=(1, 2)) + full[:, 0], torch.ones(2).double())


@pytest.mark.parametrize("size", SIZES)
def test_a_size_has_its_published_number_of_parameters(size: str) -> None:
    dim, depth, heads, count = SIZES[size]
    with torch.device("meta"):
        network = VisionTransformer(embed_dim=dim, depth=depth, heads=heads)
    assert sum(p.numel() for p in network.parameters()) == count
    assert network.out_features == dim


def test_weights_start_as_a_truncated_normal_of_0_02() -> None:
    torch.manual_seed(0)
    network = VisionTransformer(image_size=64, embed_dim=96, depth=2, heads=3)
    for name, parameter in network.named_parameters():
        if name.endswith("bias") and "patch_embed" not in name:
            assert parameter.abs().max() == 0
        elif parameter.dim() == 1 and "patch_embed" not in name:
            assert torch.equal(parameter, torch.ones_like(parameter))
        elif parameter.numel() > 90 and "patch_embed" not in name:
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.25), name


def test_an_image_alone_equals_the_image_in_a_batch() -> None:
    network, x = tiny(), images(count=3)
    alone = torch.cat([network(image[None]) for image in x])
    torch.testing.assert_close(network(x), alone, rtol=0, atol=1e-10)


def test_gradients_reach_every_parameter_and_the_image_at_another_size() -> None:
    network, x = tiny(), images(8, 20).requires_grad_()
    network(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())
    assert x.grad is not None
    assert x.grad.abs().max() > 0


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_classifier_of_standardized_images_scripts_for_export(pool: Any) -> None:
    encoder = StandardizedEncoder(tiny(pool=pool).float(), mean=(0.4, 0.5, 0.6), std=(2, 1, 3))
    classifier = ImageClassifier(encoder, encoder.out_features).eval()
    scripted = torch.jit.script(classifier)
    for x in (images().float(), images(8, 20).float()):
        torch.testing.assert_close(scripted(x), classifier(x))


def test_bfloat16_autocast_stays_near_float32_and_finite() -> None:
    network, x = tiny().float(), images().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h = network(x)
    assert torch.isfinite(h).all()
    torch.testing.assert_close(h.float(), network(x), rtol=0.1, atol=0.2)


def test_paths_are_dropped_for_whole_images_in_training_only() -> None:
    network, x = tiny(drop_path=0.5).train(), images(count=1).repeat(400, 1, 1, 1)
    assert [block.drop_path.rate for block in network.blocks] == [0, 0.25, 0.5]
    torch.manual_seed(0)
    kinds = network(x).round(decimals=8).unique(dim=0)
    assert 8 <= len(kinds) <= 16  # four branches may be dropped
    assert len(network.eval()(x).round(decimals=8).unique(dim=0)) == 1
    branch = network.blocks[2].drop_path.train()
    kept = branch(torch.ones(4000, 1, 1)).flatten()
    assert set(kept.tolist()) == {0.0, 2.0}
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 3}, r"image_size must be at least patch_size, got 3 and 4\."),
        ({"heads": 4}, r"embed_dim must be a multiple of heads, got 6 and 4\."),
        ({"drop_path": 1.0}, r"drop_path must be in \[0, 1\), got 1\.0\."),
        ({"pool": "max"}, r"pool must be 'cls' or 'mean', got 'max'\."),
        ({"last_blocks": 4}, r"last_blocks must be 1 to 3 for pool 'cls', got 4\."),
        (
            {"last_blocks": 2, "pool": "mean"},
            r"last_blocks must be 1 to 1 for pool 'mean', got 2\.",
        ),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^VisionTransformer: {message}$"):
        tiny(**settings)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("learn", [False, True])
def test_the_head_gives_cosines_with_prototypes_of_a_length(layers: int, learn: bool) -> None:
    torch.manual_seed(0)
    head = DINOHead(5, 7, 4, 3, layers, norm_last_layer=not learn).double()
    h = torch.randn(6, 5, dtype=torch.double)
    w, x = head.state_dict(), h
    for index in range(layers):
        x = oracle.linear(x if index == 0 else oracle.gelu(x), w, f"mlp.{2 * index}")
    lengths = torch.arange(1.0, 8.0).double()[:, None] if learn else torch.ones(7, 1).double()
    head.last_layer.weight_g.data = lengths
    v = w["last_layer.weight_v"]
    rows = lengths * v / v.square().sum(dim=1, keepdim=True).sqrt()
    expected = x / x.square().sum(dim=1, keepdim=True).sqrt() @ rows.T
    torch.testing.assert_close(head(h), expected, rtol=0, atol=1e-12)
    assert head.last_layer.weight_g.requires_grad == learn


def test_a_frozen_last_layer_receives_no_gradient_and_the_rest_does() -> None:
    head, h = DINOHead(5, 7, 4, 3, norm_last_layer=False), torch.randn(6, 5)
    values = []
    for frozen in (False, True):
        head.frozen = frozen
        values.append(head(h))
    assert torch.equal(*values)
    values[1].square().sum().backward()
    assert all(p.grad is None for p in head.last_layer.parameters())
    assert all(p.grad is not None for p in head.mlp.parameters())


def test_a_head_without_layers_is_refused() -> None:
    with pytest.raises(InputError, match=r"^DINOHead: layers must be at least 1, got 0\.$"):
        DINOHead(5, 7, layers=0)


def official(dim: int, depth: int, patch: int, side: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of DINO's, MAE's and RETFound's encoders."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, dim),
        "pos_embed": (1, side**2 + 1, dim),
        "patch_embed.proj.weight": (dim, 3, patch, patch),
        "patch_embed.proj.bias": (dim,),
        "norm.weight": (dim,),
        "norm.bias": (dim,),
    }
    widths = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for index in range(depth):
        for norm in ("norm1", "norm2"):
            shapes |= {f"blocks.{index}.{norm}.{kind}": (dim,) for kind in ("weight", "bias")}
        for name, (out, into) in widths.items():
            shapes[f"blocks.{index}.{name}.weight"] = (out * dim, into * dim)
            shapes[f"blocks.{index}.{name}.bias"] = (out * dim,)
    return shapes


def filled(shapes: dict[str, tuple[int, ...]], start: float = 0.0) -> dict[str, Tensor]:
    """A tensor of each shape, each of one value of its own, which takes no room in a file."""
    return {
        name: torch.tensor(start + index).expand(shape)
        for index, (name, shape) in enumerate(shapes.items())
    }


HEAD = {"mlp.0.weight": (8, 6), "mlp.0.bias": (8,), "last_layer.weight_g": (9, 1)}
DECODER: dict[str, tuple[int, ...]] = {
    "mask_token": (1, 1, 4),
    "decoder_pos_embed": (1, 10, 4),
    "decoder_embed.weight": (4, 6),
    "decoder_blocks.0.attn.qkv.weight": (12, 4),
    "decoder_norm.weight": (4,),
    "decoder_pred.weight": (48, 4),
}


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def full_checkpoint(backbone: dict[str, Tensor]) -> dict[str, Any]:
    """What main_dino.py saves: the student under DDP, a rate that is a number of numpy."""
    other, head = filled(official(6, 3, 4, 3), 500.0), filled(HEAD)
    return {
        "student": prefixed("module.backbone.", other) | prefixed("module.head.", head),
        "teacher": prefixed("backbone.", backbone) | prefixed("head.", head),
        "optimizer": {"param_groups": [{"lr": np.float64(1e-6), "params": [0]}], "state": {}},
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_small", global_crops_scale=[0.4, 1.0]),
        "dino_loss": {"center": torch.zeros(1, 9)},
    }


FILES: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "backbone": lambda w: w,
    "full checkpoint": full_checkpoint,
    "MAE": lambda w: {"model": w | filled(DECODER), "args": argparse.Namespace(lr=None)},
    "MAE without decoder": lambda w: {"model": w},
}


@pytest.mark.parametrize("kind", FILES)
def test_every_tensor_of_a_public_file_is_loaded(kind: str, tmp_path: Path) -> None:
    weights = filled(official(6, 3, 4, 3))
    torch.save(FILES[kind](weights), tmp_path / "w.pth")
    network = VisionTransformer(**TINY)
    assert load_vit_weights(network, tmp_path / "w.pth") is network
    loaded = network.state_dict()
    assert len(loaded) == len(weights) == 4 + 12 * 3 + 2
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


def test_numbers_of_an_older_numpy_are_read_too(tmp_path: Path) -> None:
    """DINO's files name numpy.core, which numpy 2 calls numpy._core."""
    weights = filled(official(6, 3, 4, 3))
    torch.save(full_checkpoint(weights), tmp_path / "new.pth")
    renamed = 0
    with zipfile.ZipFile(tmp_path / "new.pth") as new, zipfile.ZipFile(tmp_path / "w", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            renamed += content.count(b"numpy._core.multiarray")
            old.writestr(name, content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert renamed == 1
    network = load_vit_weights(VisionTransformer(**TINY), tmp_path / "w")
    assert torch.equal(network.cls_token, weights["cls_token"])


@pytest.mark.parametrize(("size", "count"), [("ViT-S", 150), ("ViT-B", 150), ("ViT-L", 294)])
def test_the_public_sizes_load_n_of_n(size: str, count: int, tmp_path: Path) -> None:
    dim, depth, heads, _ = SIZES[size]
    weights = filled(official(dim, depth, 16, 14))
    torch.save(weights, tmp_path / "w.pth")
    with torch.device("meta"):
        network = VisionTransformer(embed_dim=dim, depth=depth, heads=heads)
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    assert shapes == {name: value.shape for name, value in weights.items()}
    assert len(shapes) == count
    if size == "ViT-S":
        network = load_vit_weights(network.to_empty(device="cpu"), tmp_path / "w.pth")
        assert all(torch.equal(network.state_dict()[n], v) for n, v in weights.items())


def test_a_fine_tuned_retfound_has_its_fc_norm_for_the_mean_of_the_patches(tmp_path: Path) -> None:
    shapes = official(6, 3, 4, 3)
    names = {name.replace("norm.", "fc_norm.") if name[:4] == "norm" else name: shape
             for name, shape in shapes.items()}  # fmt: skip
    weights = filled(names) | {"head.weight": torch.ones(5, 6), "head.bias": torch.ones(5)}
    torch.save({"model": weights}, tmp_path / "w.pth")
    network = load_vit_weights(VisionTransformer(**TINY, pool="mean"), tmp_path / "w.pth")
    assert torch.equal(network.norm.weight, weights["fc_norm.weight"])
    with pytest.raises(InputError, match=r"lacks 2 \(norm\.weight, norm\.bias\), adds 2 \(fc_norm"):
        load_vit_weights(VisionTransformer(**TINY), tmp_path / "w.pth")


def test_before_fine_tuning_the_norm_of_the_mean_is_the_networks_own(tmp_path: Path) -> None:
    torch.save({"model": filled(official(6, 3, 4, 3), 5.0)}, tmp_path / "w.pth")
    network = load_vit_weights(VisionTransformer(**TINY, pool="mean"), tmp_path / "w.pth")
    assert torch.equal(network.norm.weight, torch.ones(6))
    assert network.cls_token.min() == 5


def test_positions_of_another_grid_are_interpolated_and_the_class_token_kept(
    tmp_path: Path,
) -> None:
    weights = filled(official(6, 3, 4, 2)) | {"pos_embed": torch.rand(1, 5, 6)}
    torch.save(weights, tmp_path / "w.pth")
    network = load_vit_weights(VisionTransformer(**TINY), tmp_path / "w.pth")
    assert torch.equal(network.pos_embed[:, 0], weights["pos_embed"][:, 0])
    middle = network.pos_embed[0, 5]  # of three by three: the centre of two by two
    torch.testing.assert_close(middle, weights["pos_embed"][0, 1:].mean(dim=0))


def test_without_a_path_nothing_is_loaded() -> None:
    network = VisionTransformer(**TINY)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_vit_weights(network, "")
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


def without(name: str) -> dict[str, Tensor]:
    return {n: v for n, v in filled(official(6, 3, 4, 3)).items() if n != name}


class Foreign:
    """Something that only code of its own can read."""


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "missing": (lambda: without("blocks.1.attn.qkv.bias"), r"lacks 1 \(blocks\.1\.attn\.qkv\.bias"),
    "unexpected": (
        lambda: filled({**official(6, 3, 4, 3), "gamma": (6,)}),
        r"got one that adds 1 \(gamma\)",
    ),
    "another width": (
        lambda: filled(official(8, 3, 4, 3)),
        r"differs in shape 42 \(cls_token \(1, 1, 8\) for \(1, 1, 6\), .*, \.\.\.\)",
    ),
    "another depth": (lambda: filled(official(6, 4, 4, 3)), r"adds 12 \(blocks\.3\.norm1\.weight"),
    "a classifier": (lambda: {"fc.weight": torch.ones(2)}, r"lacks 42 .* adds 1 \(fc\.weight\)"),
    "an object": (Foreign, r"must hold tensors, got other objects"),
    "a tensor": (lambda: torch.ones(2), r"must hold names and tensors, got Tensor\."),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(kind: str, tmp_path: Path) -> None:
    make, message = REFUSED[kind]
    path = tmp_path / "w.pth"
    torch.save(make(), path)
    network = VisionTransformer(**TINY)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(InputError, match=message) as caught:
        load_vit_weights(network, path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


def test_a_file_that_is_no_weight_file_or_not_there_is_told(tmp_path: Path) -> None:
    network: nn.Module = VisionTransformer(**TINY)
    (tmp_path / "w.pth").write_text("404: Not Found")
    told = {"w.pth": "not a readable|other objects", "none.pth": "must be a file, got none"}
    for name, message in told.items():
        with pytest.raises(InputError, match=message) as caught:
            load_vit_weights(network, tmp_path / name)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
