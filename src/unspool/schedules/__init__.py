"""Checkpointing schedules: when to save a state, when to load it, and what to compute again.

A schedule says it in six verbs on integers; `simulate` checks any schedule and prices it.
"""

from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save, Tier
from unspool.schedules.base import FOREVER, FoldedSchedule, OnlineSchedule, Schedule
from unspool.schedules.binomial import Binomial, revolve_advances
from unspool.schedules.encode import batches, decode, encode
from unspool.schedules.every import Every
from unspool.schedules.machine import Cost, Machine, simulate
from unspool.schedules.online import Online
from unspool.schedules.policy import as_schedule
from unspool.schedules.revolve import Revolve
from unspool.schedules.store_all import StoreAll

__all__ = [
    "FOREVER",
    "Action",
    "Advance",
    "Binomial",
    "Cost",
    "Drop",
    "Every",
    "FoldedSchedule",
    "Load",
    "Machine",
    "Online",
    "OnlineSchedule",
    "Record",
    "Reverse",
    "Revolve",
    "Save",
    "Schedule",
    "StoreAll",
    "Tier",
    "as_schedule",
    "batches",
    "decode",
    "encode",
    "revolve_advances",
    "simulate",
]
