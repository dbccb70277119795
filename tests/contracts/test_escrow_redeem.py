"""Redeeming a renter's vouchers: what is paid to whom, and every voucher that must pay nothing."""

import pytest
from web3.logs import DISCARD

from desktop_app.core import money
from desktop_app.core.money import Units
from desktop_app.wire import eip712
from tests.contracts.market import DAY, FEE_BPS, OTHER_TIER, RATE, ROOT, TIER, UNITS, Market
from tests.contracts.people import ANNE, ARBITER, ATTESTOR, BOB, DEPLOYER, OWNER, RENTER, STRANGER, TREASURY, Person
from tests.contracts.refusals import Refused, refused

HALF_ORDER_TWICE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def test_cumulative_vouchers_pay_the_difference(market: Market) -> None:
    job = market.open(market.terms())
    for units in (UNITS // 3, UNITS // 2, UNITS):
        receipt = market.redeem(RENTER, job, units)
        (event,) = market.escrow.events.VoucherRedeemed().process_receipt(receipt, DISCARD)
        assert event["args"]["receiptsRoot"] == ROOT
        assert market.balance(OWNER) == money.net(units, RATE, FEE_BPS)
        assert market.paid(job) == market.job(job).used == units


def test_a_voucher_skipped_is_paid_by_the_next(market: Market) -> None:
    job = market.open(market.terms())
    early = market.voucher(RENTER, job, 1_000)
    market.redeem(RENTER, job, 2_000)
    assert market.balance(OWNER) == money.net(2_000, RATE, FEE_BPS)
    with refused("VoucherStale", 2_000, 1_000):
        market.send(STRANGER, market.escrow.functions.redeem(*early))


def test_the_same_voucher_pays_once(market: Market) -> None:
    job = market.open(market.terms())
    market.redeem(RENTER, job, 1_000)
    with refused("VoucherStale", 1_000, 1_000):
        market.redeem(RENTER, job, 1_000)
    with refused("VoucherStale", 1_000, 0):
        market.redeem(RENTER, job, 0)


SIGNERS = {"attestor": ATTESTOR, "owner": OWNER, "stranger": STRANGER, "deployer": DEPLOYER, "arbiter": ARBITER, "treasury": TREASURY}


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS.keys())
def test_only_the_renters_word_redeems(market: Market, signer: Person) -> None:
    job = market.open(market.terms())
    with refused("VoucherNotSigned"):
        market.redeem(signer, job, 1_000)


@pytest.mark.parametrize("change", ["job", "gpu", "era", "units", "root"])
def test_a_changed_voucher_pays_nothing(market: Market, change: str) -> None:
    job, other = market.open(market.terms(1)), market.open(market.terms(2))
    market.register(ANNE, "second")
    (of, gpu, units, root), signature = market.voucher(RENTER, job, 1_000)
    changed = {
        "job": (other, gpu, units, root),
        "gpu": (of, gpu + 1, units, root),
        "era": (of, gpu | 1 << 40, units, root),
        "units": (of, gpu, units + 1, root),
        "root": (of, gpu, units, b"\x23" * 32),
    }[change]
    with refused("VoucherNotSigned"):
        market.send(STRANGER, market.escrow.functions.redeem(changed, signature))


def test_a_voucher_for_another_chain_or_contract_pays_nothing(market: Market) -> None:
    job = market.open(market.terms())
    twin = market.deploy("TaskEscrow", market.usdc.address, market.registry.address)
    row = market.row(job, 1_000)
    form = eip712.Voucher("0x" + job.hex(), market.gpu, Units(1_000), "0x" + row[3].hex())
    for domain in (eip712.Domain(market.chain_id + 1, str(market.escrow.address)), market.domain(twin), market.domain(market.registry)):
        with refused("VoucherNotSigned"):
            market.send(STRANGER, market.escrow.functions.redeem(row, RENTER.sign(eip712.voucher(domain, form))))
    claim = RENTER.sign(eip712.claim(market.domain(market.escrow), form))
    with refused("VoucherNotSigned"):
        market.send(STRANGER, market.escrow.functions.redeem(row, claim))


