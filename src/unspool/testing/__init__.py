"""For users who want to trust a gradient, and for those who add primitives, schedules and stores.

`check_grads` and `taylor_test` compare a gradient with other means, `check_finite` finds where a NaN was born,
`adjoint_growth` warns of chaos. `PrimitiveContract`, `ScheduleContract` and `StoreContract` are classes of tests to
subclass; they need pytest, which is imported when one of them is asked for.
"""

from typing import TYPE_CHECKING, Any

from unspool.errors import NonFiniteError
from unspool.finite import Birth, check_finite
from unspool.testing.gradients import GradientError, GradientReport, check_grads
from unspool.testing.growth import AdjointGrowth, adjoint_growth
from unspool.testing.taylor import TaylorTable, taylor_test

if TYPE_CHECKING:
    from unspool.testing.contracts import PrimitiveContract, ScheduleContract, StoreContract

__all__ = [
    "AdjointGrowth",
    "Birth",
    "GradientError",
    "GradientReport",
    "NonFiniteError",
    "PrimitiveContract",
    "ScheduleContract",
    "StoreContract",
    "TaylorTable",
    "adjoint_growth",
    "check_finite",
    "check_grads",
    "taylor_test",
]

_CONTRACTS = ("PrimitiveContract", "ScheduleContract", "StoreContract")


def __getattr__(name: str) -> Any:
    if name in _CONTRACTS:
        from unspool.testing import contracts

        return getattr(contracts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
