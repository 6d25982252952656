"""Sections on the outcome: the verdict in words, the figure by strategy and by epoch."""

import math
from collections.abc import Sequence
from itertools import pairwise

from common.report.charts import DotRow, Frame, Line, dot_chart, line_chart, measure_axis, nice_axis
from common.report.groups import Group, baseline_means, group_row, group_runs
from common.report.kind import Measure
from common.report.markup import Markup, panel, panels, paragraph, section, swatch
from common.report.run import Run, finite_mean
from common.report.words import listed, plural, sentence, signed

COMPARISONS = (
    ("self_supervised_supervised", "random_supervised"),
    ("self_supervised", "random"),
    ("self_supervised_supervised", "random"),
    ("self_supervised", "base_simclr"),
)
PAPER_ORDER = ("self_supervised_supervised", "random_supervised", "random", "base_simclr")
SEVERAL = 3  # seeds that both strategies need before the page says which is better
BASELINE_NAMES = {
    "pixels": "pixels",
    "features": "input features",
    "untrained": "untrained encoder",
}
BASELINE_SENTENCES = {
    "pixels": "the pixels themselves",
    "features": "the input features themselves",
    "untrained": "an untrained encoder",
}

BEWARE = "Beware"


def verdict(runs: Sequence[Run]) -> Markup:
    """The one-sentence verdict, then what it does and does not show."""
    groups = group_runs(runs)
    lead, other = compared(groups)
    measure = lead.measure
    words = f"{lead.name}: {measure.name} {lead.written} ({lead.interval_words})"
    if other is not None:
        first, second = (round(group.value, measure.decimals) for group in (lead, other))
        difference = signed(first - second, measure.decimals) + measure.difference
        words += f", {other.name} {other.written} ({other.interval_words})"
        words += f", difference {difference}"
    remarks = [_order(lead, other)] if other is not None else [_alone(measure)]
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


def _alone(measure: Measure) -> str:
    return (
        "Only this strategy was evaluated, so the page describes it but compares it with no other; "
        f"evaluate a second strategy to see what the choice of {measure.choice} is worth."
    )


def compared(groups: Sequence[Group]) -> tuple[Group, Group | None]:
    """Choose what the verdict compares: like with like where the paper does, else the best two."""
    by_key = {group.key: group for group in groups}
    for first, second in COMPARISONS:
        if first in by_key and second in by_key:
            return by_key[first], by_key[second]
    ranked = _ranked(groups)
    return ranked[0], ranked[1] if len(ranked) > 1 else None


def who(runs: Sequence[Run], run: Run) -> str:
    """Name the run that a section speaks of: a seed of the verdict's first strategy."""
    return f"{compared(group_runs(runs))[0].name}, seed {run.seed}"


def _ranked(groups: Sequence[Group]) -> list[Group]:
    """Best first."""
    sign = 1 if groups[0].measure.lower_is_better else -1
    return sorted(groups, key=lambda group: sign * group.value)


def _order(first: Group, second: Group) -> str:
    """Whether the seeds both have agree on which is better; silent on it below `SEVERAL` seeds."""
    drawn = first.measure.drawn
    apart = first.low > second.high or second.low > first.high
    words = f"The two intervals, over {drawn}, {'do not overlap' if apart else 'overlap'}. "
    pairs = _paired(first, second)
    if len(pairs) < SEVERAL:
        return (
            f"{words}They do not say what another training would give: with "
            f"{plural(len(pairs), 'seed')} of both, nothing is said on which is better; train "
            f"{SEVERAL} or more."
        )
    wins = sum(first.measure.better(a, b) for a, b in pairs)
    ahead, times = (first, wins) if 2 * wins >= len(pairs) else (second, len(pairs) - wins)
    words += f"{ahead.name} is better in {times} of the {len(pairs)} seeds of both"
    return f"{words}{'.' if times == len(pairs) else ': the seeds do not agree.'}"


def _paired(first: Group, second: Group) -> list[tuple[float, float]]:
    """The figures of the seeds that both have."""
    others = {run.seed: run.value for run in second.runs}
    return [(run.value, others[run.seed]) for run in first.runs if run.seed in others]


def beware(runs: Sequence[Run]) -> list[str]:
    """The sentences on guessing and on baselines that reach the figure, if they do."""
    group = compared(group_runs(runs))[0]
    words = _against_baselines(group, baseline_means(runs))
    return [*_at_chance(group), *([words] if words.startswith(BEWARE) else [])]


def outcome(runs: Sequence[Run]) -> list[str]:
    """The figure with its interval, and what to beware of, a sentence each."""
    group = compared(group_runs(runs))[0]
    return [f"{group.measure.name} {group.written} ({group.interval_words}).", *beware(runs)]


def _at_chance(group: Group) -> list[str]:
    """The sentence on a figure whose interval holds that of guessing, where that one is known."""
    chance = finite_mean([run.chance for run in group.runs if run.chance is not None])
    measure = group.measure
    worse = group.worse if math.isfinite(group.worse) else group.value
    if not math.isfinite(chance) or measure.better(worse, chance):
        return []
    return [
        f"{BEWARE}: guessing gives {measure.name} {measure.written(chance)}, and the figure "
        f"({measure.written(group.value)}, {group.interval_words}) is not surely better: the model "
        "may have learnt nothing of what it was trained for."
    ]