def test_a_signature_turned_over_or_cut_is_refused(market: Market) -> None:
    """The other s of the same curve point (malleability) is no second signature."""
    voucher, signature = market.voucher(RENTER, market.open(market.terms()), 1_000)
    s = HALF_ORDER_TWICE - int.from_bytes(signature[32:64], "big")
    turned = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    for bad in (turned, signature[:64], signature + b"\0", b"", b"\0" * 65, signature[:64] + b"\2"):
        with refused("VoucherNotSigned"):
            market.send(STRANGER, market.escrow.functions.redeem(voucher, bad))


def test_work_beyond_the_job_is_refused_over_all_gpus(market: Market) -> None:
    job, second = market.open(market.terms()), market.register(ANNE, "second")
    with refused("JobOverrun", UNITS, UNITS + 1):
        market.redeem(RENTER, job, UNITS + 1)
    market.redeem(RENTER, job, UNITS - 10)
    with refused("JobOverrun", 10, 11):
        market.redeem(RENTER, job, 11, second)
    market.redeem(RENTER, job, 10, second)
    assert market.job(job).used == UNITS
    with refused("JobOverrun", 0, 1):
        market.redeem(RENTER, job, 11, second)


def test_roaming_gpus_are_paid_each_by_its_own_count(market: Market) -> None:
    job, second = market.open(market.terms()), market.register(ANNE, "second")
    for first_units, second_units in ((1_000, 5_000), (4_000, 6_000)):
        market.redeem(RENTER, job, first_units)
        market.redeem(RENTER, job, second_units, second)
    assert (market.balance(OWNER), market.balance(ANNE)) == (money.net(4_000, RATE, FEE_BPS), money.net(6_000, RATE, FEE_BPS))
    assert (market.paid(job), market.paid(job, second), market.job(job).used) == (4_000, 6_000, 10_000)


def test_the_gpu_must_be_the_jobs_and_of_its_tier(market: Market) -> None:
    other = market.register(ANNE, "other tier", tier=OTHER_TIER)
    pinned, roaming = market.open(market.terms(1, gpu=market.gpu)), market.open(market.terms(2))
    with refused("WrongGpu", market.gpu, other):
        market.redeem(RENTER, pinned, 1_000, other)
    with refused("WrongGpu", market.gpu, other):
        market.redeem(RENTER, pinned, 1_000, other | 1 << 40)
    with refused("WrongTier", TIER, OTHER_TIER):
        market.redeem(RENTER, roaming, 1_000, other)
    with refused("NoSuchAccount", 99):
        market.redeem(RENTER, roaming, 1_000, 99)
    market.redeem(RENTER, pinned, 1_000)


def test_a_job_pinned_to_a_gpu_to_come_pays_it_once_it_is_there(market: Market) -> None:
    job = market.open(market.terms(gpu=market.gpu + 1))
    with refused("NoSuchAccount", market.gpu + 1):
        market.redeem(RENTER, job, 1_000, market.gpu + 1)
    market.redeem(RENTER, job, 1_000, market.register(BOB, "second"))
    assert market.balance(BOB) == money.net(1_000, RATE, FEE_BPS)


def test_there_is_no_such_job(market: Market) -> None:
    for job in (b"\x07" * 32, b"\0" * 32):
        with refused("JobNotOpen", job):
            market.redeem(RENTER, job, 1)


def test_a_voucher_is_good_until_the_job_is_closed(market: Market) -> None:
    terms = market.terms()
    job = market.open(terms)
    market.travel(terms.deadline + 30 * DAY)
    market.redeem(RENTER, job, UNITS // 2)
    market.close(job)
    with refused("JobNotOpen", job):
        market.redeem(RENTER, job, UNITS)
    assert market.balance(OWNER) == money.net(UNITS // 2, RATE, FEE_BPS)


def test_little_gas_does_not_turn_a_payment_into_a_debt(market: Market) -> None:
    """Whoever redeems chooses the gas; too little must fail as a whole, never push less and record a debt."""
    job = market.open(market.terms())
    redeem = market.escrow.functions.redeem(*market.voucher(RENTER, job, 1_000))
    for gas in range(60_000, 130_000, 3_000):
        try:
            market.send(STRANGER, redeem, gas)
        except Refused:
            assert (market.balance(OWNER), market.paid(job), market.owed(OWNER)) == (0, 0, 0)
        else:
            break
    assert (market.balance(OWNER), market.owed(OWNER)) == (money.net(1_000, RATE, FEE_BPS), 0)
