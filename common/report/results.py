"""Sections on the outcome: the verdict in words, AUC by strategy, AUC by epoch."""

from collections.abc import Sequence
from itertools import pairwise

from common.report.axis import auc_axis, nice_axis
from common.report.dot_chart import DotRow, dot_chart
from common.report.groups import Group, baseline_means, group_runs
from common.report.line_chart import Frame, Line, line_chart
from common.report.markup import element, paragraph, section, swatch
from common.report.runs import Run, finite_mean
from common.report.words import STRATEGIES, listed, plural, sentence, signed

COMPARISONS = (
    ("self_supervised_supervised", "random_supervised"),
    ("self_supervised", "random"),
    ("self_supervised_supervised", "random"),
    ("self_supervised", "base_simclr"),
)
PAPER_ORDER = ("self_supervised_supervised", "random_supervised", "random", "base_simclr")
BASELINE_NAMES = {"pixels": "pixels", "untrained": "untrained encoder"}
BASELINE_SENTENCES = {
    "pixels": "the pixels themselves",
    "untrained": "an untrained encoder",
}
CHANCE = (0.5, "chance 0.50")


def verdict(runs: Sequence[Run]) -> str:
    """The one-sentence verdict, then what it does and does not show."""
    groups = group_runs(runs)
    lead, other = compared(groups)
    name = sentence(lead.long_name) if lead.key in STRATEGIES else lead.key
    words = f"{name}: AUC {lead.auc:.2f} ({lead.interval_words})"
    if other is not None:
        difference = signed(round(lead.auc, 2) - round(other.auc, 2))
        words += f", {other.long_name} {other.auc:.2f} ({other.interval_words})"
        words += f", difference {difference}"
    remarks = [_overlap(lead, other)] if other is not None else [ALONE]
    remarks.append(_against_baselines(lead, baseline_means(runs)))
    bundles = sorted({run.bundle for run in runs})
    warning = ""
    if len(bundles) > 1:
        mixed = f"These runs belong to different bundles ({listed(bundles)}): their figures are "
        warning = paragraph(mixed + "not comparable.", "warning")
    return (
        paragraph(words + ".", "verdict")
        + paragraph(" ".join(remark for remark in remarks if remark))
        + warning
    )


ALONE = (
    "Only this strategy was evaluated, so the page describes it but compares it with no other; "
    "evaluate a second strategy to see what the choice of transformations is worth."
)


def compared(groups: Sequence[Group]) -> tuple[Group, Group | None]:
    """Choose what the verdict compares: like with like where the paper does, else the best two."""
    by_key = {group.key: group for group in groups}
    for first, second in COMPARISONS:
        if first in by_key and second in by_key:
            return by_key[first], by_key[second]
    ranked = sorted(groups, key=lambda group: -group.auc)
    return ranked[0], ranked[1] if len(ranked) > 1 else None


def _overlap(first: Group, second: Group) -> str:
    if first.low > second.high or second.low > first.high:
        return "The two intervals do not overlap: other patients would hardly reverse the order."
    return (
        "The two intervals overlap, so the difference may be due to which patients were tested "
        "(no paired test was made)."
    )


def _against_baselines(group: Group, baselines: dict[str, float]) -> str:
    told = {
        name: f"on {BASELINE_SENTENCES.get(name, name)} (AUC {auc:.2f})"
        for name, auc in baselines.items()
    }
    if not told:
        return ""
    reached = [words for name, words in told.items() if baselines[name] >= group.low]
    if reached:
        return (
            f"Beware: a linear classifier {listed(reached)} does about as well, so on these images "
            "the figure says little about the training."
        )
    return f"A linear classifier {listed(list(told.values()))} does worse: the training adds to it."


def auc_by_strategy(runs: Sequence[Run]) -> str:
    """Dot and interval for each strategy, seeds as small dots, baselines as reference lines."""
    groups = group_runs(runs)
    baselines = {BASELINE_NAMES.get(k, k): auc for k, auc in baseline_means(runs).items()}
    references = [CHANCE, *((auc, f"{name} {auc:.2f}") for name, auc in baselines.items())]
    values = [value for run in runs for value in (run.auc, run.interval.low)]
    axis = auc_axis([*values, *baselines.values()])
    chart = dot_chart([_auc_row(group) for group in groups], axis, references, "AUC")
    seeds = max(len(group.runs) for group in groups)
    spread = " Where there are several seeds, the dot and the interval are means over them, and "
    spread += "the small dots are the single seeds: they show what chance in training does."
    methods = listed(sorted({run.interval.method for run in runs}))
    note = f"Dot: AUC of the last epoch. Line: interval ({methods})." + (
        spread if seeds > 1 else ""
    )
    return section(
        "auc-by-strategy",
        "AUC by strategy",
        chart,
        paragraph(note, "note"),
        *([paragraph(order)] if (order := _paper_order(groups)) else []),
    )


