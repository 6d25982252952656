"""Two processes of half a batch each against one process of the whole batch."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common import distributed
from common.checks import InputError
from common.config import endings
from common.engines import overlap
from common.losses import repulsion
from tests.common.losses import loss_cases
from tests.ranks import on_two_ranks

SUBJECTS = 8
LOSSES = loss_cases.EVERY
TILES = {"at once": 512, "tiled": 5}
LABELLED = torch.tensor([1, 1, 0, 1, 0, 0, 0, 0], dtype=torch.bool)  # 3 on rank 0, none on rank 1


def network() -> nn.Sequential:
    """A network without normalisation over the batch, the same in every process."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 4)).double()


def batch() -> Tensor:
    return torch.randn(
        SUBJECTS, 2, 6, dtype=torch.double, generator=torch.Generator().manual_seed(1)
    )


def own(rows: Tensor) -> Tensor:
    return rows.chunk(distributed.world_size())[distributed.rank()]


def step(name: str, tile: int) -> tuple[Tensor, list[Tensor]]:
    """Value on this rank, and the gradients a step would use."""
    net = network()
    repulsion._TILE["cpu"] = tile
    loss = LOSSES[name]
    columns = loss_cases.targets(loss, SUBJECTS)
    value = loss(net(own(batch())), **{key: own(column) for key, column in columns.items()})
    value.backward()
    distributed.average_gradients(net.parameters())
    return value.detach(), [p.grad for p in net.parameters() if p.grad is not None]


def labelled_step(labelled: Tensor) -> tuple[Tensor, list[Tensor]]:
    net = network()
    errors = net(own(batch()))[:, 0].square().sum(dim=1)
    value = distributed.mean(errors, own(labelled))
    value.backward()
    distributed.average_gradients(net.parameters())
    return value.detach(), [p.grad for p in net.parameters() if p.grad is not None]


def gathered() -> dict[str, Tensor]:
    """Rows rank + 1, of which rank r asks r + 1 times the sum of squares."""
    rows = torch.full((2, 3), distributed.rank() + 1.0, requires_grad=True)
    bank = distributed.gather(rows)
    ((distributed.rank() + 1) * bank.square().sum()).backward()
    assert rows.grad is not None
    return {"bank": bank.detach(), "gradient": rows.grad}


def averaged() -> list[Tensor | None]:
    """Gradients: on both ranks, on rank 1 only, on none, frozen; of two types."""
    parameters = [nn.Parameter(torch.zeros(2, 3)) for _ in range(4)]
    parameters.append(nn.Parameter(torch.zeros(2, dtype=torch.double)))
    parameters[3].requires_grad_(False)
    distributed._BUCKET = 8  # so that the first two travel apart
    here = distributed.rank() + 1
    parameters[0].grad = torch.full((2, 3), float(here)).T.contiguous().T  # not contiguous
    parameters[4].grad = torch.full((2,), 10.0 * here, dtype=torch.double)
    if distributed.rank() == 1:
        parameters[1].grad = torch.ones(2, 3)
    distributed.average_gradients(parameters)
    return [p.grad for p in parameters]


def overlapped() -> dict[str, Any]:
    """Gradients averaged during and after a backward pass, and buckets sent before its end."""
    overlap._BUCKET = 35  # so that the last layer travels first
    net, late = network(), nn.Parameter(torch.zeros(3, dtype=torch.double))
    parameters = [*net.parameters(), late]
    average = overlap.OverlappedAverage(parameters, distributed.apart())
    sent: list[int] = []
    net[0].bias.register_post_accumulate_grad_hook(lambda _: sent.append(average.sent))
    found = []
    for step in range(3):
        for parameter in parameters:
            parameter.grad = None
        if step == 2 and distributed.rank() == 1:
            late.grad = torch.ones(3, dtype=torch.double)
        with average.during():
            net(own(batch())).square().sum().backward()
        average.finish()
        found.append([None if p.grad is None else p.grad.clone() for p in parameters])
    net.zero_grad(set_to_none=True)
    net(own(batch())).square().sum().backward()
    distributed.average_gradients(net.parameters())
    return {"found": found, "sent": sent, "after": [p.grad for p in net.parameters()]}


