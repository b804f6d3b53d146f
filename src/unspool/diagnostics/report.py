"""Reports of loops, as a table that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unspool.observers import LoopReport, logs, table


class Log(list[LoopReport]):
    """The reports of the loops that ran, in order; printed, it is a table."""

    def __str__(self) -> str:
        return str(table(self))

    def _repr_html_(self) -> str:
        return table(self)._repr_html_()


@contextmanager
def observe() -> Iterator[Log]:
    """Collect a report of every loop that is differentiated inside the ``with`` block of this thread.

    >>> import unspool
    >>> with unspool.observe() as log:
    ...     _ = unspool.grad(lambda x: unspool.fori_loop(0, 10, lambda i, u: u * x, 1.0, policy="every-4"))(1.1)
    >>> log[0].steps, log[0].saves, log[0].predicted_steps
    (18, 2, 18)
    """
    log = Log()
    logs().append(log)
    try:
        yield log
    finally:
        logs()[:] = [other for other in logs() if other is not log]


def facts(report: LoopReport) -> dict[str, Any]:
    """What a loop took, as numbers and text that JSON can hold.

    >>> import unspool
    >>> with unspool.observe() as log:
    ...     _ = unspool.grad(lambda x: unspool.fori_loop(0, 10, lambda i, u: u * x, 1.0, policy="every-4"))(1.1)
    >>> facts(log[0])["schedule"], facts(log[0])["steps"]
    ('Every(period=4)', 18)
    """
    return {
        "policy": str(report.policy),
        "schedule": repr(report.policy),
        "n_steps": report.n_steps,
        "steps": report.steps,
        "recomputation_factor": report.recomputation_factor,
        "saves": report.saves,
        "loads": report.loads,
        "predicted_peak_bytes": report.predicted_peak_bytes,
        "peak_bytes": report.peak_bytes,
        "compiled": report.compiled,
    }
