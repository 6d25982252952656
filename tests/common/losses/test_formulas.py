"""Every loss against its loops and, where there is one, against a closed form."""

import math

import pytest
import torch
from torch import Tensor

from common.kernels import Cauchy, Cosine, Delta, Gaussian, Kernel, Window
from common.losses import (
    DecoupledInfoNCE,
    EnD,
    FairKL,
    Hinge,
    InfoNCE,
    KernelContrastive,
    SupCon,
    SupInfoNCE,
    repulsion,
)
from tests.common.losses.loss_cases import views
from tests.oracles import kernel_losses, labelled_losses
from tests.oracles import losses as oracle

LABEL = torch.tensor([1, 0, 1, 4, 0, 0])
BIAS = torch.tensor([0, 1, 1, 0, 0, 1])
AGE = torch.tensor([20.0, 25, 25, 40, 60, 33], dtype=torch.double)
KERNELS: dict[str, tuple[Kernel, kernel_losses.Kernel]] = {
    "Gaussian": (Gaussian(5.0), kernel_losses.gaussian(5.0)),
    "Cauchy": (Cauchy(0.1), kernel_losses.cauchy(0.1)),
    "Delta": (Delta(), kernel_losses.delta),
    "Window": (Window(6.0), kernel_losses.window(6.0)),
}
DENOMINATORS = {
    ("all", "paper"): kernel_losses.log_denominator_all,
    ("all", "released"): kernel_losses.log_denominator_all,
    ("threshold", "paper"): kernel_losses.log_denominator_threshold,
    ("threshold", "released"): kernel_losses.log_denominator_threshold_released,
    ("exponential", "paper"): kernel_losses.log_denominator_exponential,
    ("exponential", "released"): kernel_losses.exponential_released(0.1),
}
VIEWS = pytest.mark.parametrize("n_views", [1, 2, 3])


@pytest.fixture(params=[512, 5], ids=["at once", "tiles of 5"])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Tiles that do not divide the rows, and that cut through a subject's views."""
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": request.param})
    side: int = request.param
    return side


def column(y: Tensor) -> list[list[float]]:
    points: list[list[float]] = y.reshape(len(y), -1).tolist()
    return points


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0])
def test_decoupled_info_nce_equals_its_loops(temperature: float, tile: int) -> None:
    z = views()
    expected = oracle.decoupled_info_nce(z.numpy(), temperature)
    assert float(DecoupledInfoNCE(temperature)(z)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n_views", [2, 3, 4])
@pytest.mark.parametrize("epsilon", [0.0, 0.25])
def test_info_nce_equals_its_loops(n_views: int, epsilon: float, tile: int) -> None:
    z = views(n_views=n_views)
    expected = oracle.info_nce(z.numpy(), 0.1, epsilon)
    assert float(InfoNCE(0.1, epsilon)(z)) == pytest.approx(expected, abs=1e-9)


def test_info_nce_of_two_views_without_margin_is_nt_xent() -> None:
    z = views()
    assert float(InfoNCE(0.3)(z)) == pytest.approx(oracle.nt_xent(z.numpy(), 0.3), abs=1e-9)


@pytest.mark.parametrize("subjects", [2, 3, 8])
def test_orthogonal_rows_give_the_log_of_the_count(subjects: int) -> None:
    z = torch.eye(2 * subjects, dtype=torch.double).reshape(subjects, 2, -1)
    assert float(InfoNCE(0.1)(z)) == pytest.approx(math.log(2 * subjects - 1))
    assert float(DecoupledInfoNCE(0.1)(z)) == pytest.approx(math.log(subjects - 1), abs=1e-12)


def test_a_large_margin_leaves_the_positive_out_of_the_denominator() -> None:
    z = torch.eye(3, dtype=torch.double).unsqueeze(1).repeat(1, 2, 1)
    assert float(InfoNCE(1.0, epsilon=50)(z)) == pytest.approx(math.log(4) - 1)


def test_decoupled_info_nce_goes_one_way_from_view_0_to_view_1() -> None:
    z = views()
    assert float(DecoupledInfoNCE()(z)) != pytest.approx(float(DecoupledInfoNCE()(z.flip(1))))


@VIEWS
@pytest.mark.parametrize("epsilon", [0.0, 0.25])
def test_sup_info_nce_equals_its_loops(n_views: int, epsilon: float, tile: int) -> None:
    z, label = views(n_views=n_views), LABEL.tolist()
    expected = labelled_losses.sup_info_nce_out(z.numpy(), label, 0.1, epsilon)
    assert float(SupInfoNCE(0.1, epsilon)(z, LABEL)) == pytest.approx(expected, abs=1e-9)
    expected = labelled_losses.sup_info_nce_in(z.numpy(), label, 0.1, epsilon)
    assert float(SupInfoNCE(0.1, epsilon, "in")(z, LABEL)) == pytest.approx(expected, abs=1e-9)


@VIEWS
@pytest.mark.parametrize("epsilon", [0.0, 0.25])
def test_sup_con_equals_its_loops(n_views: int, epsilon: float, tile: int) -> None:
    z = views(n_views=n_views)
    expected = labelled_losses.sup_con(z.numpy(), LABEL.tolist(), 0.1, epsilon)
    assert float(SupCon(0.1, epsilon)(z, LABEL)) == pytest.approx(expected, abs=1e-9)


@VIEWS
@pytest.mark.parametrize("form", ["max", "sum"])
@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_hinge_equals_its_loops(form: str, epsilon: float, n_views: int, tile: int) -> None:
    z = views(n_views=n_views)
    expected = labelled_losses.hinge(z.numpy(), LABEL.tolist(), epsilon, form)
    loss = Hinge(epsilon, form)  # type: ignore[arg-type]
    assert float(loss(z, LABEL)) == pytest.approx(expected, abs=1e-9)


@VIEWS
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("kind", "variant"), DENOMINATORS)
def test_kernel_contrastive_equals_its_loops(
    kernel: str, kind: str, variant: str, n_views: int, tile: int
) -> None:
    z, (of_ages, of_points) = views(n_views=n_views), KERNELS[kernel]
    denominator = DENOMINATORS[kind, variant]
    expected = kernel_losses.kernel_contrastive(z.numpy(), column(AGE), of_points, 0.1, denominator)
    loss = KernelContrastive(of_ages, 0.1, kind, variant)  # type: ignore[arg-type]
    assert float(loss(z, AGE)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("kind", "variant"), DENOMINATORS)
