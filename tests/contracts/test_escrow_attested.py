"""Redeeming on an attestor's word, when the renter is silent: the same payment, within the attestor's daily allowance."""

import pytest

from desktop_app.core import money
from tests.contracts.market import ALLOWANCE, DAY, FEE_BPS, RATE, UNITS, Market
from tests.contracts.people import ANNE, ATTESTOR, DEPLOYER, OWNER, RENTER, STRANGER, Person
from tests.contracts.refusals import refused

WORTH = money.gross(UNITS, RATE)


def available(market: Market, attestor: Person = ATTESTOR) -> int:
    return int(market.policy.functions.available(market.escrow.address, attestor.address).call())


def test_an_attestors_voucher_pays_and_draws_the_gross(market: Market) -> None:
    job = market.open(market.terms())
    market.redeem_attested(job, UNITS // 2)
    assert market.balance(OWNER) == money.net(UNITS // 2, RATE, FEE_BPS)
    assert available(market) == ALLOWANCE - money.gross(UNITS // 2, RATE)
    market.redeem(RENTER, job, UNITS)  # draws nothing
    assert market.balance(OWNER) == money.net(UNITS, RATE, FEE_BPS)
    assert available(market) >= ALLOWANCE - money.gross(UNITS // 2, RATE)


@pytest.mark.parametrize("signer", [RENTER, OWNER, STRANGER, DEPLOYER], ids=["renter", "owner", "stranger", "deployer"])
def test_only_an_attestor_attests(market: Market, signer: Person) -> None:
    job = market.open(market.terms())
    with refused("NotAttestor", signer.address):
        market.redeem_attested(job, 1_000, attestor=signer)
    row, signature = market.voucher(signer, job, 1_000)
    with refused("NotAttested", ATTESTOR.address):
        market.send(STRANGER, market.escrow.functions.redeemAttested(row, ATTESTOR.address, signature))


def test_an_attestor_is_trusted_from_second_to_second(market: Market) -> None:
    job = market.open(market.terms())
    market.send(DEPLOYER, market.policy.functions.setAttestor(ATTESTOR.address, False))
    with refused("NotAttestor", ATTESTOR.address):
        market.redeem_attested(job, 1_000)
    market.send(DEPLOYER, market.policy.functions.setAttestor(ANNE.address, True))
    market.redeem_attested(job, 1_000, attestor=ANNE)


@pytest.mark.parametrize("change", ["job", "gpu", "units", "root"])
def test_a_changed_voucher_pays_nothing(market: Market, change: str) -> None:
    job, other = market.open(market.terms(1)), market.open(market.terms(2))
    (of, gpu, units, root), signature = market.voucher(ATTESTOR, job, 1_000)
    changed = {
        "job": (other, gpu, units, root),
        "gpu": (of, gpu + 1, units, root),
        "units": (of, gpu, units + 1, root),
        "root": (of, gpu, units, b"\x23" * 32),
    }[change]
    with refused("NotAttested", ATTESTOR.address):
        market.send(STRANGER, market.escrow.functions.redeemAttested(changed, ATTESTOR.address, signature))


def test_what_speaks_against_a_renters_voucher_speaks_against_an_attestors(market: Market) -> None:
    job = market.open(market.terms(gpu=market.gpu))
    market.redeem(RENTER, job, 1_000)
    with refused("VoucherStale", 1_000, 1_000):
        market.redeem_attested(job, 1_000)
    with refused("JobOverrun", UNITS - 1_000, UNITS - 999):
        market.redeem_attested(job, UNITS + 1)
    with refused("WrongGpu", market.gpu, 9):
        market.redeem_attested(job, 2_000, 9)
    with refused("JobNotOpen", b"\7" * 32):
        market.redeem_attested(b"\7" * 32, 2_000)


def test_a_day_has_its_allowance_and_the_next_day_too(market: Market) -> None:
    market.send(DEPLOYER, market.policy.functions.setAllowance(WORTH))
    jobs, at = [market.open(market.terms(salt, deadline=market.now + 9 * DAY)) for salt in range(3)], 0
    at = market.now
    market.redeem_attested(jobs[0], UNITS)
    with refused("RateLimitExceeded"):
        market.redeem_attested(jobs[1], UNITS)
    assert market.paid(jobs[1]) == 0
    market.redeem(RENTER, jobs[1], 10_000)
    market.travel(at + DAY // 2)
    with refused("RateLimitExceeded"):
        market.redeem_attested(jobs[1], UNITS)
    market.travel(at + DAY)
    market.redeem_attested(jobs[2], UNITS)


def test_one_attestor_does_not_use_up_anothers_allowance(market: Market) -> None:
    market.send(DEPLOYER, market.policy.functions.setAllowance(WORTH))
    market.send(DEPLOYER, market.policy.functions.setAttestor(ANNE.address, True))
    jobs = [market.open(market.terms(salt)) for salt in range(2)]
    market.redeem_attested(jobs[0], UNITS)
    market.redeem_attested(jobs[1], UNITS, attestor=ANNE)
    assert (available(market), available(market, ANNE)) == (WORTH // DAY, 0)  # a second later
