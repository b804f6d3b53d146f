"""Reports of loops, as a table that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from unspool.memory import human_bytes
from unspool.observers import LoopReport, logs


class Log(list[LoopReport]):
    """The reports of the loops that ran, in order; printed, it is a table."""

    def __str__(self) -> str:
        head = (
            "loop",
            "policy",
            "steps",
            "run",
            "×",
            "saves",
            "loads",
            "predicted",
            "measured",
            "RSS",
            "sweep s",
            "unwind s",
        )
        rows = [head, *map(_row, self)]
        widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
        lines = [
            "  ".join(
                cell.rjust(w) if k > 1 else cell.ljust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join(line.rstrip() for line in lines)


def _row(r: LoopReport) -> tuple[str, ...]:
    return (
        r.name,
        str(r.policy),
        f"{r.n_steps:,}",
        f"{r.steps:,}",
        f"{r.recomputation_factor:.2f}",
        f"{r.saves:,}",
        f"{r.loads:,}",
        human_bytes(r.predicted_peak_bytes),
        human_bytes(r.peak_bytes),
        human_bytes(max(0, r.rss_growth_bytes)),
        f"{r.seconds.get('sweep', 0.0):.3f}",
        f"{r.seconds.get('unwind', 0.0):.3f}",
    )


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
