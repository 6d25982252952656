"""What a client shares, what it keeps, and that rounds of one client are a plain training."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import DataLoader
from monai.fl.utils.exchange_object import ExchangeObject
from torch import Tensor

from common.checks import InputError
from common.engines import CosineSchedule, EpochSampler, PhaseOptimizers
from common.federated import FederatedTrainer, SharedWeights, average, federated_averaging
from common.methods import Method
from tests.tiny import RATES, Gap, conv_method, entries, trainer

Data = list[dict[str, Tensor]]


class Client:
    """The smallest client: one epoch a round."""

    def __init__(self, method: Method, data: Data, epochs: int, **settings: Any) -> None:
        loader = DataLoader(data, batch_size=4, sampler=EpochSampler(data), drop_last=True)
        optimizers = PhaseOptimizers(method, RATES, optimizer=torch.optim.SGD)
        rate = CosineSchedule(optimizers["encoder"], "lr", 0.3, 0.0)
        self.trainer = FederatedTrainer(
            epochs=epochs,
            device="cpu",
            max_epochs=1,
            train_data_loader=loader,
            network=method,
            optimizers=optimizers,
            train_handlers=[rate],
            **settings,
        )

    def train(self, data: Any) -> None:
        self.trainer.network.load_state_dict(data.weights)
        self.trainer.state.max_epochs = self.trainer.state.epoch + 1
        self.trainer.run()

    def get_weights(self) -> Any:
        count = {"data_count": self.trainer.images}
        return ExchangeObject(weights=self.trainer.network.state_dict(), statistics=count)


def made(kind: str) -> Method:
    torch.manual_seed(0)
    return conv_method(kind)


def test_the_average_is_weighted_by_images() -> None:
    states = [{"w": torch.tensor([1.0, 4.0])}, {"w": torch.tensor([3.0, 0.0])}]
    assert average(states, [1, 3])["w"].tolist() == [2.5, 1.0]


def test_an_average_of_whole_numbers_is_rounded_and_not_cut_off() -> None:
    states = [{"batches": torch.tensor(number), "on": torch.tensor(True)} for number in (2, 3, 3)]
    mean = average(states, [1, 1, 1])
    assert (mean["batches"].dtype, int(mean["batches"]), bool(mean["on"])) == (torch.int64, 3, True)


@pytest.mark.parametrize("kind", ["learned", "moco", "contrastive"])
def test_rounds_of_one_client_are_a_plain_training(kind: str) -> None:
    """Also with a momentum encoder, a queue, counters and a schedule over all rounds."""
    data = entries(8)
    plain = trainer(made(kind), data, 4, max_epochs=3)
    rate = CosineSchedule(plain.optimizers["encoder"], "lr", 0.3, 0.0)
    rate.attach(plain)
    plain.run()
    client = Client(made(kind), data, epochs=3)
    start = client.trainer.network.state_dict()
    weights, _ = federated_averaging({"one": client}, start, 3)  # type: ignore[dict-item]
    whole = plain.method.state_dict()
    for name, value in client.trainer.method.state_dict().items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=0)
    assert all(torch.equal(value, whole[name]) for name, value in weights.items())


def test_two_clients_end_with_the_average_of_what_they_learned() -> None:
    clients = [Client(made("learned"), entries(n), epochs=1) for n in (4, 8)]
    start = clients[0].trainer.network.state_dict()
    named = dict(zip("ab", clients))
    weights, _ = federated_averaging(named, start, 1)  # type: ignore[arg-type]
    name = next(iter(start))
    one, two = (client.trainer.network.state_dict()[name] for client in clients)
    torch.testing.assert_close(weights[name], (4 * one + 8 * two) / 12)


def test_a_queue_and_counters_stay_and_a_momentum_encoder_is_shared() -> None:
    names = SharedWeights(made("moco")).names
    assert not [n for n in names if "queue" in n or "position" in n or "num_batches" in n]
    parts = {name.split(".")[0] for name in names}
    assert parts == {"classifier", "projector", "momentum_encoder"}
    kept = SharedWeights(made("moco"), ["momentum_encoder", "classifier.head"]).names
    assert {name.split(".")[0] for name in kept} == {"classifier", "projector"}
    assert not any(name.startswith("classifier.head") for name in kept)


def test_batch_statistics_stay_if_they_are_kept_and_their_weights_do_not() -> None:
    every, some = (
        set(SharedWeights(made("simclr"), batch_statistics=how).names) for how in ("shared", "kept")
    )
    assert every - some == {name for name in every if ".running_" in name} != set()


def wrong(change: str) -> dict[str, Tensor]:
    state = SharedWeights(made("learned")).state_dict()
    name = next(iter(state))
    if change == "missing":
        del state[name]
    elif change == "foreign":
        state["queue"] = torch.zeros(2)
    elif change == "shape":
        state[name] = torch.zeros(3)
    elif change == "text":
        state[name] = "weights"  # type: ignore[assignment]
    elif change == "complex":
        state[name] = state[name] + 0j
    else:
        state[name] = torch.full_like(state[name], float("nan"))
    return dict(state)


@pytest.mark.bad_input("federated")
@pytest.mark.parametrize("change", ["missing", "foreign", "shape", "text", "complex", "nan"])
def test_weights_that_are_not_those_shared_are_refused_whole(change: str) -> None:
    shared = SharedWeights(made("learned"))
    before = shared.state_dict()
    with pytest.raises(InputError, match="weights from the server"):
        shared.load_state_dict(wrong(change))
    assert all(torch.equal(value, before[name]) for name, value in shared.state_dict().items())


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no such part": (lambda: SharedWeights(made("moco"), ["momentum"]), "keep: must name parts"),
    "the encoder stays": (
        lambda: SharedWeights(made("moco"), ["classifier"]),
        "keep: must leave the encoder",
    ),
    "no such choice": (
        lambda: SharedWeights(made("moco"), batch_statistics="local"),
        "batch_statistics: must be shared or kept",
    ),
    "nobody": (lambda: federated_averaging({}, {}, 1), "clients: must be at least one"),
    "no images": (lambda: average([{"w": torch.zeros(1)}], [0]), "average: images must be"),
    "other tensors": (lambda: average([{"a": torch.zeros(1)}, {}], [1, 1]), "the same tensors"),
    "a shape that broadcasts": (
        lambda: average([{"a": torch.zeros(3)}, {"a": torch.zeros(1)}], [1, 1]),
        r"client 2 must share a with shape and type \(\(3,\)",
    ),
    "another type": (
        lambda: average([{"a": torch.zeros(1)}, {"a": torch.zeros(1).int()}], [1, 1]),
        "client 2 must share a with shape and type",
    ),
    "NaN": (
        lambda: average(
            [{"a": torch.zeros(1)}, {"a": torch.tensor([float("nan")])}], [1, 0], ["x", "berlin"]
        ),
        "client berlin must share finite numbers, got NaN or infinity in a",
    ),
    "half an image": (lambda: average([{"w": torch.zeros(1)}], [0.5]), "average: images must be"),  # type: ignore[list-item]
}


@pytest.mark.bad_input("federated")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_is_refused(case: str) -> None:
    attempt, line = REFUSED[case]
    with pytest.raises(InputError, match=line):
        attempt()


@pytest.mark.bad_input("federated")
def test_rounds_past_the_end_of_the_schedules_are_refused() -> None:
    client = Client(made("learned"), entries(4), epochs=1)
    start = client.trainer.network.state_dict()
    with pytest.raises(InputError, match="epochs: must be that of all rounds together"):
        federated_averaging({"a": client}, start, 2)  # type: ignore[dict-item]


@pytest.mark.bad_input("federated")
def test_a_loss_that_compares_sites_is_refused_at_a_client_of_one() -> None:
    class Rows(list[Any]):
        @property
        def entries(self) -> Any:
            return [{"image": "a", "bias": 0}, {"image": "b", "bias": 0}]

    torch.manual_seed(0)
    method = conv_method("contrastive", regularizer=Gap())
    client = Client(method, Rows(entries(4)), epochs=1)
    with pytest.raises(InputError, match="must compare images of different bias, got one"):
        client.trainer.run()
