from unspool.schedules import Advance, Drop, Machine, Record, Reverse, Save, Tier
from unspool.schedules.levels import walk


def test_no_steps_need_nothing() -> None:
    assert list(walk(0, (1,), lambda level, n, free, held: 1)) == []
    assert list(walk(1, (1, 2), lambda level, n, free, held: 1)) == [Record(0, 1), Reverse(0, 1)]


def test_steps_left_to_the_level_below_keep_their_disk_snapshot() -> None:
    def choose(level: int, n: int, free: int, held: bool) -> int:
        return n - 1 if level == Tier.RAM else (0 if held or n < 5 else n // 2)

    actions = list(walk(8, (1, 1), choose))
    assert actions[:3] == [Save(0, 1), Advance(0, 4), Save(4, 0)]
    assert actions[-1] == Drop(0, 1)
    machine = Machine(8)
    for action in actions:
        machine.apply(action)
    assert machine.finish().peak_slots == (1, 1)
