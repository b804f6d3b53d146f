import pytest

from unspool.errors import PolicyError
from unspool.schedules import Every, Online, Revolve, Schedule, StoreAll, as_schedule


@pytest.mark.parametrize(
    ("policy", "schedule"),
    [
        ("none", StoreAll()),
        ("NONE", StoreAll()),
        ("every-10", Every(10)),
        (" Every-1 ", Every(1)),
        ("revolve-5", Revolve(5)),
        ("binomial-5", Revolve(5)),
        ("Binomial-5", Revolve(5)),
        ("online-7", Online(7)),
    ],
)
def test_names(policy: str, schedule: Schedule) -> None:
    assert as_schedule(policy) == schedule
    assert as_schedule(str(schedule)) == schedule


def test_only_what_has_a_policy_prints_as_one() -> None:
    assert str(Revolve(5)) == "revolve-5"
    assert str(Revolve(5, leaf=2)) == "Revolve(slots=5, leaf=2)"
    assert str(Online(5, leaf=2)) == "Online(slots=5, leaf=2)"


def test_a_schedule_names_itself() -> None:
    schedule = Revolve(3)
    assert as_schedule(schedule) is schedule


@pytest.mark.parametrize(
    "policy",
    ["", "every", "every-", "every-x", "every-1.5", "every--3", "revolve-5-2", "revolve", "5", 5, None, True],
)
def test_says_what_is_accepted(policy: str) -> None:
    with pytest.raises(PolicyError, match="'every-k'") as caught:
        as_schedule(policy)
    for name in ("'none'", "'revolve-c'", "'binomial-c'", "'online-c'", repr(policy)):
        assert name in str(caught.value)


@pytest.mark.parametrize("policy", ["every-0", "revolve-0", "binomial-0", "online-0"])
def test_zero_is_refused(policy: str) -> None:
    with pytest.raises(PolicyError, match="is 0; give an int of 1 or more"):
        as_schedule(policy)


def test_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="there is no policy"):
        as_schedule("sometimes")
