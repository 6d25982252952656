"""DINO's loss and its centre."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.losses import DINO
from tests.oracles import dino as oracle

SETTINGS = (0.1, 0.04)


def logits(views: int, seed: int, dtype: torch.dtype = torch.double) -> Tensor:
    """Three subjects, five prototypes."""
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(3, views, 5, generator=generator, dtype=torch.double).to(dtype)


def loss(center: float = 0.1) -> DINO:
    module = DINO(5, *SETTINGS).double()
    module.center += torch.linspace(-center, center, 5).double()
    return module


@pytest.mark.parametrize(("views", "seen"), [(2, 2), (10, 2), (3, 1), (4, 3)])
def test_the_loss_is_the_cross_entropy_of_every_pair_of_different_views(
    views: int, seen: int
) -> None:
    module, z, teacher = loss(), logits(views, 1), logits(seen, 2)
    expected = oracle.loss(z.numpy(), teacher.numpy(), module.center[0].numpy(), *SETTINGS)
    assert float(module(z, teacher)) == pytest.approx(expected, rel=1e-12)


def test_equal_logits_give_the_logarithm_of_their_number() -> None:
    z = torch.zeros(2, 4, 8)
    assert float(DINO(8)(z, z[:, :2])) == pytest.approx(2.0794415)


def test_the_gradient_is_that_of_finite_differences_and_none_reaches_the_teacher() -> None:
    z, teacher = logits(4, 1).requires_grad_(), logits(2, 2).requires_grad_()
    module = loss()
    assert torch.autograd.gradcheck(lambda leaf: module(leaf, teacher), z)
    module(z, teacher).backward()
    assert teacher.grad is None
    assert z.grad is not None


def test_the_forward_pass_leaves_the_centre_and_the_update_moves_it() -> None:
    module, z, teacher = loss(), logits(4, 1), logits(2, 2)
    before = module.center.clone()
    module(z, teacher)
    assert torch.equal(module.center, before)
    expected = oracle.center(before[0].numpy(), teacher.numpy(), 0.9)
    module.update_center(teacher)
    torch.testing.assert_close(module.center, torch.from_numpy(expected)[None], rtol=0, atol=1e-12)
    assert "center" in module.state_dict()


def test_the_order_of_the_subjects_does_not_matter_and_that_of_the_views_does() -> None:
    module, z, teacher = loss(), logits(4, 1), logits(2, 2)
    whole = module(z, teacher)
    torch.testing.assert_close(module(z.flip(0), teacher.flip(0)), whole)
    assert (module(z.flip(1), teacher) - whole).abs() > 1e-3


@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_logits_of_any_size_give_a_finite_loss_and_gradient(
    scale: float, dtype: torch.dtype
) -> None:
    z = (scale * logits(4, 1, dtype)).requires_grad_()
    value = DINO(5)(z, scale * logits(2, 2, dtype))
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_autocast_changes_nothing() -> None:
    z, teacher = logits(4, 1, torch.float32), logits(2, 2, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = DINO(5)(z, teacher)
    assert torch.equal(value, DINO(5)(z, teacher))


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "one view": (lambda: DINO(5)(logits(1, 1), logits(1, 2)), r"z must be floating \(B, V >= 2, K"),
    "integers": (lambda: DINO(5)(logits(2, 1).long(), logits(2, 2)), r"z must be floating"),
    "more teachers": (
        lambda: DINO(5)(logits(2, 1), logits(3, 2)),
        r"teacher must be floating \(3, 1 to 2, 5\), got torch\.float64 \(3, 3, 5\)",
    ),
    "other subjects": (lambda: DINO(5)(logits(2, 1), logits(2, 2)[:2]), "teacher must be floating"),
    "prototypes": (
        lambda: DINO(6)(logits(2, 1), logits(2, 2)),
        r"must have the 6 logits of the centre, got 5\. Set out_features",
    ),
    "temperature": (lambda: DINO(5, 0.0), "temperature and teacher_temperature must be positive"),
    "momentum": (lambda: DINO(5, center_momentum=1.5), "center_momentum must be between 0 and 1"),
    "no prototypes": (lambda: DINO(0), "out_features must be at least 1, got 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_told_in_one_line(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert str(caught.value).startswith("DINO: ")
    assert "\n" not in str(caught.value)
