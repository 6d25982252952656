"""Composition: order, slicing of lambda, NaN, and the paper's default."""

from collections.abc import Sequence

import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor

from common.checks import InputError
from common.transforms import Composition, blur, composition, crop, flip, noise, rotate


def example(batch: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(batch, 1, 9, 12, generator=generator, dtype=torch.float64)
    return x, torch.rand(batch, 7, generator=generator, dtype=torch.float64)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_default_is_the_order_of_equation_3() -> None:
    x, lam = example()
    wanted = noise(blur(x, lam[:, 0:1]), lam[:, 1:2], generator=seeded())
    wanted = crop(wanted, lam[:, 2:4])
    wanted = flip(flip(wanted, lam[:, 4:5], axis=0), lam[:, 5:6], axis=1)
    wanted = rotate(wanted, lam[:, 6:7])
    torch.testing.assert_close(Composition()(x, lam, seeded()), wanted, rtol=0, atol=1e-12)


def test_the_columns_have_names_and_sizes() -> None:
    flat = Composition()
    assert flat.names == ("blur", "noise", "crop_0", "crop_1", "flip_0", "flip_1", "rotate")
    assert flat.sizes == (1, 1, 2, 1, 1, 1)
    assert flat.n_parameters == 7
    volume = Composition(spatial_dims=3)
    assert volume.order == ("blur", "noise", "crop", "flip_0", "flip_1", "flip_2", "rotate")
    assert volume.sizes == (1, 1, 3, 1, 1, 1, 3)
    assert volume.n_parameters == len(volume.names) == 11


def test_a_volume_goes_through_all_eleven_parameters() -> None:
    generator = seeded()
    x = torch.rand(2, 1, 5, 4, 6, generator=generator, dtype=torch.float64)
    lam = torch.rand(2, 11, generator=generator, dtype=torch.float64).requires_grad_()
    out = Composition(spatial_dims=3)(x, lam, generator)
    (gradient,) = torch.autograd.grad(out.square().sum(), lam)
    assert out.shape == x.shape
    assert (gradient.abs() > 0).all()


@pytest.mark.parametrize("order", [("rotate", "crop"), ("crop", "rotate")])
def test_transformations_are_applied_in_the_order_given(order: Sequence[str]) -> None:
    x, _ = example()
    centre = torch.tensor([[0.2, 0.7]], dtype=torch.float64).expand(4, 2)
    angle = torch.full((4, 1), 0.1, dtype=torch.float64)
    if order[0] == "rotate":
        lam, wanted = torch.cat([angle, centre], dim=1), crop(rotate(x, angle), centre)
    else:
        lam, wanted = torch.cat([centre, angle], dim=1), rotate(crop(x, centre), angle)
    assert not torch.allclose(crop(rotate(x, angle), centre), rotate(crop(x, centre), angle))
    assert torch.equal(Composition(order)(x, lam), wanted)


@pytest.mark.parametrize("name", ["blur", "noise", "crop", "flip_0", "flip_1", "rotate"])
def test_nan_leaves_one_transformation_out_for_one_image(name: str) -> None:
    x, lam = example()
    composition = Composition([name])
    columns = lam[:, : composition.n_parameters].clone()
    columns[1, -1] = torch.nan
    x, columns = x.requires_grad_(), columns.requires_grad_()
    out = composition(x, columns, seeded())
    assert torch.equal(out[1], x[1])
    assert all(not torch.equal(out[i], x[i]) for i in (0, 2, 3))
    gradients = torch.autograd.grad(out.sum(), (x, columns))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert torch.equal(gradients[0][1], torch.ones_like(x[1]))
    assert not gradients[1][1].any()


def test_images_without_nan_are_as_if_there_were_none() -> None:
    x, lam = example()
    composition = Composition(["blur", "crop", "flip_0", "flip_1", "rotate"])
    lam = lam[:, :6]
    wanted = composition(x, lam)
    lam[0, 0] = lam[2, 1] = lam[2, 5] = torch.nan
    out = composition(x, lam)
    torch.testing.assert_close(out[[1, 3]], wanted[[1, 3]], rtol=0, atol=1e-12)


def test_the_result_is_the_same_whether_gradients_are_wanted_or_not() -> None:
    x, lam = example()
    lam[0, 0] = lam[1, 1] = lam[2, 3] = lam[0, 6] = torch.nan
    plain = Composition()(x, lam, seeded())
    tracked = Composition()(x.clone().requires_grad_(), lam.clone().requires_grad_(), seeded())
    assert tracked.requires_grad
    assert torch.equal(plain, tracked)


def test_all_nan_is_the_identity() -> None:
    x, lam = example()
    assert torch.equal(Composition()(x, torch.full_like(lam, torch.nan)), x)


def test_gradients_with_nan_are_exact() -> None:
    x, lam = example(batch=2)
    x = x[:, :, :4, :5].clone().requires_grad_()
    hole = torch.zeros(2, 7, dtype=torch.bool)
    hole[0, 3] = hole[1, 6] = True

    def apply(image: Tensor, parameters: Tensor) -> Tensor:
        out: Tensor = Composition()(image, parameters.masked_fill(hole, torch.nan), seeded())
        return out

    assert torch.autograd.gradcheck(apply, (x, lam.requires_grad_()))


def test_masks_follow_the_geometry_and_nothing_else() -> None:
    x, lam = example()
    mask = (x > 0.5).double()
    wanted = crop(mask, lam[:, 2:4])
    wanted = flip(flip(wanted, lam[:, 4:5], axis=0), lam[:, 5:6], axis=1)
    wanted = rotate(wanted, lam[:, 6:7])
    state = torch.get_rng_state()
    assert torch.equal(Composition().geometric(mask, lam), wanted)
    assert torch.equal(torch.get_rng_state(), state)


def test_inputs_and_global_random_state_are_untouched() -> None:
    x, lam = example()
    lam[0, 0] = lam[1, 1] = lam[2, 3] = lam[0, 6] = torch.nan
    copies, state = (x.clone(), lam.clone()), torch.get_rng_state()
    Composition()(x, lam, seeded())
    assert torch.equal(x, copies[0])
    assert torch.equal(lam.nan_to_num(-1), copies[1].nan_to_num(-1))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_crop_may_change_the_size_of_all_images() -> None:
    x, _ = example()
    x = x.expand(-1, 3, -1, -1)
    views = Composition(["resized_crop", "solarize"], settings={"resized_crop": {"size": 5}})
    lam = torch.rand(4, 5, generator=seeded(), dtype=torch.float64)
    lam[2, 4] = torch.nan
    assert views(x, lam).shape == (4, 3, 5, 5)
    lam[1, 0] = torch.nan
    with pytest.raises(InputError, match="must be applied to every image, got NaN for 1 of 4"):
        views(x, lam)


@pytest.mark.parametrize("order", [["mirror", "resized_crop"], ["resized_crop", "mirror"]])
def test_bytes_stand_for_shares_of_255(order: list[str]) -> None:
    x = torch.randint(0, 256, (3, 3, 9, 9), generator=seeded(), dtype=torch.uint8)
    views = Composition(order)
    lam = torch.rand(3, 5, generator=seeded())
    lam[1, 2] = torch.nan
    torch.testing.assert_close(views(x, lam), views(x / 255, lam), rtol=0, atol=1e-6)


def test_a_batch_worked_on_in_groups_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, lam = example(batch=7)
    lam[0, 0] = lam[3, 1] = lam[5, 3] = torch.nan
    whole = Composition()(x, lam, seeded())
    monkeypatch.setattr(composition, "CACHED", 3 * x[0].numel())
    torch.testing.assert_close(Composition()(x, lam, seeded()), whole, rtol=0, atol=1e-12)


def test_it_can_be_made_from_json() -> None:
    parser = ConfigParser(
        {"composition": {"_target_": "common.transforms.Composition", "order": ["crop", "rotate"]}}
    )
    composition = parser.get_parsed_content("composition")
    assert isinstance(composition, Composition)
    assert composition.names == ("crop_0", "crop_1", "rotate")


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (["zoom"], "order must name blur, noise, crop, flip_0, flip_1, rotate, .*, got 'zoom'."),
        (["flip_2"], "order must name .*, got 'flip_2'."),
        (["crop", "crop"], r"each once, got \['crop', 'crop'\]."),
        ([], r"at least one transformation and each once, got \[\]."),
    ],
)
def test_a_bad_order_is_told_in_one_line(order: Sequence[str], text: str) -> None:
    with pytest.raises(InputError, match=f"Composition: .*{text}"):
        Composition(order)


def test_bad_shapes_are_told_in_one_line() -> None:
    x, lam = example()
    with pytest.raises(InputError, match=r"lam must have shape \(4, 7\), got \(4, 6\). Its"):
        Composition()(x, lam[:, :6])
    with pytest.raises(InputError, match=r"Composition: x must have 3 spatial axes, got shape"):
        Composition(spatial_dims=3)(x, lam)
    with pytest.raises(InputError, match=r"Composition: spatial_dims must be 2 or 3, got 4\."):
        Composition(spatial_dims=4)
