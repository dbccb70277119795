"""The edges of every number: units, rates, deadlines, windows, accounts, and bits where there should be none. Each test says
first what the attacker wanted."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from eth_abi.abi import encode
from eth_typing import ChecksumAddress, HexStr
from eth_utils.crypto import keccak
from web3.types import TxParams

from desktop_app.core import money
from desktop_app.core.money import Units, escrow
from desktop_app.wire import eip712
from tests.contracts.ground import TX_GAS
from tests.contracts.market import DAY, FEE_BPS, MOST_RATE, RATE, ROOT, UNITS, Market, as_form, as_tuple
from tests.contracts.people import ANNE, ATTESTOR, DEPLOYER, OWNER, RENTER, STRANGER
from tests.contracts.refusals import refused

MOST = 2**48 - 1
LAST = 2**40 - 1
MAX_ESCROW = 1 << 54
MAX_WINDOW = 30 * DAY
FAR_ACCOUNTS = (0, 2**40 - 1, 2**40, 2**64 - 1, 2**64, 2**255, 2**256 - 1)


@pytest.mark.parametrize("far", FAR_ACCOUNTS, ids=hex)
def test_an_account_that_never_was_is_paid_nothing(market: Market, far: int) -> None:
    """Wanted: by bits above an id, an account that looks like the pinned GPU's and is paid apart from what that was paid."""
    gpu = market.gpu
    roaming, pinned_terms = market.open(market.terms(1)), market.claimable(2)
    pinned = market.open(pinned_terms)
    with refused("NoSuchAccount", far):
        market.redeem(RENTER, roaming, 1, far)
    alias = gpu | (far >> 40 << 40) if far >> 40 else gpu | 1 << 40
    pays: tuple[Callable[[], object], ...] = (
        lambda: market.redeem(RENTER, pinned, 1, alias), lambda: market.redeem_attested(pinned, 1, alias),
    )  # fmt: skip
    for pay in pays:
        with refused("NoSuchAccount", alias):
            pay()
    with refused("NoSuchAccount", alias):
        market.claim(OWNER, pinned_terms, 1, alias)
    market.batch([market.row(roaming, 1, far), market.row(pinned, 1, alias)])
    assert (market.job(roaming).used, market.job(pinned).used) == (0, 0)


@pytest.mark.parametrize("units", [UNITS + 1, 2**48 - 1, 2**48, 2**63, 2**64 - 1])
def test_more_units_than_the_job_has_are_not_paid(market: Market, units: int) -> None:
    """Wanted: so many units that their worth, or the sum with what was paid, wraps around to a small number."""
    terms = market.claimable()
    job = market.open(terms)
    market.redeem(RENTER, job, 7)
    pays: tuple[Callable[[], object], ...] = (
        lambda: market.redeem(RENTER, job, units), lambda: market.claim(OWNER, terms, units),
    )  # fmt: skip
    for pay in pays:
        with refused("JobOverrun", UNITS - 7, units - 7):
            pay()
    market.batch([market.row(job, units)])
    assert market.job(job).used == 7


def test_units_with_bits_above_their_64_are_no_units(market: Market) -> None:
    """Wanted: a word that one reader takes for few units and another for many."""
    job = market.open(market.terms())
    (of, gpu, units, root), signature = market.voucher(RENTER, job, 5)
    dirty = units | 1 << 64
    body = encode(["(bytes32,uint256,uint256,bytes32)", "bytes"], [(of, gpu, dirty, root), signature])
    selector = keccak(text="redeem((bytes32,uint256,uint64,bytes32),bytes)")[:4]
    assert _raw(market, selector + body) == 0
    rows = encode(["bytes32", "uint256", "uint256", "bytes32"], [of, gpu, dirty, root])
    proof = ATTESTOR.sign(eip712.batch(market.domain(market.escrow), 1, "0x" + keccak(rows).hex()))
    body = encode(["(bytes32,uint256,uint256,bytes32)[]", "address", "bytes"], [[(of, gpu, dirty, root)], ATTESTOR.address, proof])
    selector = keccak(text="settleBatchSigned((bytes32,uint256,uint64,bytes32)[],address,bytes)")[:4]
    assert _raw(market, selector + body) == 0
    assert market.job(job).used == 0


