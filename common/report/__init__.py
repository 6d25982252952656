"""One self-contained HTML page about finished runs: `build_report`, or ``python -m common.report``.

::

    run folders ──load──▶ Run ──results, training, facts + those of its kind──▶ sections
    sections + style.css ──page──▶ report.html       (charts: figures; templates: markup)

A run folder holds ``evaluation.json`` (required), ``history.json`` and archives of arrays
(``cases.npz``, ``gallery.npz``, ``scores.npz``, ``channel.npz``, ``clusters.npz``, ``groups.npz``;
all may be absent). All runs of a page are judged by the same figure. The page says in words what
the model does and whether it can be trusted (`decision`: a threshold, `calls`: classes, `gaps`:
ages, each with its `cases`), then which strategy is better and how it was trained. A section is a
function ``(runs) -> markup`` that its kind lists.
"""

from common.report.page import build_report, outcome, report_folder, sentences

__all__ = ["build_report", "outcome", "report_folder", "sentences"]
