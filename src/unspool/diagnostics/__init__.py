"""What a person looks at: graphs, traces, comparisons, memory by line; pictures of schedules and plans; reports.

Each is imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.diagnostics.comparison import derivatives_compared
    from unspool.diagnostics.computational_graph import graph
    from unspool.diagnostics.costs import jacobian_costs
    from unspool.diagnostics.counting import n_operations
    from unspool.diagnostics.memory_lines import memory_by_line
    from unspool.diagnostics.plan_frontier import frontier
    from unspool.diagnostics.schedule_timeline import timeline
    from unspool.diagnostics.swell import expression_swell
    from unspool.diagnostics.traces import trace_table

__all__ = [
    "derivatives_compared",
    "expression_swell",
    "frontier",
    "graph",
    "jacobian_costs",
    "memory_by_line",
    "n_operations",
    "timeline",
    "trace_table",
]

_ON_DEMAND = {  # no module has the name of what it exports: the one would hide the other
    "derivatives_compared": "comparison",
    "expression_swell": "swell",
    "frontier": "plan_frontier",
    "graph": "computational_graph",
    "jacobian_costs": "costs",
    "memory_by_line": "memory_lines",
    "n_operations": "counting",
    "timeline": "schedule_timeline",
    "trace_table": "traces",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"unspool.diagnostics.{_ON_DEMAND[name]}"), name)