def _raw(market: Market, data: bytes) -> int:
    """Sends bytes to the escrow; 1 if it was done."""
    sender, to = cast(ChecksumAddress, STRANGER.address), cast(ChecksumAddress, str(market.escrow.address))
    fields: TxParams = {"from": sender, "to": to, "data": HexStr("0x" + data.hex()), "gas": TX_GAS}
    return market.web3.eth.get_transaction_receipt(market.web3.eth.send_transaction(fields))["status"]


@pytest.mark.parametrize(
    "change",
    [
        {"units": 0}, {"units": 2**48}, {"units": 2**64 - 1}, {"rate": 0}, {"rate": 2**48}, {"rate": 2**64 - 1}, {"gpu": 2**40},
        {"gpu": 2**64 - 1}, {"deadline": 0}, {"deadline": 2**40}, {"deadline": 2**64 - 1}, {"window": 1}, {"window": 2**32 - 1},
        {"gpu": 1, "window": MAX_WINDOW + 1}, {"units": MOST, "rate": MOST_RATE},
    ],
    ids=str,
)  # fmt: skip
def test_terms_beyond_their_fields_are_refused(market: Market, change: dict[str, int]) -> None:
    """Wanted: terms that are cut off when they are kept, so that a large promise is held by a small escrow."""
    with refused("TermsOutOfRange"):
        market.send(RENTER, market.escrow.functions.open(as_tuple(market.terms(**change))))


