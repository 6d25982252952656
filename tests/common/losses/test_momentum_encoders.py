"""NegativeCosine and the loss of MoCo: two networks' outputs compared."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from common import distributed
from common.checks import InputError
from common.losses import MoCo, NegativeCosine
from tests.common.losses.loss_cases import views
from tests.oracles import momentum_encoders as oracle
from tests.ranks import assert_equal_to_one, on_two_ranks

SUBJECTS = 6


def pair(n_views: int = 2, dtype: torch.dtype = torch.double) -> tuple[Tensor, Tensor]:
    both = views(2 * SUBJECTS, n_views, dtype=dtype)
    return both[:SUBJECTS], both[SUBJECTS:]


def queue_loss(temperature: float = 0.3, queue: int = 7) -> MoCo:
    return MoCo(queue, 5, temperature).double()


@pytest.mark.parametrize("n_views", [2, 3])
def test_negative_cosine_equals_its_loops(n_views: int) -> None:
    p, z = pair(n_views)
    expected = oracle.negative_cosine(p.numpy(), z.numpy())
    assert float(NegativeCosine()(p, z)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_moco_equals_its_loops(n_views: int, temperature: float) -> None:
    loss, (z, key) = queue_loss(temperature), pair(n_views)
    expected = oracle.moco(z.numpy(), key.numpy(), loss.queue.numpy(), temperature)
    assert float(loss(z, key)) == pytest.approx(expected, abs=1e-9)


def test_predictions_that_hit_give_minus_one_and_the_opposite_one() -> None:
    z = views()
    assert float(NegativeCosine()(3 * z.flip(1), z)) == pytest.approx(-1)
    assert float(NegativeCosine()(-z.flip(1), z)) == pytest.approx(1)


def test_the_gradient_is_that_of_finite_differences_and_spares_the_target() -> None:
    p, z = (side.requires_grad_() for side in pair())
    assert torch.autograd.gradcheck(lambda leaf: NegativeCosine()(leaf, z.detach()), p)
    assert torch.autograd.gradcheck(lambda leaf: queue_loss()(leaf, z.detach()), p)
    (NegativeCosine()(p, z) + queue_loss()(p, z)).backward()
    assert p.grad is not None
    assert z.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_hard_rows_stay_finite_in_any_type(dtype: torch.dtype) -> None:
    p, z = pair(dtype=dtype)
    p[0], z[1], p[2] = 0, 0, -1e4 * z[2]
    for loss in (NegativeCosine(), MoCo(9, 5, 0.01)):
        leaf = p.clone().requires_grad_()
        value = loss(leaf, z)
        value.backward()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert torch.count_nonzero(leaf.grad[0]) == 0


def test_autocast_changes_nothing() -> None:
    p, z = pair(dtype=torch.float32)
    for loss in (NegativeCosine(), MoCo(9, 5, 0.1)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = loss(p, z)
        assert torch.equal(inside, loss(p, z))


def test_the_queue_starts_with_unit_vectors_and_leaves_the_global_random_state() -> None:
    state = torch.get_rng_state()
    loss = MoCo(50, 8)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(loss.queue.norm(dim=1), torch.ones(50))
    assert loss.queue.std(dim=0).min() > 0.2
    assert set(loss.state_dict()) == {"queue", "position"}


def test_keys_replace_the_oldest_ones_at_unit_length_and_wrap_around() -> None:
    loss, start = queue_loss(queue=5), queue_loss(queue=5).queue
    keys = torch.eye(5, dtype=torch.double)[:, None] * 4
    loss.enqueue(keys[:3])
    torch.testing.assert_close(loss.queue, torch.cat([keys[:3, 0] / 4, start[3:]]))
    loss.enqueue(keys[2:])
    expected = torch.eye(5, dtype=torch.double)[[4, 1, 2, 2, 3]]
    torch.testing.assert_close(loss.queue, expected)
    assert int(loss.position) == 1


def test_of_more_keys_than_fit_the_last_ones_stay() -> None:
    loss = queue_loss(queue=2)
    loss.enqueue(torch.eye(5, dtype=torch.double)[:, None])
    assert loss.queue.argmax(dim=1).tolist() == [4, 3]
    assert int(loss.position) == 1


def test_the_forward_pass_leaves_the_queue_alone() -> None:
    loss, before = queue_loss(), queue_loss().queue
    loss(*pair())
    assert torch.equal(loss.queue, before)


@pytest.mark.parametrize(
    ("loss", "shape", "message"),
    [
        (NegativeCosine(), (6, 1, 5), r"^NegativeCosine: prediction must be .*V >= 2.*\(6, 1, 5\)"),
        (NegativeCosine(), (0, 2, 5), r"^NegativeCosine: prediction must be"),
        (MoCo(4, 5), (6, 5), r"^MoCo: z must be floating \(B, V, D\), got .* \(6, 5\)\.$"),
        (MoCo(4, 3), (6, 2, 5), r"queue must be \(K >= 1, 5\), got \(4, 3\)\. Set features"),
    ],
)
def test_a_wrong_shape_is_told_in_one_line(
    loss: torch.nn.Module, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        loss(torch.ones(shape), torch.ones(shape))


def test_two_sides_that_do_not_fit_and_senseless_settings_are_refused() -> None:
    for loss, name in ((NegativeCosine(), "target"), (MoCo(4, 5), "key")):
        with pytest.raises(InputError, match=rf"{name} must be floating \(6, 2, 5\), got .*4, 2"):
            loss(torch.ones(6, 2, 5), torch.ones(4, 2, 5))
    with pytest.raises(InputError, match=r"^MoCo: temperature must be"):
        MoCo(temperature=math.nan)
    with pytest.raises(InputError, match=r"queue and features must be at least 1, got 0 and 128"):
        MoCo(0)


def step() -> dict[str, Tensor]:
    """Values, gradient of this rank's rows and queue after two batches."""
    world, here = distributed.world_size(), distributed.rank()
    loss, result = queue_loss(queue=8), {}
    for turn in range(2):
        p, z = ((1 + turn) * side + turn for side in pair())
        mine = p.chunk(world)[here].clone().requires_grad_()
        theirs = z.chunk(world)[here]
        value = loss(mine, theirs) + NegativeCosine()(mine, theirs)
        value.backward()
        assert mine.grad is not None
        result |= {f"value {turn}": value.detach(), f"gradient {turn}": mine.grad / world}
        loss.enqueue(theirs)
    return {**result, "queue": loss.queue, "position": loss.position}


@pytest.mark.slow
def test_two_ranks_keep_the_queue_and_give_the_loss_of_one_process(tmp_path: Path) -> None:
    assert_equal_to_one(step(), on_two_ranks(step, tmp_path))
