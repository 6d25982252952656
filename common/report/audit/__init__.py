"""The audit as a page: what transformations do to one's images, to look at and in plain words.

::

    common.audit ──Audit (result)──▶ looks, destroys, shortcuts, difficulty, verdict ──▶ audit.html

The dataclasses of `common.report.audit.result` are the schema of ``audit.json``; `common.audit`
fills them in.
"""