def test_the_largest_job_there_may_be_is_paid_to_the_last_micro_dollar(market: Market) -> None:
    """Wanted: at the highest escrow, fee, units and time, a sum that no longer fits where it is kept."""
    market.send(DEPLOYER, market.policy.functions.setFee(100))
    market.send(DEPLOYER, market.policy.functions.setAllowance(2**208 - 1))
    market.mint(RENTER.address, 4 * MAX_ESCROW)
    units = Units(MAX_ESCROW * 3_600_000 // MOST_RATE)
    terms = market.claimable(rate=MOST_RATE, units=units, deadline=LAST, window=MAX_WINDOW)
    job = market.open(terms)
    assert 0 <= MAX_ESCROW - market.job(job).held < MOST_RATE // 3_600_000 + 2
    with refused("TermsOutOfRange"):
        market.top_up(job, 1)
    market.redeem(RENTER, job, units // 3)
    market.batch([market.row(job, units // 2)])
    market.claim(OWNER, terms, units)
    market.travel(market.now + MAX_WINDOW + 1)
    market.finalize(job)
    whole = money.gross(units, MOST_RATE)
    assert market.balance(OWNER) == whole - money.fee(whole, 100)
    market.sweep(job)
    market.close(job)
    assert market.balance(str(market.escrow.address)) == 0


def test_the_most_units_at_the_least_rate(market: Market) -> None:
    """Wanted: so many units that the count of those used wraps around, at a price that anyone can pay."""
    job = market.open(market.terms(rate=1, units=Units(MOST)))
    assert market.job(job).held == escrow(MOST, 1)
    with refused("TermsOutOfRange"):
        market.top_up(job, 1)
    market.redeem(RENTER, job, MOST - 1)
    with refused("JobOverrun", 1, 2):
        market.redeem(RENTER, job, MOST + 1)
    market.redeem(RENTER, job, MOST)
    assert market.balance(OWNER) == money.net(MOST, 1, FEE_BPS)
    market.close(job)


def test_the_last_deadline_can_still_be_closed(market: Market) -> None:
    """Wanted: a deadline at the end of its field, so that deadline and grace together wrap around and the job ends at once."""
    first = market.open(market.terms(1, deadline=LAST))
    second = market.open(market.terms(2, deadline=LAST))
    market.redeem(RENTER, second, 1)
    for job in (first, second):
        with refused("TooEarly", LAST + DAY):
            market.close(job)
    market.cancel(first)
    market.travel(market.now + DAY + 1)
    market.close(first)
    with refused("JobStarted", second):
        market.cancel(second)


@pytest.mark.parametrize(("offset", "opens"), [(-1, False), (0, False), (1, True)])
def test_a_deadline_is_ahead_or_the_job_is_not_opened(market: Market, offset: int, opens: bool) -> None:
    """Wanted: a job that is over when it is opened."""
    market.send(RENTER, market.usdc.functions.approve(market.escrow.address, escrow(UNITS, RATE)))
    terms = market.terms()
    call = market.escrow.functions.open(as_tuple(replace(terms, deadline=market.now + offset)))
    if opens:
        market.send(RENTER, call)
    else:
        with refused("TermsOutOfRange"):
            market.send(RENTER, call)


@pytest.mark.parametrize("units", [0, 2**48 - UNITS, 2**64 - 1])
def test_topping_up_beyond_the_field_is_refused(market: Market, units: int) -> None:
    """Wanted: by topping up, a total of units that wraps around below what was paid for."""
    job = market.open(market.terms(rate=1))
    with refused("TermsOutOfRange"):
        market.send(RENTER, market.escrow.functions.topUp(job, units))
    assert market.job(job).units == UNITS


def test_shares_and_ids_beyond_their_range_are_refused(market: Market) -> None:
    """Wanted: shares of more than the whole, slots that are nobody's, GPUs that are not there."""
    do, gpu = market.registry.functions, market.gpu
    for bps in (0, 10_001, 2**16 - 1):
        with refused("ShareOutOfRange", bps, 10_000):
            market.send(OWNER, do.grantShare(gpu, ANNE.address, bps))
    market.grant(OWNER, ANNE, 10_000)
    with refused("ShareOutOfRange", 1, 0):
        market.send(OWNER, do.grantShare(gpu, ANNE.address, 1))
    for slot in (1, 7, 8, 2**256 - 1):
        with refused("NotShareHolder", gpu, slot, STRANGER.address):
            market.send(STRANGER, do.moveShare(gpu, slot, STRANGER.address))
    for far in FAR_ACCOUNTS:
        with refused("ERC721NonexistentToken", far):
            market.send(OWNER, do.grantShare(far, ANNE.address, 1))
        assert do.payout(far).call() == [0, "0x" + "00" * 20, 0]
        assert do.payees(far).call() == [[], []]
        assert do.operatorOf(far, keccak(text="first")).call() == "0x" + "00" * 20


def test_a_registration_counts_to_its_last_second(market: Market) -> None:
    """Wanted: to register on an attestation that is long over, or one second over."""
    deadline = market.now + 10
    fresh = [keccak(text=word) for word in ("one", "two")]
    for moment, hardware, good in ((deadline, fresh[0], True), (deadline + 1, fresh[1], False)):
        form = eip712.Registration(ANNE.address, "0x" + hardware.hex(), 3, ANNE.address, deadline)
        proof = ATTESTOR.sign(eip712.register(market.domain(market.registry), form))
        call = market.registry.functions.register(ANNE.address, hardware, 3, ANNE.address, deadline, ATTESTOR.address, proof)
        market.travel(moment)
        if good:
            market.send(STRANGER, call)
        else:
            with refused("AttestationExpired", deadline):
                market.send(STRANGER, call)


def test_batches_have_their_size(market: Market) -> None:
    """Wanted: a batch of nothing that is signed once for ever, or one that fits in no block."""
    row = market.row(market.open(market.terms()), 1)
    for count in (0, 401):
        proof = ATTESTOR.sign(eip712.batch(market.domain(market.escrow), count, "0x" + keccak(_packed(row) * count).hex()))
        with refused("RowsOutOfRange", count):
            market.send(STRANGER, market.escrow.functions.settleBatchSigned([row] * count, ATTESTOR.address, proof))


def _packed(row: tuple[bytes, int, int, bytes]) -> bytes:
    form = as_form(row)
    return bytes.fromhex(form.job[2:]) + form.gpu.to_bytes(32, "big") + int(form.units).to_bytes(32, "big") + ROOT
