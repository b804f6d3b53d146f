"""Every exception that unspool raises.

A message has three parts: what is wrong, where in the user's code, and what to do instead.
"""

from typing import Any


class UnspoolError(Exception):
    """The root of all exceptions of this package."""


class ScheduleError(UnspoolError):
    """A schedule broke a law: the message names the action, the law and the state of the machine."""


class PolicyError(UnspoolError, ValueError):
    """A policy, a slot count or a length makes no sense: raised before the first step."""


class BudgetError(PolicyError):
    """The memory given is too little for any schedule; the message names the least that works."""


class UnsupportedError(UnspoolError, TypeError):
    """A function, a keyword or an argument has no derivative rule here; nothing is ever ignored."""


class DetachedError(UnspoolError, TypeError):
    """A traced value was about to become a plain one, which would lose its derivative without a word."""


class InputError(UnspoolError, TypeError):
    """An argument or a result of a transform cannot be differentiated: its type, shape or structure is wrong."""


class ClosedError(UnspoolError, RuntimeError):
    """A traced value was used after the function that it was traced in had ended."""


class StateError(UnspoolError, TypeError):
    """The state of a loop changed its structure, shape or dtype from one step to the next."""


class NonFiniteError(UnspoolError, ArithmeticError):
    """A NaN or an infinity reached a state, a result or a gradient; ``birth`` says where it was born."""

    def __init__(self, message: str, birth: Any = None) -> None:
        super().__init__(message)
        self.birth = birth


class ReplayError(UnspoolError, RuntimeError):
    """A step computed another result when it was run again: the step is not a function of its state."""


class ProgramError(UnspoolError, ValueError):
    """A program is not well formed: a value is used before it is bound, bound twice, or has another type."""


class ZeroGradientWarning(UserWarning):
    """A loss depends on none of the arguments that it is differentiated in: the gradient is zero."""
