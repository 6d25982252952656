"""Charts and pictures of the report, as SVG in the page: axes, dots, lines, points, images."""

from common.report.charts.axis import Axis, auc_axis, measure_axis, nice_axis
from common.report.charts.dot_chart import DotRow, dot_chart
from common.report.charts.histogram import histogram
from common.report.charts.line_chart import Frame, Line, line_chart, reliability_chart, steps
from common.report.charts.picture import framed, outline
from common.report.charts.scatter_chart import cloud_chart, scatter_chart

__all__ = [
    "Axis",
    "DotRow",
    "Frame",
    "Line",
    "auc_axis",
    "cloud_chart",
    "dot_chart",
    "framed",
    "histogram",
    "line_chart",
    "measure_axis",
    "nice_axis",
    "outline",
    "reliability_chart",
    "scatter_chart",
    "steps",
]