def test_kernel_contrastive_takes_an_attribute_of_several_numbers(
    kind: str, variant: str, tile: int
) -> None:
    z, y = views(), views(n_views=1).squeeze(1).abs()
    denominator = DENOMINATORS[kind, variant]
    expected = kernel_losses.kernel_contrastive(
        z.numpy(), column(y), kernel_losses.cosine, 0.1, denominator
    )
    loss = KernelContrastive(Cosine(), 0.1, kind, variant)  # type: ignore[arg-type]
    assert float(loss(z, y)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 20.0, 60.0])
def test_exponential_pulls_together_what_age_does_not_explain(sigma: float) -> None:
    """Rows at one cosine to each other, nearly 1: what the loss gains as they close up."""
    temperature, apart, n = 0.1, 1e-5, len(AGE)
    closed = torch.zeros(n, 1, n + 1, dtype=torch.double)
    closed[:, :, n] = 1
    spread = closed.clone()
    spread[range(n), 0, range(n)] = apart**0.5
    pull = {}
    for name in DENOMINATORS:
        loss = KernelContrastive(Gaussian(sigma), temperature, *name)
        pull[name] = float(loss(spread, AGE) - loss(closed, AGE)) * temperature / apart
    w = kernel_losses.weights(column(AGE), 1, kernel_losses.gaussian(sigma))
    plain, far = [], []
    for i in range(n):
        others = [t for t in range(n) if t != i]
        plain.append(sum(w[i][t] for t in others) / len(others))
        weighed = 0.0
        for k in others:
            counts = {t: math.exp((1 - w[i][t]) / temperature) for t in others if t != k}
            mean = sum(counts[t] * w[i][t] for t in counts) / sum(counts.values())
            weighed += w[i][k] * mean
        far.append(weighed / sum(w[i][k] for k in others))
    assert pull.pop(("exponential", "released")) == pytest.approx(sum(plain) / n, abs=1e-3)
    assert pull.pop(("exponential", "paper")) == pytest.approx(sum(far) / n, abs=1e-3)
    assert list(pull.values()) == pytest.approx([0, 0, 0, 0], abs=1e-3)


def test_weights_below_zero_count_as_zero() -> None:
    z, y = views(), torch.tensor([1.0, 2.0, -1.0, -3.0, 1.0, 4.0])
    loss = KernelContrastive(Cosine(), 0.1)(z, y)
    assert float(loss) == pytest.approx(float(KernelContrastive(Delta(), 0.1)(z, y.sign())))


@VIEWS
@pytest.mark.parametrize("statistic", ["distance", "similarity"])
def test_fairkl_equals_its_loops(statistic: str, n_views: int, tile: int) -> None:
    z, groups = views(n_views=n_views), (LABEL.tolist(), BIAS.tolist())
    expected = labelled_losses.fairkl(z.numpy(), *groups, statistic, variance_floor=0.02)
    loss = FairKL(statistic, variance_floor=0.02)  # type: ignore[arg-type]
    assert float(loss(z, LABEL, BIAS)) == pytest.approx(expected, abs=1e-9)
    expected = labelled_losses.fairkl(z.numpy(), *groups, statistic, kld=2.0)
    loss = FairKL(statistic, "moments", kld=2.0)  # type: ignore[arg-type]
    assert float(loss(z, LABEL, BIAS)) == pytest.approx(expected, abs=1e-9)


@VIEWS
def test_fairkl_as_released_equals_its_loops_and_reads_view_0(n_views: int, tile: int) -> None:
    z = views(n_views=n_views)
    expected = labelled_losses.fairkl_released(z.numpy(), LABEL.tolist(), BIAS.tolist(), 2.0)
    for statistic in ("distance", "similarity"):
        loss = FairKL(statistic, "released", kld=2.0)(z, LABEL, BIAS)  # type: ignore[arg-type]
        assert float(loss) == pytest.approx(expected, abs=1e-9)