def _against_baselines(group: Group, baselines: dict[str, float]) -> str:
    measure = group.measure
    sentences = {
        name: f"on {BASELINE_SENTENCES.get(name, name)} ({measure.name} {measure.written(value)})"
        for name, value in baselines.items()
    }
    if not sentences:
        return ""
    reached = [
        words
        for name, words in sentences.items()
        if not measure.better(group.worse, baselines[name])
    ]
    if reached:
        return (
            f"{BEWARE}: {measure.baseline} {listed(reached)} does about as well or better, so on "
            "these images the figure says little about the training."
        )
    worse = f"{measure.baseline} {listed(list(sentences.values()))} does worse"
    return f"{sentence(worse)}: the training adds to it."


def by_strategy(runs: Sequence[Run]) -> Markup:
    """Dot and interval for each strategy, seeds as small dots, baselines as reference lines."""
    groups, measure = group_runs(runs), runs[0].measure
    baselines = {BASELINE_NAMES.get(name, name): v for name, v in baseline_means(runs).items()}
    chance = finite_mean([run.chance for run in runs if run.chance is not None])
    lines = ({"chance": chance} if math.isfinite(chance) else {}) | baselines
    references = [(value, f"{name} {measure.written(value)}") for name, value in lines.items()]
    ends = [end for run in runs for end in (run.value, run.interval.low)]
    ends += [run.interval.high for run in runs] if measure.highest == math.inf else []
    axis = measure_axis(measure, [*ends, *lines.values()])
    title = measure.name + (" (lower is better)" if measure.lower_is_better else "")
    chart = dot_chart([_row(group) for group in groups], axis, references, title)
    seeds = max(len(group.runs) for group in groups)
    spread = " Where there are several seeds, the dot and the interval are means over them, and "
    spread += "the small dots are the single seeds: they show what chance in training does."
    methods = listed(sorted({run.method for run in runs}))
    note = f"Dot: {measure.name} of the last epoch. Line: interval ({methods})." + (
        spread if seeds > 1 else ""
    )
    return section(
        "by-strategy",
        sentence(f"{measure.name} by strategy"),
        chart,
        paragraph(note, "note"),
        *([paragraph(order)] if (order := _paper_order(groups)) else []),
    )


def _row(group: Group) -> DotRow:
    measure = group.measure
    return group_row(
        group,
        [(run.seed, run.interval) for run in group.runs],
        measure.decimals,
        lambda value: f"{measure.name} {measure.written(value)}",
        unit=measure.unit,
    )


def _paper_order(groups: Sequence[Group]) -> str:
    by_key = {group.key: group for group in groups}
    present = [by_key[key] for key in PAPER_ORDER if key in by_key]
    if len(present) < 2 or min(len(group.runs) for group in present) < SEVERAL:
        return ""
    expected = " > ".join(group.name for group in present)
    if all(better.value > worse.value for better, worse in pairwise(present)):
        return f"The order the paper reports holds here, mean by mean: {expected}."
    ours = " > ".join(f"{group.name} ({group.value:.3f})" for group in _ranked(present))
    return f"The order the paper reports ({expected}) does not hold here: {ours}."


def by_epoch(runs: Sequence[Run]) -> Markup:
    """The paper's Fig. 2: means over seeds in one chart, then each strategy with its spread."""
    groups, measure = group_runs(runs), runs[0].measure
    lines = [line for group in groups if (line := _epoch_line(group)) is not None]
    heading = sentence(f"{measure.name} by epoch")
    if not lines:
        return section("by-epoch", heading, paragraph("No epoch was evaluated."))
    epochs = [x for line in lines for x in line.x]
    if len(set(epochs)) == 1:
        figures = listed([f"{line.label} {measure.written(line.y[0])}" for line in lines])
        words = f"Only epoch {epochs[0]:g} was evaluated: {figures}."
        return section("by-epoch", heading, paragraph(words))
    ys = [y for line in lines for y in (*line.y, *line.low)]
    ys += [y for line in lines for y in line.high] if measure.highest == math.inf else []
    y_axis = measure_axis(measure, ys)
    tall_axis = y_axis.titled(f"{measure.name}{measure.unit and f',{measure.unit}'}")
    x_axis = nice_axis(min(epochs), max(epochs), whole=True).titled("epoch")
    coarse = nice_axis(min(epochs), max(epochs), 2, whole=True)
    tall = Frame(x_axis, tall_axis, max(300, 60 + 17 * len(lines)))
    plain = [Line(line.x, line.y, line.colour, line.label) for line in lines]
    overview = line_chart(plain, tall, f"{heading}, all strategies", named=True)
    small = [
        panel(
            line_chart([*_others(lines, line), line], Frame(coarse, y_axis, 150), line.label),
            swatch(line.colour, line.label),
        )
        for line in lines
    ]
    note = f"Across: epoch; up: {measure.judged}. Band: lowest to highest seed"
    if any(epoch.spread for run in runs for epoch in run.epochs):
        note += " or, where there is one seed, the standard deviation over hold-out sets"
    note += "."
    single = line_chart(lines, tall, heading, named=True)
    return section(
        "by-epoch",
        heading,
        overview if len(lines) > 1 else single,
        panels(*small) if len(lines) > 1 else "",
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
            by_epoch.setdefault(epoch.epoch, []).append((run.figure(epoch), epoch.spread))
    if not by_epoch:
        return None
    epochs = sorted(by_epoch)
    mean, low, high = [], [], []
    for number in epochs:
        values = [value for value, _ in by_epoch[number]]
        centre = finite_mean(values)
        fold = by_epoch[number][0][1] if len(values) == 1 else 0.0
        mean.append(centre)
        low.append(min(values) - fold)
        high.append(max(values) + fold)
    return Line(
        tuple(map(float, epochs)), tuple(mean), group.colour, group.name, tuple(low), tuple(high)
    )