def _auc_row(group: Group) -> DotRow:
    several = len(group.runs) > 1
    dots = tuple((run.auc, f"seed {run.seed}: AUC {run.auc:.2f}") for run in group.runs)
    words = f"{group.auc:.2f} ({group.low:.2f}–{group.high:.2f})"
    return DotRow(
        group.name,
        group.colour,
        words + (f", {plural(len(dots), 'seed')}" if several else ""),
        dots if several else (),
        group.auc,
        group.low,
        group.high,
    )


def _paper_order(groups: Sequence[Group]) -> str:
    by_key = {group.key: group for group in groups}
    present = [by_key[key] for key in PAPER_ORDER if key in by_key]
    if len(present) < 2:
        return ""
    expected = " > ".join(group.name for group in present)
    if all(better.auc > worse.auc for better, worse in pairwise(present)):
        return f"The order the paper reports holds here, mean by mean: {expected}."
    ranked = sorted(present, key=lambda group: -group.auc)
    found = " > ".join(f"{group.name} ({group.auc:.3f})" for group in ranked)
    return f"The order the paper reports ({expected}) does not hold here: {found}."


def auc_by_epoch(runs: Sequence[Run]) -> str:
    """The paper's Fig. 2: means over seeds in one chart, then each strategy with its spread."""
    groups = group_runs(runs)
    lines = [line for group in groups if (line := _epoch_line(group)) is not None]
    heading = "AUC by epoch"
    if not lines:
        return section("auc-by-epoch", heading, paragraph("No epoch was evaluated."))
    epochs = [x for line in lines for x in line.x]
    if len(set(epochs)) == 1:
        words = f"Only epoch {epochs[0]:g} was evaluated, so there is no course to show."
        return section("auc-by-epoch", heading, paragraph(words))
    y_axis = auc_axis([y for line in lines for y in (*line.y, *line.low)])
    x_axis = nice_axis(min(epochs), max(epochs), whole=True)
    coarse = nice_axis(min(epochs), max(epochs), 2, whole=True)
    tall = Frame(x_axis, y_axis, max(300, 60 + 17 * len(lines)))
    plain = [Line(line.x, line.y, line.colour, line.label) for line in lines]
    overview = line_chart(plain, tall, "AUC by epoch, all strategies", named=True)
    small = [
        element(
            "div",
            element("h3", swatch(line.colour, line.label)),
            line_chart([*_others(lines, line), line], Frame(coarse, y_axis, 150), line.label),
            class_="panel wide",
        )
        for line in lines
    ]
    note = (
        "Across: epoch; up: AUC of a linear classifier on the frozen encoder, from chance (0.5) "
        "up. Band: lowest to highest seed or, where there is one seed, the standard deviation "
        "over hold-out sets."
    )
    panels = element("div", *small, class_="panels") if len(lines) > 1 else ""
    single = line_chart(lines, tall, "AUC by epoch", named=True)
    return section(
        "auc-by-epoch",
        heading,
        overview if len(lines) > 1 else single,
        panels,
        paragraph(note + (" Grey: the other strategies." if len(lines) > 1 else ""), "note"),
    )


def _others(lines: Sequence[Line], own: Line) -> list[Line]:
    return [
        Line(line.x, line.y, "var(--faint)", style="context") for line in lines if line is not own
    ]


def _epoch_line(group: Group) -> Line | None:
    by_epoch: dict[int, list[tuple[float, float]]] = {}
    for run in group.runs:
        for epoch in run.epochs:
            by_epoch.setdefault(epoch.number, []).append((epoch.auc, epoch.spread))
    if not by_epoch:
        return None
    epochs = sorted(by_epoch)
    mean, low, high = [], [], []
    for number in epochs:
        values = [auc for auc, _ in by_epoch[number]]
        centre = finite_mean(values)
        fold = by_epoch[number][0][1] if len(values) == 1 else 0.0
        mean.append(centre)
        low.append(min(values) - fold)
        high.append(max(values) + fold)
    return Line(
        tuple(map(float, epochs)), tuple(mean), group.colour, group.name, tuple(low), tuple(high)
    )
