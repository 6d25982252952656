"""DINO's steps against their formulas, what is deployed, resume, and many processes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import Tensor, nn

from common import distributed
from common.checks import InputError
from common.engines import (
    ClippedAdamW,
    ContrastiveTrainer,
    CosineSchedule,
    LinearSchedule,
    PhaseOptimizers,
    StepSchedule,
)
from common.losses import DINO as DINOLoss
from common.methods import DINO, ViewGroup, cross_entropy
from common.networks import DINOHead, ImageClassifier, StandardizedEncoder, VisionTransformer
from common.policies import Uniform
from tests.oracles import dino as oracle
from tests.ranks import on_two_ranks
from tests.tiny import run_folder

RATES = {"encoder": 0.05, "head": 0.1}
EPOCHS, PROTOTYPES = 4, 9


class Pixels(nn.Module):
    """``tanh(mean of the pixels @ weight)``: images of any size."""

    out_features = 5

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 5))
        self.passes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.passes.append(tuple(x.shape))
        return torch.tanh(x.mean(dim=(2, 3)) @ self.weight)


class Cut(nn.Module):
    """A transformation without chance: the corner of `side`, brighter by lam."""

    def __init__(self, side: int, power: float) -> None:
        super().__init__()
        self.side, self.power = side, power

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        return x[:, :, : self.side, : self.side] ** self.power + lam[:, :1, None, None]


class FirstPixel(nn.Module):
    """A policy without chance."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, :1, 0]


def content(seed: int, count: int = 4) -> dict[str, Tensor]:
    image = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).double()
    return {"image": image, "label": torch.tensor([0, 1, -1, 2] * count)[:count]}


def cuts(large: int = 6, small: int = 3) -> tuple[list[ViewGroup], list[ViewGroup]]:
    wide = [ViewGroup(FirstPixel(), Cut(large, power)) for power in (1.0, 2.0)]
    local = [ViewGroup(FirstPixel(), Cut(small, power), n) for power, n in ((0.5, 2), (3.0, 1))]
    return wide, local


def views(x: Tensor) -> list[Tensor]:
    lam = x[:, 0, :1, 0][:, :1, None, None]
    cut = [(6, 1.0), (6, 2.0), (3, 0.5), (3, 0.5), (3, 3.0)]
    return [x[:, :, :side, :side] ** power + lam for side, power in cut]


def pixel_method(**settings: Any) -> DINO:
    """DINO in float64 on a single matrix, the same on every call."""
    torch.manual_seed(0)
    classifier = ImageClassifier(Pixels(), 5, num_classes=3)
    head = DINOHead(5, PROTOTYPES, bottleneck_features=4, layers=1)
    return DINO(classifier, head, *cuts(), loss=DINOLoss(PROTOTYPES), **settings).double()


def weights(network: nn.Module) -> dict[str, Tensor]:
    names = {"F": "encoder.weight", "W": "head.mlp.0.weight", "b": "head.mlp.0.bias"}
    names["V"] = "head.last_layer.weight_v"
    state = network.state_dict()
    return {short: state[name].detach().clone() for short, name in names.items()}


def handlers(method: DINO, optimizers: PhaseOptimizers) -> list[Any]:
    """All of DINO's schedules."""
    encoder = optimizers["encoder"]
    return [
        CosineSchedule(encoder, "lr", 0.05, 1e-3, warmup_epochs=1),
        CosineSchedule(encoder, "weight_decay", 0.04, 0.4, groups=[0]),
        CosineSchedule(method, "momentum", 0.9, 1.0),
        LinearSchedule(method.loss, "teacher_temperature", 0.04, 0.07, 3),
        StepSchedule(method.student.head, "frozen", True, False, 1),
    ]


def engine(method: DINO, data: list[dict[str, Tensor]], **settings: Any) -> ContrastiveTrainer:
    makers = {"encoder": lambda p, lr: ClippedAdamW(p, lr, clip=0.05), "head": torch.optim.SGD}
    chosen = {name: makers[name] for name in method.phase_parameters()}
    optimizers = PhaseOptimizers(method, {n: RATES[n] for n in chosen}, chosen)
    watched = [*handlers(method, optimizers), *settings.pop("handlers", [])]
    return ContrastiveTrainer(
        "cpu", EPOCHS, data, method, optimizers, train_handlers=watched, **settings
    )


