"""NNCLR, SwAV, DeepClusterV2 and ReSSL: neighbours, prototypes and relations."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from common import distributed
from common.checks import InputError
from common.losses import NNCLR, DeepClusterV2, ReSSL, SwAV, repulsion
from tests.common.losses.loss_cases import views
from tests.oracles import prototype_losses as oracle
from tests.ranks import assert_equal_to_one, on_two_ranks

SUBJECTS, CLUSTERS = 6, 5
ASSIGNMENT = torch.tensor([[0, 4], [-1, 2], [3, 3], [1, -1], [-1, 0], [2, 2]])


def rows(number: int) -> Tensor:
    return views(SUBJECTS, 4)[:, number]


def assignments() -> Tensor:
    return views(2 * SUBJECTS, 3)[SUBJECTS:].softmax(dim=2)


def heads() -> Tensor:
    return views(SUBJECTS, 4).reshape(SUBJECTS, 2, 2, CLUSTERS)


CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "NNCLR": lambda z: NNCLR(0.3)(z, rows(1).to(z)),
    "SwAV": lambda z: SwAV(0.3)(z, assignments().to(z)),
    "DeepClusterV2": lambda z: DeepClusterV2(0.3)(z, ASSIGNMENT),
    "ReSSL": lambda z: ReSSL(0.3, 0.1)(z, rows(1).to(z), views(9, 1)[:, 0].to(z)),
}
INPUTS: dict[str, Callable[[], Tensor]] = {
    "NNCLR": lambda: rows(0),
    "SwAV": lambda: views(SUBJECTS, 3),
    "DeepClusterV2": heads,
    "ReSSL": lambda: rows(0),
}
EVERY = pytest.mark.parametrize("name", CALLS)


@pytest.mark.parametrize("temperature", [0.05, 0.5])
@pytest.mark.parametrize("side", [512, 4], ids=["at once", "tiles of 4"])
def test_nnclr_equals_its_loops(
    temperature: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": side})
    expected = oracle.nnclr(rows(0).numpy(), rows(1).numpy(), temperature)
    assert float(NNCLR(temperature)(rows(0), rows(1))) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n_views", [2, 3])
def test_swav_equals_its_loops(n_views: int) -> None:
    scores, q = views(SUBJECTS, n_views), assignments()[:, :n_views]
    expected = oracle.swav(scores.numpy(), q.numpy(), 0.3)
    assert float(SwAV(0.3)(scores, q)) == pytest.approx(expected, abs=1e-12)


def test_deep_cluster_v2_equals_its_loops() -> None:
    expected = oracle.deep_cluster_v2(heads().numpy(), ASSIGNMENT.numpy(), 0.3)
    assert float(DeepClusterV2(0.3)(heads(), ASSIGNMENT)) == pytest.approx(expected, abs=1e-12)


def test_a_head_without_clusters_counts_as_nothing() -> None:
    none = ASSIGNMENT.clone()
    none[:, 1] = -1
    scores = heads().requires_grad_()
    loss = DeepClusterV2(0.3)(scores, none)
    loss.backward()
    expected = oracle.deep_cluster_v2(heads()[:, :, :1].numpy(), none[:, :1].numpy(), 0.3) / 2
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-12)
    assert scores.grad is not None
    assert torch.count_nonzero(scores.grad[:, :, 1]) == 0


def test_re_ssl_equals_its_loops() -> None:
    queue = views(9, 1)[:, 0]
    expected = oracle.re_ssl(rows(0).numpy(), rows(1).numpy(), queue.numpy(), (0.3, 0.04))
    assert float(ReSSL(0.3, 0.04)(rows(0), rows(1), queue)) == pytest.approx(expected, abs=1e-9)


@EVERY
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    assert torch.autograd.gradcheck(CALLS[name], INPUTS[name]().requires_grad_())


def test_targets_receive_no_gradient() -> None:
    target, q = rows(1).requires_grad_(), assignments().requires_grad_()
    NNCLR()(rows(0).requires_grad_(), target).backward()
    SwAV()(views(SUBJECTS, 3).requires_grad_(), q).backward()
    ReSSL()(rows(0).requires_grad_(), target, target).backward()
    assert target.grad is None
    assert q.grad is None


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_hard_rows_stay_finite_in_any_type(name: str, dtype: torch.dtype) -> None:
    z = INPUTS[name]().to(dtype)
    z[0], z[1] = 0, z[2]
    leaf = z.clone().requires_grad_()
    loss = CALLS[name](leaf)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.bad_input("learning")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NNCLR()(torch.ones(3, 2, 5), rows(0)), r"^NNCLR: prediction must be .*\(B, D\)"),
        (lambda: NNCLR()(rows(0), torch.ones(2, 5)), r"neighbour must be floating \(6, 5\)"),
        (lambda: SwAV()(torch.ones(3, 1, 5), torch.ones(3, 1, 5)), r"scores must be .*V >= 2"),
        (lambda: SwAV()(views(6, 3), views(6, 2)), r"assignments must be floating \(6, 3, 5\)"),
        (lambda: DeepClusterV2()(heads(), ASSIGNMENT + 1), r"between -1 and 4, got 0 to 5\.$"),
        (lambda: DeepClusterV2()(heads(), ASSIGNMENT[:, :1]), r"must be int64 \(6, 2\)"),
        (lambda: ReSSL()(rows(0), rows(1), torch.ones(4, 3)), r"queue must be \(K >= 1, 5\)"),
        (lambda: ReSSL(0.1, 0.0), r"^ReSSL: temperature must be at least"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def step() -> dict[str, Tensor]:
    world, here = distributed.world_size(), distributed.rank()
    inputs = {name: make().chunk(world)[here].clone() for name, make in INPUTS.items()}
    other, queue = rows(1).chunk(world)[here], views(9, 1)[:, 0]
    calls = {
        "NNCLR": lambda z: NNCLR(0.3)(z, other),
        "SwAV": lambda z: SwAV(0.3)(z, assignments().chunk(world)[here]),
        "DeepClusterV2": lambda z: DeepClusterV2(0.3)(z, ASSIGNMENT.chunk(world)[here]),
        "ReSSL": lambda z: ReSSL(0.3, 0.1)(z, other, queue),
    }
    result = {}
    for name, z in inputs.items():
        loss = calls[name](z.requires_grad_())
        loss.backward()
        assert z.grad is not None
        result |= {f"value {name}": loss.detach(), f"gradient {name}": z.grad / world}
    return result


@pytest.mark.slow
def test_two_ranks_give_the_loss_and_the_gradient_of_one_process(tmp_path: Path) -> None:
    assert_equal_to_one(step(), on_two_ranks(step, tmp_path))
