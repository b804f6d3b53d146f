"""The walk that every schedule over several levels of memory shares: tables decide, this carries out."""

from collections.abc import Callable, Iterator

from unspool.schedules.actions import Action, Advance, Drop, Load, Record, Reverse, Save, Tier

Choice = Callable[[int, int, int, bool], int]
"""For a level, a number of steps, the free slots of the level and whether the state is held there: how many
steps to advance before the next decision, or 0 to leave the steps to the level below."""


def walk(n_steps: int, slots: tuple[int, ...], choose: Choice) -> Iterator[Action]:
    """Yield the actions that follow from the choices; slots are per level, the slowest level decides first.

    On a level the state at the start is either held or not. To leave steps to the level below means that the
    state is not read again from this one. A snapshot on a slower level than RAM is dropped only when the
    steps after it are reversed, so that a run that was killed there can go on from it.

    >>> for action in walk(2, (1,), lambda level, n, free, held: n - 1): print(action)
    Save(step=0, tier=0)
    Advance(start=0, stop=1)
    Record(start=1, stop=2)
    Reverse(start=1, stop=2)
    Load(step=0, tier=0)
    Drop(step=0, tier=0)
    Record(start=0, stop=1)
    Reverse(start=0, stop=1)
    """
    top = len(slots) - 1
    open_ranges = [(0, n_steps, top, slots[top], False)] if n_steps else []
    while open_ranges:
        start, stop, level, free, held = open_ranges.pop()
        if start == stop:
            yield Drop(start, level)
            continue
        if held:
            yield Load(start, level)
        while stop - start > 1:
            ahead = choose(level, stop - start, free, held)
            if ahead == 0:
                if held:
                    open_ranges.append((start, start, level, free, held))
                level, free, held = level - 1, slots[level - 1], False
                continue
            if not held:
                yield Save(start, level)
            open_ranges.append((start, start + ahead, level, free, True))
            yield Advance(start, start + ahead)
            start, free, held = start + ahead, free - 1, False
        if held and level == Tier.RAM:
            yield Drop(start, level)
        yield Record(start, stop)
        yield Reverse(start, stop)
        if held and level != Tier.RAM:
            yield Drop(start, level)
