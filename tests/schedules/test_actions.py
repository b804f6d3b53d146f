from dataclasses import FrozenInstanceError

import pytest

from unspool.schedules import Advance, Drop, Load, Record, Reverse, Save, Tier


@pytest.mark.parametrize("verb", [Advance, Record, Reverse])
def test_ranges_are_values(verb: type[Advance]) -> None:
    action = verb(3, 7)
    assert (action.start, action.stop) == (3, 7)
    assert action == verb(3, 7) != verb(3, 8)
    with pytest.raises(FrozenInstanceError):
        action.start = 4  # type: ignore[misc]


@pytest.mark.parametrize("verb", [Save, Load, Drop])
def test_snapshots_go_to_ram_unless_said(verb: type[Save]) -> None:
    assert verb(3) == verb(3, Tier.RAM) == verb(step=3, tier=0)
    assert verb(3) != verb(3, Tier.DISK)


def test_verbs_differ() -> None:
    assert Advance(0, 1) != Record(0, 1)
    assert len({Advance(0, 1), Record(0, 1), Reverse(0, 1), Save(0), Load(0), Drop(0)}) == 6