@pytest.mark.parametrize("watch", [False, True], ids=["alone", "with a head that watches"])
def test_steps_are_those_of_the_formulas(watch: bool) -> None:
    method = pixel_method(head_loss=cross_entropy if watch else None)
    start, losses = weights(method.student), []
    run = engine(method, [content(seed) for seed in range(3)])
    run.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: losses.append(run.state.output[0]["loss"])
    )
    run.run()
    steps = 3 * EPOCHS
    student, teacher, center, expected = oracle.train(
        [views(content(step % 3)["image"]) for step in range(steps)],
        start,
        oracle.cosine(0.05, 1e-3, EPOCHS, 3, warmup=1),
        oracle.cosine(0.04, 0.4, EPOCHS, 3),
        oracle.cosine(0.9, 1.0, EPOCHS, 3),
        [t for t in (0.04, 0.055, 0.07, 0.07) for _ in range(3)],
        [step < 3 for step in range(steps)],
        clip=0.05,
    )
    assert all((student[name] - value).abs().max() > 1e-2 for name, value in start.items())
    torch.testing.assert_close(weights(method.student), student, rtol=0, atol=1e-10)
    torch.testing.assert_close(weights(method.teacher.module), teacher, rtol=0, atol=1e-10)
    torch.testing.assert_close(method.loss.center, center, rtol=0, atol=1e-12)
    assert losses == pytest.approx(expected, rel=1e-6)


def test_what_is_deployed_is_the_teacher() -> None:
    torch.manual_seed(0)
    vit = VisionTransformer(8, 4, 3, 6, 2, 2, drop_path=0.5, last_blocks=2)
    classifier = ImageClassifier(StandardizedEncoder(vit, [0.5] * 3, [0.2] * 3), 12, 3)
    head = DINOHead(6, PROTOTYPES, 8, 4)
    method = DINO(classifier, head, *cuts(8, 4), loss=DINOLoss(PROTOTYPES))
    assert method.student.encoder.encoder is vit
    assert classifier.encoder is method.teacher.module.encoder
    assert [b.drop_path.rate for b in classifier.encoder.encoder.blocks] == [0, 0]
    assert [b.drop_path.rate for b in vit.blocks] == [0, 0.5]
    before = {name: value.clone() for name, value in classifier.encoder.state_dict().items()}
    run = engine(method.float(), [{"image": content(0)["image"].float()}])
    run.run()
    after, fast = classifier.encoder.state_dict(), method.student.encoder.state_dict()
    learned = [name for name, _ in classifier.encoder.named_parameters()]
    assert all(not torch.equal(after[name], before[name]) for name in learned)
    assert all(not torch.equal(after[name], fast[name]) for name in learned)
    assert not any(p.requires_grad for p in classifier.encoder.parameters())
    x = content(1)["image"].float()
    assert torch.equal(method.eval()(x), classifier(x))


def test_the_head_reads_the_last_block_of_several() -> None:
    torch.manual_seed(0)
    method = pixel_method()
    wide = nn.Sequential()  # its features: five that do not count, then the five of the encoder
    wide.forward = lambda x: torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)[:, :6]  # type: ignore[method-assign]
    method.student.encoder = wide
    x = content(0)["image"]
    h = method.student.encode([x])
    assert h.shape == (4, 6)
    expected = method.student.head(h[:, 1:])
    assert torch.equal(method.student([x]), expected)


def test_views_of_one_size_go_through_together_and_only_global_ones_through_the_teacher() -> None:
    method = pixel_method()
    for _ in method.steps(content(0)):
        pass
    fast, slow = method.student.encoder, method.teacher.module.encoder
    assert fast.passes == [(8, 3, 6, 6), (12, 3, 3, 3)]
    assert slow.passes == [(8, 3, 6, 6)]


def test_the_head_that_watches_learns_from_the_teacher_and_changes_nothing_else() -> None:
    trained = []
    for loss in (None, cross_entropy):
        method = pixel_method(head_loss=loss)
        before = method.classifier.head.weight.detach().clone()
        engine(method, [content(0)]).run()
        moved = float((method.classifier.head.weight - before).detach().abs().max())
        trained.append((weights(method.student), moved))
    torch.testing.assert_close(trained[0][0], trained[1][0], rtol=0, atol=0)
    assert trained[0][1] == 0
    assert trained[1][1] > 1e-3


def test_every_view_is_drawn_anew() -> None:
    group = ViewGroup(Uniform(1), Cut(4, 1.0), 3)
    first, second, third = group(content(0)["image"])
    assert first.shape == (4, 3, 4, 4)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert not first.requires_grad


