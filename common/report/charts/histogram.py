"""The histogram: bars from 0 to 1, stacked in shades."""

from collections.abc import Sequence

from common.report.markup import Markup, render

HEIGHT = 54


def histogram(
    edges: Sequence[float], stacks: Sequence[Sequence[float]], colour: str, title: str
) -> Markup:
    """Return a histogram of values in [0, 1].

    Args:
        edges: borders of the bins.
        stacks: of each bin, the counts that stand on top of each other, from dark to light.
        colour: of the bars.
        title: what the chart shows, for screen readers.
    """
    tallest = max((sum(stack) for stack in stacks), default=0.0) or 1.0
    bars = []
    for low, high, stack in zip(edges, edges[1:], stacks):
        base = float(HEIGHT)
        for order, count in enumerate(stack):
            height = count / tallest * (HEIGHT - 4)
            base -= height
            if count:
                shade = 1 - 0.5 * order / max(1, len(stack) - 1)
                bars.append((100 * low, 100 * (high - low), base, height, shade))
    return render("histogram", bars=bars, height=HEIGHT, colour=colour, title=title)