def refused() -> str:
    try:
        distributed.gather(torch.zeros(3 + distributed.rank(), 2))
    except InputError as error:
        return str(error)
    return ""


def broadcast() -> list[Tensor]:
    torch.manual_seed(distributed.rank())
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(memory_format=torch.channels_last)
    net(torch.randn(2, 1, 4, 4))
    distributed.broadcast_parameters(net)
    return list(net.state_dict().values())


def drawn() -> Tensor:
    distributed.seed_draws("cpu", 3)
    rows = distributed.uniform(8 // distributed.world_size(), 3, torch.device("cpu"), torch.double)
    distributed.seed_draws("cpu", None)
    return rows


def unanswered() -> str:
    """What the first rank is told while the second one stands still."""
    distributed.join("cpu", timeout_minutes=0.02)
    flag = torch.zeros(1)
    if distributed.rank() == 1:
        time.sleep(3)
        return ""
    with pytest.raises(RuntimeError) as caught:
        torch.distributed.all_reduce(flag)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.bad_input("dials")
def test_a_rank_that_waits_for_a_stopped_one_ends_in_a_line(tmp_path: Path, capsys: Any) -> None:
    text, _ = on_two_ranks(unanswered, tmp_path, joined=False)
    error = RuntimeError(text)
    endings._Hook({})(RuntimeError, error, None)
    line = "error: another process of this training did not answer within timeout_minutes."
    assert capsys.readouterr().err.startswith(line)


def everything() -> dict[str, Any]:
    return {
        "size": (distributed.rank(), distributed.world_size()),
        "gathered": gathered(),
        "averaged": averaged(),
        "refused": refused(),
        "broadcast": broadcast(),
        "overlapped": overlapped(),
        "drawn": drawn(),
        "labelled": labelled_step(LABELLED),
        "unlabelled": labelled_step(torch.zeros(SUBJECTS, dtype=torch.bool)),
        "steps": {(name, tile): step(name, TILES[tile]) for name in LOSSES for tile in TILES},
    }


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes computed."""
    return on_two_ranks(everything, tmp_path_factory.mktemp("ranks"))


def check_equal(ranks: list[Any], value: Tensor, gradients: list[Tensor]) -> None:
    mean = torch.stack([rank_value for rank_value, _ in ranks]).mean()
    torch.testing.assert_close(mean, value, rtol=0, atol=1e-10)
    for _, rank_gradients in ranks:
        torch.testing.assert_close(rank_gradients, gradients, rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("name", LOSSES)
def test_two_ranks_give_the_loss_and_gradient_of_one_process(
    ranks: list[dict[str, Any]], name: str, tile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repulsion, "_TILE", {})
    value, gradients = step(name, TILES[tile])
    assert len(gradients) == 4
    assert max(float(g.abs().max()) for g in gradients) > 1e-3
    check_equal([rank["steps"][name, tile] for rank in ranks], value, gradients)


@pytest.mark.slow
def test_the_mean_over_unevenly_labelled_ranks_is_that_of_one_process(
    ranks: list[dict[str, Any]],
) -> None:
    value, gradients = labelled_step(LABELLED)
    assert value > 0
    check_equal([rank["labelled"] for rank in ranks], value, gradients)


@pytest.mark.slow
def test_the_mean_over_nothing_is_zero_on_every_rank(ranks: list[dict[str, Any]]) -> None:
    for value, gradients in (rank["unlabelled"] for rank in ranks):
        assert value == 0
        assert len(gradients) == 4
        assert all(torch.count_nonzero(g) == 0 for g in gradients)


@pytest.mark.slow
def test_gather_orders_rows_by_rank_and_sums_what_every_rank_asks(
    ranks: list[dict[str, Any]],
) -> None:
    assert [rank["size"] for rank in ranks] == [(0, 2), (1, 2)]
    for index, rank in enumerate(ranks):
        assert rank["gathered"]["bank"][:, 0].tolist() == [1, 1, 2, 2]
        expected = (1 + 2) * 2 * torch.full((2, 3), index + 1.0)
        assert torch.equal(rank["gathered"]["gradient"], expected)


@pytest.mark.slow
def test_a_gradient_missing_on_one_rank_counts_as_zero_and_on_all_stays_missing(
    ranks: list[dict[str, Any]],
) -> None:
    for both, one, none, frozen, double in (rank["averaged"] for rank in ranks):
        assert torch.equal(both, torch.full((2, 3), 1.5))
        assert torch.equal(one, torch.full((2, 3), 0.5))
        assert none is None
        assert frozen is None
        assert torch.equal(double, torch.full((2,), 15.0, dtype=torch.double))


@pytest.mark.slow
def test_gradients_averaged_during_the_backward_pass_are_those_averaged_after(
    ranks: list[dict[str, Any]],
) -> None:
    for rank in (rank["overlapped"] for rank in ranks):
        for *of_net, _ in rank["found"]:
            for one, other in zip(of_net, rank["after"]):
                assert torch.equal(one, other)
        lates = [found[-1] for found in rank["found"]]
        assert lates[:2] == [None, None]
        assert torch.equal(lates[2], torch.full((3,), 0.5, dtype=torch.double))
        assert rank["sent"][0] == 0  # at first a bucket waits for a parameter that is idle
        assert rank["sent"][1:3] == [1, 1]


@pytest.mark.slow
def test_unequal_batches_are_refused_on_every_rank_with_the_cure(
    ranks: list[dict[str, Any]],
) -> None:
    assert ranks[0]["refused"] == ranks[1]["refused"]
    assert "same shape on every rank, got [3, 4] rows. Use drop_last=True" in ranks[0]["refused"]


@pytest.mark.slow
def test_broadcast_gives_every_rank_the_weights_and_buffers_of_rank_0(
    ranks: list[dict[str, Any]],
) -> None:
    assert len(ranks[0]["broadcast"]) == 7
    for first, second in zip(ranks[0]["broadcast"], ranks[1]["broadcast"]):
        assert torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(ranks[1]["broadcast"][0], nn.Conv2d(1, 2, 3).weight)


@pytest.mark.slow
def test_ranks_draw_for_their_images_what_one_process_draws(ranks: list[dict[str, Any]]) -> None:
    for index, rank in enumerate(ranks):
        assert torch.equal(rank["drawn"], drawn()[index::2])
    torch.manual_seed(0)
    assert torch.equal(
        distributed.uniform(2, 3, torch.device("cpu"), torch.double),
        torch.rand(2, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0)),
    )


def test_one_process_gathers_and_averages_nothing() -> None:
    z = torch.ones(2, 3, requires_grad=True)
    weight = nn.Parameter(z.detach().clone())
    weight.grad = torch.full((2, 3), 2.0)
    distributed.average_gradients([weight])
    assert distributed.gather(z) is z
    assert torch.equal(weight.grad, torch.full((2, 3), 2.0))
    assert (distributed.rank(), distributed.world_size()) == (0, 1)


def test_mean_ignores_what_is_not_selected_even_nan() -> None:
    values = torch.tensor([1.0, float("nan"), 5.0], requires_grad=True)
    value = distributed.mean(values, torch.tensor([True, False, True]))
    value.backward()
    assert value == 3
    assert values.grad is not None
    assert values.grad.tolist() == [0.5, 0, 0.5]


def test_mean_of_nothing_is_zero_with_zero_gradient() -> None:
    values = torch.ones(3, requires_grad=True)
    value = distributed.mean(values, torch.zeros(3, dtype=torch.bool))
    value.backward()
    assert value == 0
    assert values.grad is not None
    assert values.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "mask", [torch.ones(2, dtype=torch.bool), torch.ones(3)], ids=["shape", "type"]
)
def test_mean_refuses_a_mask_that_is_not_one(mask: Tensor) -> None:
    with pytest.raises(InputError, match=r"^mean: mask must be bool of shape \(3,\), got .*\.$"):
        distributed.mean(torch.ones(3), mask)


@pytest.mark.bad_input("run")
def test_restarts_of_several_machines_without_stores_of_their_own_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = {"USE_AGENT_STORE": "True", "MAX_RESTARTS": "3", "RESTART_COUNT": "0"}
    for name, value in told.items():
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    monkeypatch.setenv("GROUP_WORLD_SIZE", "4")
    with pytest.raises(InputError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 before torchrun"):
        distributed.join("cpu")
