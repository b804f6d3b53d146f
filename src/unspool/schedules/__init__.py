"""Checkpointing schedules: when to save a state, when to load it, and what to compute again.

A schedule says it in six verbs on integers; `simulate` checks any schedule and prices it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save, Tier
from unspool.schedules.base import FOREVER, FoldedSchedule, OnlineSchedule, Schedule
from unspool.schedules.binomial import Binomial, revolve_advances
from unspool.schedules.encode import batches, decode, encode
from unspool.schedules.every import Every
from unspool.schedules.online import Online
from unspool.schedules.policy import as_schedule
from unspool.schedules.revolve import Revolve
from unspool.schedules.store_all import StoreAll

if TYPE_CHECKING:
    from unspool.schedules.disk_revolve import DiskRevolve
    from unspool.schedules.hrevolve import HRevolve
    from unspool.schedules.machine import Cost, Machine, simulate
    from unspool.schedules.mixed import Mixed
    from unspool.schedules.multistage import Multistage
    from unspool.schedules.prices import Prices
    from unspool.schedules.two_level import TwoLevel
    from unspool.schedules.uneven import Uneven

__all__ = [
    "FOREVER",
    "Action",
    "Advance",
    "Binomial",
    "Cost",
    "DiskRevolve",
    "Drop",
    "Every",
    "FoldedSchedule",
    "HRevolve",
    "Load",
    "Machine",
    "Mixed",
    "Multistage",
    "Online",
    "OnlineSchedule",
    "Prices",
    "Record",
    "Reverse",
    "Revolve",
    "Save",
    "Schedule",
    "StoreAll",
    "Tier",
    "TwoLevel",
    "Uneven",
    "as_schedule",
    "batches",
    "decode",
    "encode",
    "revolve_advances",
    "simulate",
]

_ON_DEMAND = {  # found when they are asked for, so that importing the package stays cheap
    "Cost": "machine",
    "DiskRevolve": "disk_revolve",
    "HRevolve": "hrevolve",
    "Machine": "machine",
    "Mixed": "mixed",
    "Multistage": "multistage",
    "Prices": "prices",
    "TwoLevel": "two_level",
    "Uneven": "uneven",
    "simulate": "machine",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ON_DEMAND[name]}"), name)
