"""One GPU, one vote: counted from registration on, without a step to forget, and exact whatever is delegated or sold.

After each test the books compare everybody's votes with the GPUs they hold and who they named.
"""

from eth_account import Account

from tests.contracts.market import Market
from tests.contracts.people import ANNE, BOB, OWNER, STRANGER, Person
from tests.contracts.refusals import refused

NOBODY = "0x" + "0" * 40
DELEGATION = [("delegatee", "address"), ("nonce", "uint256"), ("expiry", "uint256")]


def votes(market: Market, *people: Person) -> tuple[int, ...]:
    return tuple(market.registry.functions.getVotes(one.address).call() for one in people)


def test_votes_count_from_registration_without_delegation(market: Market) -> None:
    assert market.registry.functions.delegates(OWNER.address).call() == OWNER.address
    assert votes(market, OWNER, ANNE) == (1, 0)
    market.register(OWNER, "second")
    market.register(ANNE, "third")
    assert votes(market, OWNER, ANNE) == (2, 1)
    assert market.registry.functions.delegates(NOBODY).call() == NOBODY
    assert market.registry.functions.getVotes(NOBODY).call() == 0


def test_the_past_is_kept_by_the_second(market: Market) -> None:
    before = market.now - 1
    market.register(OWNER, "second")
    after = market.now - 1
    market.sell(OWNER, ANNE)
    past = market.registry.functions.getPastVotes
    assert [past(OWNER.address, at).call() for at in (before, after)] == [1, 2]
    assert [past(ANNE.address, at).call() for at in (before, after)] == [0, 0]
    assert [market.registry.functions.getPastTotalSupply(at).call() for at in (before, after)] == [1, 2]
    assert votes(market, OWNER, ANNE) == (1, 1)
    assert market.registry.functions.clock().call() == market.now - 1
    assert market.registry.functions.CLOCK_MODE().call() == "mode=timestamp"


def test_delegated_votes_follow_the_token(market: Market) -> None:
    market.send(OWNER, market.registry.functions.delegate(BOB.address))
    assert votes(market, OWNER, BOB) == (0, 1)
    second = market.register(OWNER, "second")
    assert votes(market, OWNER, BOB) == (0, 2)
    market.sell(OWNER, ANNE, second)
    assert votes(market, OWNER, ANNE, BOB) == (0, 1, 1)
    market.sell(ANNE, OWNER, second)
    assert votes(market, OWNER, ANNE, BOB) == (0, 0, 2)


def test_naming_nobody_takes_the_vote_back(market: Market) -> None:
    delegate = market.registry.functions.delegate
    market.send(OWNER, delegate(BOB.address))
    market.send(OWNER, delegate(NOBODY))
    assert votes(market, OWNER, BOB) == (1, 0)
    assert market.registry.functions.delegates(OWNER.address).call() == OWNER.address
    market.send(OWNER, delegate(NOBODY))  # nothing to take back
    assert votes(market, OWNER) == (1,)
    market.sell(OWNER, ANNE)
    assert votes(market, OWNER, ANNE) == (0, 1)


def test_naming_oneself_changes_nothing_and_votes_are_passed_on_but_once(market: Market) -> None:
    delegate = market.registry.functions.delegate
    market.send(OWNER, delegate(OWNER.address))
    assert votes(market, OWNER) == (1,)
    market.register(ANNE, "second")
    market.send(ANNE, delegate(OWNER.address))
    market.send(OWNER, delegate(BOB.address))
    assert votes(market, OWNER, ANNE, BOB) == (1, 0, 1)


def test_delegation_by_signature(market: Market) -> None:
    domain = {
        "name": "Sublet GpuRegistry",
        "version": "1",
        "chainId": market.chain_id,
        "verifyingContract": market.registry.address,
    }
    types = {"Delegation": [{"name": name, "type": kind} for name, kind in DELEGATION]}
    message = {"delegatee": BOB.address, "nonce": 0, "expiry": market.now + 60}
    signed = Account.sign_typed_data(OWNER.key, domain, types, message)
    parts = (signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))
    given = market.registry.functions.delegateBySig(BOB.address, 0, message["expiry"], *parts)
    market.send(STRANGER, given)
    assert votes(market, OWNER, BOB) == (0, 1)
    with refused("InvalidAccountNonce"):
        market.send(STRANGER, given)


def test_a_gpu_sent_to_oneself_is_no_sale(market: Market) -> None:
    market.sell(OWNER, OWNER)
    assert votes(market, OWNER) == (1,)
    assert market.account() == market.gpu
