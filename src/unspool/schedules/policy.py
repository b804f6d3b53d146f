"""What a user writes to choose a schedule, and the schedule that it names."""

import re
from collections.abc import Callable

from unspool.errors import PolicyError
from unspool.schedules.base import Schedule
from unspool.schedules.every import Every
from unspool.schedules.online import Online
from unspool.schedules.revolve import Revolve
from unspool.schedules.store_all import StoreAll

POLICIES: dict[str, tuple[Callable[..., Schedule], str]] = {
    r"none": (StoreAll, "'none': keep the residuals of every step"),
    r"every-(\d+)": (Every, "'every-k': a snapshot every k steps"),
    r"(?:revolve|binomial)-(\d+)": (
        Revolve,
        "'revolve-c' or 'binomial-c': at most c snapshots, and the fewest evaluations",
    ),
    r"online-(\d+)": (Online, "'online-c': the same, the number of steps being unknown"),
}


def as_schedule(policy: str | Schedule) -> Schedule:
    """Return the schedule that a policy names; a schedule names itself.

    Upper and lower case are the same. PolicyError lists what is accepted.

    >>> as_schedule("every-10"), as_schedule("Binomial-5")
    (Every(period=10), Revolve(slots=5, leaf=1))
    >>> as_schedule("revolve")
    Traceback (most recent call last):
        ...
    unspool.errors.PolicyError: there is no policy 'revolve'; ...
    """
    if isinstance(policy, Schedule):
        return policy
    if isinstance(policy, str):
        for pattern, (schedule, _) in POLICIES.items():
            if match := re.fullmatch(pattern, policy.strip().lower(), re.ASCII):
                return schedule(*map(int, match.groups()))
    kind = policy if isinstance(policy, type) else type(policy)
    if kind.__module__.startswith("checkpoint_schedules"):
        raise PolicyError(
            f"{kind.__name__} of the package checkpoint_schedules is not a policy as it stands; wrap it: "
            f"unspool.interop.checkpoint_schedules.from_checkpoint_schedules({kind.__name__}, ...)"
        )
    accepted = "; ".join(explanation for _, explanation in POLICIES.values())
    raise PolicyError(
        f"there is no policy {policy!r}; a policy is a Schedule, or one of: {accepted}. Loops also take 'auto': "
        "what is fastest within memory="
    )
