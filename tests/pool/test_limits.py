"""What one asker may have done in an hour: enough for any owner, and a refusal that says when to come again."""

from desktop_app.pool.limits import ALLOWANCES, MOST_ASKERS, Allowance, Kind, Limits
from desktop_app.wire.market import Refusal

OWNER, OTHER = "0x" + "aB" * 20, "0x" + "cd" * 20


class Clock:
    """Monotonic seconds, as a test moves them."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def use_up(limits: Limits, kind: Kind, who: str) -> Refusal:
    for _ in range(ALLOWANCES[kind].burst):
        assert limits.take(kind, who) is None
    refusal = limits.take(kind, who)
    assert refusal is not None
    return refusal


def test_the_refusal_says_when_to_come_again_and_keeps_its_word() -> None:
    clock = Clock()
    limits = Limits(clock)
    refusal = use_up(limits, Kind.CASH_OUT, OWNER)
    assert refusal == Refusal("you have asked for too many cash-outs within the hour; ask again in 10 minutes", own=True)
    clock.now += 599
    assert limits.take(Kind.CASH_OUT, OWNER) == Refusal(
        "you have asked for too many cash-outs within the hour; ask again in 1 seconds", own=True
    )
    clock.now += 2
    assert limits.take(Kind.CASH_OUT, OWNER) is None


def test_one_owner_takes_nothing_from_another_and_one_kind_nothing_from_the_rest() -> None:
    limits = Limits(Clock())
    use_up(limits, Kind.REGISTRATION, OWNER)
    assert limits.take(Kind.REGISTRATION, OTHER) is None
    assert limits.take(Kind.QUOTE, OWNER) is None
    assert limits.take(Kind.REGISTRATION, OWNER.lower()) is not None, "an address is one however it is cased"


def test_what_cost_nothing_is_given_back_and_never_more() -> None:
    limits = Limits(Clock())
    limits.give_back(Kind.CASH_OUT, OWNER)
    use_up(limits, Kind.CASH_OUT, OWNER)
    limits.give_back(Kind.CASH_OUT, OWNER)
    assert limits.take(Kind.CASH_OUT, OWNER) is None
    assert limits.take(Kind.CASH_OUT, OWNER) is not None


def test_all_together_have_a_limit_too() -> None:
    limits = Limits(Clock())
    most = ALLOWANCES[Kind.CASH_OUT].together
    assert all(limits.take(Kind.CASH_OUT, f"0x{number}") is None for number in range(most))
    refusal = limits.take(Kind.CASH_OUT, OWNER)
    assert refusal is not None and refusal.own and refusal.reason.startswith("this market is asked for too many cash-outs")


def test_only_so_many_askers_are_remembered() -> None:
    clock = Clock()
    limits = Limits(clock)
    for number in range(MOST_ASKERS + 100):
        clock.now += 1
        limits.take(Kind.QUOTE, f"0x{number}")
    assert len(limits) <= MOST_ASKERS


def test_every_kind_has_an_allowance() -> None:
    assert ALLOWANCES.keys() == set(Kind)
    assert all(isinstance(one, Allowance) and one.burst <= one.together for one in ALLOWANCES.values())
