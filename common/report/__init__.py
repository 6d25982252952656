"""One self-contained HTML page about finished runs: `build_report`, or ``python -m common.report``.

::

    run folders ──load──▶ Run ──results, training, transformations, gallery, facts──▶ sections
    sections + style.css ──page──▶ report.html       (*_chart: figures; words: language)

A run folder holds ``evaluation.json`` (required), ``history.json`` and ``gallery.npz`` (both may
be absent). A section is a function ``(runs) -> html``; adding one is one line in `page.SECTIONS`.
"""

from common.report.page import build_report, report_folder

__all__ = ["build_report", "report_folder"]
