import pytest

from unspool.errors import PolicyError
from unspool.schedules import Every, Multistage, Prices, Tier, simulate


def test_every_verb_has_its_price() -> None:
    cost = simulate(Multistage(2, 4), 50)
    unit = (0, 0)
    assert Prices(1, 0, unit, unit).of(cost) == cost.advances == 114
    assert Prices(0, 1, unit, unit).of(cost) == cost.records == 50
    assert Prices(0, 0, (0, 1), unit).of(cost) == cost.tier_saves[Tier.DISK]
    assert Prices(0, 0, unit, (1, 0)).of(cost) == cost.tier_loads[Tier.RAM]


def test_levels_without_a_price_are_free() -> None:
    assert Prices().of(simulate(Every(5), 20)) == simulate(Every(5), 20).steps


@pytest.mark.parametrize("price", [-1, float("nan")])
def test_refuses_what_is_no_price(price: float) -> None:
    for arguments in ((price,), (1, price), (1, 1, (price,)), (1, 1, (0,), (0, price))):
        with pytest.raises(PolicyError, match="a price is"):
            Prices(*arguments)
