"""Redeeming vouchers: what is paid to whom, and every voucher that must pay nothing."""

import json
from pathlib import Path

import pytest
from web3.logs import DISCARD

from desktop_app.core import money
from desktop_app.core.money import Units
from desktop_app.wire import eip712
from tests.contracts.market import ANNE, ATTESTOR, BOB, DEPLOYER, OWNER, RATE, RENTER, STRANGER, TREASURY, UNITS, Market, Person, refused

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


@pytest.mark.parametrize("signer", [RENTER, ATTESTOR], ids=["renter", "attestor"])
def test_cumulative_vouchers_pay_the_difference(market: Market, signer: Person) -> None:
    job = market.open(market.terms())
    for units in (UNITS // 3, UNITS // 2, UNITS):
        market.redeem(signer, job, units)
        assert market.balance(OWNER.address) == money.net(units, RATE, 10)
        assert market.escrow.functions.unitsPaid(job, market.gpu).call() == units


def test_a_voucher_skipped_is_paid_by_the_next(market: Market) -> None:
    job = market.open(market.terms())
    early = market.voucher(RENTER, job, market.gpu, 1_000)
    market.redeem(RENTER, job, 2_000)
    assert market.balance(OWNER.address) == money.net(2_000, RATE, 10)
    with refused("VoucherStale"):
        market.send(STRANGER, market.escrow.functions.redeem(*early))


def test_the_same_voucher_pays_once(market: Market) -> None:
    job = market.open(market.terms())
    market.redeem(RENTER, job, 1_000)
    with refused("VoucherStale"):
        market.redeem(RENTER, job, 1_000)


@pytest.mark.parametrize("signer", [OWNER, STRANGER, DEPLOYER], ids=["owner", "stranger", "deployer"])
def test_a_forged_voucher_pays_nothing(market: Market, signer: Person) -> None:
    job = market.open(market.terms())
    with refused("VoucherNotSigned"):
        market.redeem(signer, job, 1_000)


@pytest.mark.parametrize("change", ["job", "gpu", "units", "root"])
def test_a_changed_voucher_pays_nothing(market: Market, change: str) -> None:
    job, other = market.open(market.terms(1)), market.open(market.terms(2))
    market.register(ANNE, "second")
    (of, gpu, units, root), signature = market.voucher(RENTER, job, market.gpu, 1_000)
    changed = {
        "job": (other, gpu, units, root),
        "gpu": (of, gpu + 1, units, root),
        "units": (of, gpu, units + 1, root),
        "root": (of, gpu, units, b"\x23" * 32),
    }[change]
    with refused("VoucherNotSigned"):
        market.send(STRANGER, market.escrow.functions.redeem(changed, signature))


def test_a_voucher_for_another_chain_or_contract_pays_nothing(market: Market) -> None:
    job = market.open(market.terms())
    twin = market.deploy_escrow(10)
    elsewhere = [eip712.Domain(market.chain_id + 1, str(market.escrow.address)), eip712.Domain(market.chain_id, str(twin.address))]
    root = b"\x22" * 32
    for domain in elsewhere:
        form = eip712.Voucher("0x" + job.hex(), market.gpu, Units(1_000), "0x" + root.hex())
        signature = RENTER.sign(eip712.voucher(domain, form))
        with refused("VoucherNotSigned"):
            market.send(STRANGER, market.escrow.functions.redeem((job, market.gpu, 1_000, root), signature))


def test_a_signature_turned_over_is_refused(market: Market) -> None:
    """The other s of the same curve point (malleability) is no second signature."""
    job = market.open(market.terms())
    voucher, signature = market.voucher(RENTER, job, market.gpu, 1_000)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = order - int.from_bytes(signature[32:64], "big")
    turned = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    with refused("VoucherNotSigned"):
        market.send(STRANGER, market.escrow.functions.redeem(voucher, turned))


def test_work_beyond_the_job_is_refused_over_all_gpus(market: Market) -> None:
    job = market.open(market.terms())
    second = market.register(ANNE, "second")
    with refused("JobOverrun"):
        market.redeem(RENTER, job, UNITS + 1)
    market.redeem(RENTER, job, UNITS - 10)
    with refused("JobOverrun"):
        market.redeem(RENTER, job, 11, gpu=second)
    market.redeem(RENTER, job, 10, gpu=second)
    assert market.escrow.functions.jobs(job).call()[6] == UNITS


def test_the_gpu_must_be_the_jobs_and_of_its_tier(market: Market) -> None:
    other = market.register(ANNE, "other tier", tier=4)
    pinned, roaming = market.open(market.terms(1, gpu=market.gpu)), market.open(market.terms(2))
    with refused("WrongGpu"):
        market.redeem(RENTER, pinned, 1_000, gpu=other)
    with refused("WrongTier"):
        market.redeem(RENTER, roaming, 1_000, gpu=other)
    with refused("ERC721NonexistentToken"):
        market.redeem(RENTER, roaming, 1_000, gpu=99)
    market.redeem(RENTER, pinned, 1_000)


def test_there_is_no_such_job(market: Market) -> None:
    with refused("JobNotOpen"):
        market.redeem(RENTER, b"\x07" * 32, 1)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["why"])
