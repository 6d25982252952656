"""One self-contained HTML page about finished runs: `build_report`, or ``python -m common.report``.

::

    run folders ──load──▶ Run ──results, training, facts + those of its kind──▶ sections
    sections + style.css ──page──▶ report.html       (charts: figures; templates: markup)

A run folder holds ``evaluation.json`` (required), ``history.json`` and archives of arrays
(``gallery.npz``, ``scores.npz``, ``channel.npz``, ``groups.npz``; all may be absent). All runs of a
page are of one kind: linear evaluation, brain-age challenge, accuracy, case against control,
several findings, or macro AUROC (`load_kinds`). A section is a function ``(runs) -> html``; adding
one is one line in `page.OF_KIND`.
"""

from common.report.page import build_report, report_folder

__all__ = ["build_report", "report_folder"]