def test_fairkl_of_many_small_cells_equals_its_loops(tile: int) -> None:
    z, label, bias = views(subjects=9, size=20), torch.arange(9) // 2, torch.arange(9) % 3
    for statistic in ("distance", "similarity"):
        expected = labelled_losses.fairkl(z.numpy(), label.tolist(), bias.tolist(), statistic)
        loss = FairKL(statistic)(z, label, bias)  # type: ignore[arg-type]
        assert float(loss) == pytest.approx(expected, abs=1e-9)


@VIEWS
def test_end_equals_its_loops(n_views: int) -> None:
    z = views(n_views=n_views)
    expected = labelled_losses.end(z.numpy(), LABEL.tolist(), BIAS.tolist(), 0.3, 0.7)
    assert float(EnD(0.3, 0.7)(z, LABEL, BIAS)) == pytest.approx(expected, abs=1e-9)


def test_labels_that_are_the_subjects_give_info_nce() -> None:
    z, subject = views(n_views=3), torch.arange(6)
    expected = float(InfoNCE(0.2, 0.1)(z))
    assert float(SupInfoNCE(0.2, 0.1)(z, subject)) == pytest.approx(expected, abs=1e-12)


def test_the_delta_kernel_gives_sup_con() -> None:
    z = views()
    expected = float(SupCon(0.2)(z, LABEL))
    value = float(KernelContrastive(Delta(), 0.2)(z, LABEL.double()))
    assert value == pytest.approx(expected, abs=1e-12)


def test_a_batch_of_one_label_leaves_minus_the_margin() -> None:
    z, label = views(), torch.zeros(6, dtype=torch.long)
    assert float(SupInfoNCE(0.1, 0.25)(z, label)) == pytest.approx(-0.25, abs=1e-12)
    assert float(SupInfoNCE(0.1, 100.0)(z, label)) == pytest.approx(-100, abs=1e-12)
    inside = float(SupInfoNCE(0.1, 0.25, "in")(z, label))
    assert inside == pytest.approx(-0.25 - math.log(11), abs=1e-12)


def test_anchors_without_positives_count_as_zero_in_the_mean() -> None:
    z = torch.eye(4, dtype=torch.double)[:, None]
    label = torch.tensor([0, 0, 1, 2])
    assert float(SupCon(0.1)(z, label)) == pytest.approx(2 * math.log(3) / 4)
    assert float(SupInfoNCE(0.1)(z, label)) == pytest.approx(2 * math.log(3) / 4)


def test_an_anchor_of_weight_zero_to_all_counts_as_zero(tile: int) -> None:
    z, y = torch.eye(4, dtype=torch.double)[:, None], torch.tensor([0.0, 0, 1e3, 2e3])
    assert float(KernelContrastive(Gaussian(1.0), 0.1)(z, y)) == pytest.approx(2 * math.log(3) / 4)
    paper = KernelContrastive(Gaussian(1.0), 0.1, "threshold")(z, y)
    assert float(paper) == pytest.approx(2 * math.log(2) / 4)


def test_a_small_weight_is_not_lost_beside_that_of_the_anchor_itself() -> None:
    z, y = views(subjects=3, n_views=1, dtype=torch.float32), torch.tensor([0.0, 6.0, 12.5])
    for repulsion_kind in ("all", "threshold", "exponential"):
        loss = KernelContrastive(Gaussian(1.0), 0.5, repulsion_kind)  # type: ignore[arg-type]
        torch.testing.assert_close(loss(z, y).double(), loss(z.double(), y), rtol=1e-5, atol=1e-6)


def test_exponential_repulsion_keeps_precision_where_one_term_dominates() -> None:
    z = torch.eye(6, 5)[:, None] + 0.01 * views(n_views=1, dtype=torch.float32)
    z[1] = z[0]  # a cosine of 1 at temperature 0.02: e^50 beside e^0
    loss = KernelContrastive(Gaussian(0.1), 0.02, "exponential")
    torch.testing.assert_close(loss(z, AGE).double(), loss(z.double(), AGE), rtol=1e-5, atol=0)


def test_equal_groups_have_no_divergence_and_moved_ones_that_of_the_formula() -> None:
    z = torch.tensor([[1.0, 0], [0, 1.0], [1.0, 0], [0, 1.0]], dtype=torch.double)[:, None]
    label, bias = torch.zeros(4, dtype=torch.long), torch.tensor([0, 0, 1, 1])
    # aligned pairs are sqrt(2) apart, conflicting ones 0 or sqrt(2): mean 1/sqrt(2), variance 1/2
    value = FairKL(variance_floor=0.5)(z, label, bias)
    assert float(value) == pytest.approx(0.5 * (1 + 0.5 / 0.5 - 0 - 1), abs=1e-9)
    assert float(FairKL(variant="moments")(z, label, bias)) == pytest.approx(0.5 + 0.5)