def test_rounding_is_the_cores_to_the_micro_dollar(market: Market, vector: dict[str, object]) -> None:
    """The vectors are literal; the core and the contract are both held to them."""
    rate, units, bps, shares = (vector[name] for name in ("rate", "units", "bps", "shares"))
    assert isinstance(rate, int) and isinstance(units, int) and isinstance(bps, int) and isinstance(shares, list)
    at = market.deploy_escrow(bps)
    payees = [OWNER, ANNE, BOB][: len(shares) + 1]
    for who, share in zip(payees[1:], shares, strict=True):
        market.send(OWNER, market.registry.functions.grantShare(market.gpu, who.address, share))
    market.mint(RENTER.address, 10**23)
    assert money.escrow(units, rate) == at.functions.escrowFor(units, rate).call() == vector["escrow"]
    job = market.open(market.terms(rate=rate, units=units), at)
    before = 0
    for step in vector["steps"]:  # type: ignore[attr-defined]
        gross = money.gross(step["units"], rate) - money.gross(before, rate)
        fee = money.fee(money.gross(step["units"], rate), bps) - money.fee(money.gross(before, rate), bps)
        assert (gross, fee, list(money.split(gross - fee, tuple(shares)))) == (step["gross"], step["fee"], step["parts"])
        had = [market.balance(who.address) for who in payees]
        event = at.events.VoucherRedeemed().process_receipt(market.redeem(RENTER, job, step["units"], at=at), DISCARD)[0]["args"]
        assert (event["gross"], event["fee"], event["units"]) == (gross, fee, step["units"])
        assert [market.balance(who.address) - one for who, one in zip(payees, had, strict=True)] == step["parts"]
        before = step["units"]
    market.check_books(at)


def test_a_payee_that_cannot_be_paid_is_owed_and_holds_up_nobody(market: Market) -> None:
    for who, bps in ((ANNE, 2_000), (BOB, 3_000)):
        market.send(OWNER, market.registry.functions.grantShare(market.gpu, who.address, bps))
    job = market.open(market.terms())
    market.send(DEPLOYER, market.usdc.functions.blacklist(ANNE.address))
    market.redeem(RENTER, job, UNITS)
    parts = money.split(money.net(UNITS, RATE, 10), (2_000, 3_000))
    assert (market.balance(OWNER.address), market.balance(ANNE.address), market.balance(BOB.address)) == (parts[0], 0, parts[2])
    assert market.escrow.functions.owed(ANNE.address).call() == parts[1]
    market.check_books()

    with refused("AccountBlacklisted"):
        market.send(STRANGER, market.escrow.functions.withdrawOwed(ANNE.address))
    market.send(DEPLOYER, market.usdc.functions.unBlacklist(ANNE.address))
    market.send(STRANGER, market.escrow.functions.withdrawOwed(ANNE.address))
    assert market.balance(ANNE.address) == parts[1]
    with refused("NothingOwed"):
        market.send(STRANGER, market.escrow.functions.withdrawOwed(ANNE.address))


def test_a_paused_token_makes_everything_owed(market: Market) -> None:
    job = market.open(market.terms())
    market.send(DEPLOYER, market.usdc.functions.pause())
    market.redeem(ATTESTOR, job, UNITS)
    market.send(DEPLOYER, market.usdc.functions.unpause())
    assert market.escrow.functions.owed(OWNER.address).call() == money.net(UNITS, RATE, 10)


def test_little_gas_does_not_turn_a_payment_into_a_debt(market: Market) -> None:
    """Whoever redeems chooses the gas; too little must fail as a whole, never push less and record a debt."""
    job = market.open(market.terms())
    voucher, signature = market.voucher(RENTER, job, market.gpu, 1_000)
    redeem = market.escrow.functions.redeem(voucher, signature)
    paid = 0
    for gas in range(40_000, 200_000, 4_000):
        sent = redeem.transact({"from": STRANGER.address, "gas": gas})
        if market.mined(sent)["status"] == 1:
            paid = market.balance(OWNER.address)
            break
    assert paid == money.net(1_000, RATE, 10)
    assert market.escrow.functions.owed(OWNER.address).call() == 0


def test_fees_go_to_the_treasury_and_never_above_the_cap(market: Market) -> None:
    job = market.open(market.terms())
    market.redeem(RENTER, job, UNITS)
    fee = money.fee(money.gross(UNITS, RATE), 10)
    assert market.escrow.functions.feesAccrued().call() == fee
    market.send(STRANGER, market.escrow.functions.sweepFees())
    assert market.balance(TREASURY.address) == fee
    with refused("FeeAboveCap"):
        addresses = (market.usdc.address, market.registry.address, ATTESTOR.address, TREASURY.address)
        market.constructor("TaskEscrow", *addresses, 101).estimate_gas({"from": DEPLOYER.address})
