"""Every exception that unspool raises.

A message has three parts: what is wrong, where in the user's code, and what to do instead.
"""


class UnspoolError(Exception):
    """The root of all exceptions of this package."""


class ScheduleError(UnspoolError):
    """A schedule broke a law: the message names the action, the law and the state of the machine."""


class PolicyError(UnspoolError, ValueError):
    """A policy, a slot count or a length makes no sense: raised before the first step."""
