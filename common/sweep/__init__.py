"""Sweeps: ``python -m common sweep BUNDLE --grid 'hue=0:0.5:10' --seeds 5``.

::

    grid, strategies, seeds ──plan──▶ runs, their dials checked
    runs ──common.cluster──▶ launch: a process each, which trains and evaluates ──▶ outcome.json
    outcomes ──folder──▶ table.csv (tidy: a row a run, measure and class), failed.csv
    tables ──analyse──▶ analysis.json, analysis.html: ``python -m common analyse SWEEP``

What is done is not repeated, what was interrupted goes on at its last epoch, what failed is listed
and tried again. Where runs are executed is joblib's: here, on a Dask or on a Ray cluster; nothing
is scheduled by this room.
"""

__all__ = ["figures", "read_table"]


def __getattr__(name: str) -> object:
    """Import on first use: a worker of a cluster that starts a run needs none of it."""
    if name in __all__:
        from common.sweep import table

        return getattr(table, name)
    raise AttributeError(name)
