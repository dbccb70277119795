"""The chain adapter on a real chain: what it reads is what happened, to the micro-dollar, and asking twice changes nothing."""

import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from eth_account import Account

from desktop_app.adapters.chain import Chain, Done, ExpiredUnused, Machine, Relayer, Unused, cash_out_nonce, job_id
from desktop_app.core import money
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd, Units
from desktop_app.wire.eip712 import Voucher
from tests.adapters.market_chain import ETHER, HOUR, RATE, TIER, House, mined, open_house, refused


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.fixture
def chain(house: House) -> Iterator[Chain]:
    with house.chain() as opened:
        yield opened


@pytest.fixture
def relayer(house: House, chain: Chain) -> Relayer:
    return house.relayer(chain)


def fresh() -> str:
    return str(Account.create().address)


def test_importing_the_adapter_does_not_import_web3() -> None:
    code = (
        "import sys, desktop_app.adapters.chain, desktop_app.adapters.keys; sys.exit('web3' in sys.modules or 'eth_account' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_not_even_asking_the_chain_takes_web3(house: House) -> None:
    code = """
import pickle, sys
from desktop_app.adapters.chain import Chain
network, who = pickle.load(sys.stdin.buffer)
chain = Chain(network)
chain.balance(who), chain.payouts(who, 0, 5), chain.policy()
chain.close()
sys.exit('web3' in sys.modules)
"""
    told = pickle.dumps((house.network, house.keys.address("owner")))
    assert subprocess.run([sys.executable, "-c", code], input=told, check=False).returncode == 0


def test_the_whole_road_of_the_money(house: House, chain: Chain, relayer: Relayer) -> None:
    owner, renter = house.keys.address("owner"), house.keys.address("renter")
    owner_before, start = chain.balance(owner)
    renter_before, _ = chain.balance(renter)
    job = house.open_job(relayer, house.terms())
    opened = chain.job(job)
    assert opened is not None and opened.is_open
    assert (opened.renter, opened.rate, opened.fee_bps, opened.units, opened.tier) == (renter, RATE, 10, HOUR, TIER)
    assert opened.held == renter_before - chain.balance(renter)[0] == money.escrow(HOUR, RATE)

    first, second = Units(1_234_567), Units(HOUR)
    paid = mined(relayer.redeem(*house.voucher(job, first)))
    balance, block = chain.balance(owner)
    assert balance - owner_before == money.net(first, RATE, 10)
    assert chain.units_paid(job, house.gpu) == first
    again = mined(relayer.redeem(*house.voucher(job, second, by="attestor")))
    assert chain.balance(owner)[0] - owner_before == money.net(second, RATE, 10)
    print(f"redeem gas: first {paid.gas}, later {again.gas}")

    head = chain.client.block_number()
    seen = chain.payouts(owner, start, head)
    assert [(one.amount, one.transaction, units) for one, units in seen] == [
        (money.net(first, RATE, 10), paid.transaction, first),
        (MicroUsd(money.net(second, RATE, 10) - money.net(first, RATE, 10)), again.transaction, second),
    ]
    assert {one.job_id for one, _ in seen} == {job}
    assert all(abs(one.time - time.time()) < 60 for one, _ in seen)
    assert chain.payouts(owner, start, head) == seen
    assert chain.payouts(owner, start, block) == seen[:1]
    assert chain.payouts(owner, block, head) == seen[1:]
    assert [units for _, units in chain.payouts(owner, start, head, gpu=house.gpu + 1)] == [0, 0]
    assert chain.payouts(fresh(), 0, head) == []

    mined(relayer.close_job(job))
    assert mined(relayer.close_job(job)).already
    assert mined(relayer.redeem(*house.voucher(job, second))).already
    assert refused(relayer.redeem(*house.voucher(job, HOUR + 1))).error == "JobNotOpen"
    closed = chain.job(job)
    assert closed is not None and not closed.is_open and closed.held == 0
    treasury = house.keys.address("treasury")
    mined(relayer.sweep_fees([job]))
    assert mined(relayer.sweep_fees([job])).already
    assert chain.balance(treasury)[0] >= money.fee(money.gross(HOUR, RATE), 10)


def test_payouts_are_read_in_pieces(house: House, chain: Chain, relayer: Relayer, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = house.keys.address("owner")
    _, start = chain.balance(owner)
    job = house.open_job(relayer, house.terms())
    for units in (10_000, 20_000):
        mined(relayer.redeem(*house.voucher(job, units)))
    head = chain.client.block_number()
    whole = chain.payouts(owner, start, head)
    monkeypatch.setattr("desktop_app.adapters.chain.client.LOG_RANGE", 1)
    assert chain.payouts(owner, start, head) == whole and len(whole) == 2


def test_every_deed_may_be_asked_for_twice(house: House, chain: Chain, relayer: Relayer) -> None:
    terms = house.terms()
    house.open_job(relayer, terms)
    house.open_job(relayer, terms)
    voucher, signature = house.voucher(job_id(house.network, terms), 50_000)
    assert not mined(relayer.redeem(voucher, signature)).already
    before = chain.balance(house.keys.address("owner"))[0]
    assert mined(relayer.redeem(voucher, signature)).already
    assert mined(relayer.redeem(*house.voucher(voucher.job, 40_000))).already
    assert chain.balance(house.keys.address("owner"))[0] == before
    asked, *proof = house.registration()
    assert not mined(relayer.register(asked, *proof)).already
    assert mined(relayer.register(asked, *proof)).already


def test_a_gpu_is_found_by_its_hardware(house: House, chain: Chain, relayer: Relayer) -> None:
    asked, *proof = house.registration()
    assert chain.gpu_of_hardware(asked.hardware) is None
    mined(relayer.register(asked, *proof))
    found = chain.gpu_of_hardware(asked.hardware)
    assert found is not None
    gpu = chain.gpu(found)
    assert gpu is not None
    assert (gpu.owner, gpu.account, gpu.tier, gpu.retired) == (asked.owner, found, TIER, False)
    assert chain.machine(asked.hardware) == Machine(found, asked.operator) and chain.account(found) == found
    assert chain.operator(found, asked.hardware) == asked.operator and chain.operator(found, "0x" + "77" * 32) == ""
    assert chain.tier(found) == TIER and chain.tier(10**6) is None
    assert chain.payees(found) == ((asked.owner, 10_000),)
    assert chain.gpu(10**6) is None and chain.payees(10**6) == () and chain.account(10**6) is None
    assert chain.machine("0x" + "77" * 32) is None
    other, *proof = house.registration(owner=fresh(), hardware=asked.hardware)
    assert refused(relayer.register(other, *proof)).reason == f"this hardware is registered already, as GPU {found}"
    forged, *_ = house.registration()
    assert "or did not sign exactly this" in refused(relayer.register(forged, *proof)).reason


def test_a_voucher_is_checked_as_the_escrow_would(house: House, chain: Chain, relayer: Relayer) -> None:
    job = house.open_job(relayer, house.terms(units=100_000))
    good, signature = house.voucher(job, 60_000)
    seen = chain.check_voucher(good, signature)
    assert seen.good and (seen.rate, seen.fee_bps) == (RATE, 10)
    assert chain.check_voucher(*house.voucher(job, 60_000, by="attestor")).good
    for voucher, proof, reason in (
        (*house.voucher(job, 60_000, by="owner"), "neither the renter nor an attestor"),
        (replace(good, units=Units(60_001)), signature, "neither the renter nor an attestor"),
        (*house.voucher(job, 100_001), "100000 units left, and 100001 are asked"),
        (*house.voucher(job, 60_000, gpu=10**6), "no GPU account 1000000"),
        (*house.voucher("0x" + "ab" * 32, 60_000), "no such job"),
        (good, signature[:-1], "cannot be told"),
        (replace(good, units=Units(2**64)), signature, "cannot be told"),
    ):
        checked = chain.check_voucher(voucher, proof)
        assert not checked.good and reason in checked.reason
    assert "cannot be told" in refused(relayer.redeem(good, signature[:-1])).reason
    mined(relayer.redeem(good, signature))
    assert chain.check_voucher(good, signature).good
    assert not chain.check_voucher(good, house.voucher(job, 60_000, by="owner")[1]).good
    assert "paid already" in chain.check_voucher(*house.voucher(job, 59_999)).reason


def test_a_voucher_redeemed_by_another_while_it_is_checked_is_good(
    house: House, chain: Chain, relayer: Relayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    voucher, signature = house.voucher(house.open_job(relayer, house.terms(units=100_000)), 60_000)
    ask = chain.job

    def ask_and_be_overtaken(job_id: str) -> object:
        monkeypatch.undo()
        found = ask(job_id)
        mined(relayer.redeem(voucher, signature))
        return found

    monkeypatch.setattr(chain, "job", ask_and_be_overtaken)
    assert chain.check_voucher(voucher, signature).good


def test_a_pinned_job_pays_its_gpu_alone(house: House, chain: Chain, relayer: Relayer) -> None:
    asked, *proof = house.registration()
    mined(relayer.register(asked, *proof))
    other = chain.gpu_of_hardware(asked.hardware)
    job = house.open_job(relayer, house.terms(gpu=house.gpu))
    assert f"for GPU {house.gpu}, not GPU {other}" in chain.check_voucher(*house.voucher(job, 1_000, gpu=other)).reason


def test_a_cash_out_arrives_whole_and_once(house: House, chain: Chain, relayer: Relayer) -> None:
    owner, to = house.keys.address("owner"), fresh()
    mined(house.relayer(chain, "deployer").mint(owner, MicroUsd(5_000_000)))
    before, fees = chain.balance(owner)[0], chain.balance(relayer.address)[0]
    quote = house.quote(5_000_000)
    signature = house.cash_out_signature(to, quote)
    assert chain.cash_out_status(owner, to, quote) == Unused()
    done = mined(relayer.cash_out(owner, to, quote, signature))
    print(f"cash-out gas: {done.gas}")
    status = chain.cash_out_status(owner, to, quote)
    assert status == Done(done.transaction, 1)
    assert chain.balance(to)[0] == 4_999_500
    assert chain.balance(owner)[0] == before - 5_000_000
    assert chain.balance(relayer.address)[0] == fees + 500
    again = mined(relayer.cash_out(owner, to, quote, signature))
    assert again.already and again.transaction == done.transaction
    assert chain.balance(to)[0] == 4_999_500
    mined(house.relayer(chain, "deployer").mint(owner, MicroUsd(1)))
    assert chain.cash_out_status(owner, to, quote) == Done(done.transaction, 2)


def test_a_cash_out_is_found_without_reading_the_whole_chain(house: House, chain: Chain, relayer: Relayer) -> None:
    owner = house.keys.address("owner")
    mined(house.relayer(chain, "deployer").mint(owner, MicroUsd(2_000_000)))
    done = []
    for _ in range(3):
        to, quote = fresh(), house.quote(100_000)
        done.append((to, quote, mined(relayer.cash_out(owner, to, quote, house.cash_out_signature(to, quote)))))
    head = chain.client.block_number()
    middle, time_then = chain.client.block_time(done[1][2].block)
    assert middle == done[1][2].block
    assert chain._block_from(time_then, head) == middle
    assert chain._block_from(time_then + 10**6, head) == head
    assert chain._block_from(0, head) == house.network.first_block
    for to, quote, one in done:
        status = chain.cash_out_status(owner, to, quote)
        assert isinstance(status, Done) and status.transaction == one.transaction


def test_nobody_changes_a_cash_out_on_the_way(house: House, chain: Chain, relayer: Relayer) -> None:
    owner, to, thief = house.keys.address("owner"), fresh(), fresh()
    mined(house.relayer(chain, "deployer").mint(owner, MicroUsd(3_000_000)))
    quote = house.quote(1_000_000)
    signature = house.cash_out_signature(to, quote)
    for changed_to, changed in (
        (thief, quote),
        (to, replace(quote, fee=MicroUsd(600))),
        (to, replace(quote, amount=MicroUsd(1_000_001))),
        (to, replace(quote, valid_before=quote.valid_before + 1)),
    ):
        assert "did not sign exactly this" in refused(relayer.cash_out(owner, changed_to, changed, signature)).reason
    greedy = house.quote(500, 500)
    assert (
        refused(relayer.cash_out(owner, to, greedy, house.cash_out_signature(to, greedy))).reason
        == "the fee of $0.000500 would eat the whole $0.000500"
    )
    much = house.quote(10**12)
    assert "holds" in refused(relayer.cash_out(owner, to, much, house.cash_out_signature(to, much))).reason
    assert chain.balance(to)[0] == chain.balance(thief)[0] == 0


def test_an_expired_cash_out_is_said_to_have_failed_only_when_a_block_proves_it(house: House, chain: Chain, relayer: Relayer) -> None:
    owner, to = house.keys.address("owner"), fresh()
    deployer = house.relayer(chain, "deployer")
    mined(deployer.mint(owner, MicroUsd(3_000_000)))
    quote = house.quote(1_000_000, lasts=2)
    signature = house.cash_out_signature(to, quote)
    time.sleep(max(0.0, quote.valid_before + 0.1 - time.time()))
    assert chain.cash_out_status(owner, to, quote) == Unused()  # no block has that time yet
    assert "counts only" in refused(relayer.cash_out(owner, to, quote, signature)).reason
    mined(deployer.mint(owner, MicroUsd(1)))
    assert chain.cash_out_status(owner, to, quote) == ExpiredUnused()


def test_the_fee_is_the_floor_on_practice_and_follows_the_gas_elsewhere(house: House, chain: Chain, relayer: Relayer) -> None:
    assert relayer.relay_fee() == 500
    assert 0 < relayer.ether() < 100 * ETHER
    with house.chain() as opened:
        opened.network = replace(opened.network, eth_usd=MicroUsd(3_000_000_000))
        dear = house.relayer(opened)
        price = dear._sender.gas_price()[0]
        assert dear.relay_fee(10**9) == -(-(10**9) * price * 3_000_000_000 // 10**18) > 500


def test_what_is_no_address_is_not_asked_for(house: House, chain: Chain) -> None:
    with pytest.raises(AppError, match="not an address"):
        chain.balance("0x1234")


def test_a_voucher_of_another_job_or_gpu_is_worth_nothing(house: House, chain: Chain, relayer: Relayer) -> None:
    one, other = house.open_job(relayer, house.terms()), house.open_job(relayer, house.terms())
    voucher, signature = house.voucher(one, 5_000)
    moved = Voucher(other, voucher.gpu, voucher.units, voucher.receipts_root)
    assert refused(relayer.redeem(moved, signature)).error == "VoucherNotSigned"
    assert len(cash_out_nonce(fresh(), house.quote(1))) == 66