def test_bfloat16_training_of_a_transformer_stays_finite() -> None:
    torch.manual_seed(0)
    vit = VisionTransformer(8, 4, 3, 6, 2, 2, drop_path=0.1)
    head = DINOHead(6, PROTOTYPES, 8, 4)
    method = DINO(ImageClassifier(vit, 6), head, *cuts(8, 4), loss=DINOLoss(PROTOTYPES))
    engine(method, [{"image": content(0)["image"].float()}] * 3, amp=True).run()
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


def trained(folder: Path, stop: int | None = None, resume: bool = False) -> dict[str, Any]:
    """State after a training with drawn views and dropped paths, or up to an interruption."""
    torch.manual_seed(1 if resume else 0)
    vit = VisionTransformer(8, 4, 3, 6, 2, 2, drop_path=0.5)
    wide = [ViewGroup(Uniform(1), Cut(8, 1.0), 2)]
    method = DINO(
        ImageClassifier(vit, 6, 3),
        DINOHead(6, PROTOTYPES, 8, 4),
        wide,
        [ViewGroup(Uniform(1), Cut(4, 1.0), 3)],
        loss=DINOLoss(PROTOTYPES),
        head_loss=cross_entropy,
    )
    data = [{**content(k), "image": content(k)["image"].float()} for k in range(3)]
    run = engine(method, data)
    objects = {"network": method, "optimizers": run.optimizers}
    run_folder(folder, objects, resume=resume).attach(run)

    def halt() -> None:
        if run.state.iteration == stop:
            raise KeyboardInterrupt

    run.add_event_handler(Events.ITERATION_COMPLETED, halt)
    if stop is None:
        run.run()
    else:
        with pytest.raises(KeyboardInterrupt):
            run.run()
    return {name: thing.state_dict() for name, thing in objects.items()}


def test_an_interrupted_training_goes_on_to_the_bit(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    trained(tmp_path / "parts", stop=8)  # in the third of four epochs
    resumed = trained(tmp_path / "parts", resume=True)
    assert whole["network"]["loss.center"].abs().max() > 0
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"global_views": []}, r"global_views must be at least 1 and all views at least 2, got 0"),
        ({"global_views": cuts()[0][:1], "local_views": []}, r"got 1 and 1\.$"),
        ({"loss": DINOLoss(4)}, r"loss must have the 9 prototypes of the head, got 4\."),
        ({"momentum": 1.1}, r"momentum must be between 0 and 1, got 1\.1\.$"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(settings: dict[str, Any], message: str) -> None:
    wide, local = cuts()
    given = {"global_views": wide, "local_views": local, "loss": DINOLoss(PROTOTYPES)} | settings
    with pytest.raises(InputError, match=message) as caught:
        DINO(ImageClassifier(Pixels(), 5), DINOHead(5, PROTOTYPES), **given)
    assert "\n" not in str(caught.value)


def test_a_missing_label_and_a_group_without_views_are_told() -> None:
    method = pixel_method(head_loss=cross_entropy, head_target="grade")
    with pytest.raises(InputError, match=r"^DINO: the batch must hold 'grade', which the head"):
        next(iter(method.steps(content(0))))
    with pytest.raises(InputError, match=r"^ViewGroup: count must be at least 1, got 0\.$"):
        ViewGroup(FirstPixel(), Cut(3, 1.0), 0)


def shared_training() -> dict[str, Any]:
    """Weights, centre and losses of this process, of rows of batches of eight."""
    method, losses = pixel_method(head_loss=cross_entropy), []
    world, here = distributed.world_size(), distributed.rank()
    data = [
        {name: value.chunk(world)[here] for name, value in content(seed, 8).items()}
        for seed in range(3)
    ]
    run = engine(method, data)
    run.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: losses.append(run.state.output[0]["loss"])
    )
    run.run()
    return {"state": method.state_dict(), "losses": torch.tensor(losses, dtype=torch.double)}


@pytest.mark.slow
def test_two_ranks_of_half_a_batch_train_as_one_process_does(tmp_path: Path) -> None:
    one, ranks = shared_training(), on_two_ranks(shared_training, tmp_path)
    assert one["state"]["loss.center"].abs().max() > 1e-3
    for other in ranks:
        torch.testing.assert_close(other["state"], one["state"], rtol=0, atol=1e-10)
    mean = torch.stack([other["losses"] for other in ranks]).mean(dim=0)
    torch.testing.assert_close(mean, one["losses"], rtol=0, atol=1e-6)
