"""What the market's people do on chain beyond opening and redeeming, on a chain whose clock the test holds."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from eth_account import Account

from desktop_app.adapters import chain
from desktop_app.adapters.chain import Bounds, Chain, Claim, ClaimStage, Done, Machine, Relayer, Settled, job_id
from desktop_app.core import money
from desktop_app.core.money import MicroUsd, Units
from desktop_app.wire import eip712
from desktop_app.wire.eip712 import Terms, Voucher
from tests.adapters.market_chain import HOUR, RATE, TIER, House, mined, open_anvil_house, refused
from tests.adapters.two_chains import Ground

DAY = 86_400


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Ground]]:
    with open_anvil_house(tmp_path_factory.mktemp("house")) as found:
        yield found


@pytest.fixture
def house(opened: tuple[House, Ground]) -> Iterator[House]:
    """Each test begins from the same snapshot."""
    house, ground = opened
    snapshot = str(ground.ask("evm_snapshot"))
    yield house
    assert ground.ask("evm_revert", snapshot) is True


@pytest.fixture
def ground(opened: tuple[House, Ground]) -> Ground:
    return opened[1]


@pytest.fixture
def market(house: House) -> Iterator[Chain]:
    with house.chain() as found:
        yield found


@pytest.fixture
def relayer(house: House, market: Chain) -> Relayer:
    return house.relayer(market)


def fresh() -> str:
    return str(Account.create().address)


def later(ground: Ground, seconds: int) -> None:
    ground.ask("evm_increaseTime", hex(seconds))
    ground.ask("evm_mine")


def registered(house: House, relayer: Relayer, market: Chain, owner: str | None = None) -> tuple[int, str]:
    """A new GPU's account and hardware."""
    asked, *proof = house.registration(owner=owner)
    mined(relayer.register(asked, *proof))
    gpu = market.gpu_of_hardware(asked.hardware)
    account = market.account(gpu or 0)
    assert account is not None
    return account, asked.hardware


def batch(house: House, vouchers: list[Voucher], by: str = "attestor") -> tuple[list[Voucher], str, str]:
    return vouchers, house.network.attestor, house.keys.sign_typed(by, chain.batch_typed(house.network, vouchers))


def promise(job: str, account: int, units: int) -> Voucher:
    return Voucher(job, account, Units(units), "0x" + "22" * 32)


def test_the_policy_is_what_the_market_was_founded_with(house: House, market: Chain) -> None:
    policy = market.policy()
    keys = house.keys
    assert (policy.fee_bps, policy.paused, policy.treasury) == (10, False, keys.address("treasury"))
    assert (policy.arbiter, policy.guardian) == (keys.address("arbiter"), keys.address("guardian"))
    assert chain.same_address(policy.owner, house.network.timelock) and policy.allowance == 10**12
    assert market.bounds(TIER) == Bounds(*[getattr(house.network.tiers[0][1], one) for one in ("floor", "ceiling")])
    assert market.is_attestor(keys.address("attestor")) and not market.is_attestor(keys.address("owner"))
    assert market.available(keys.address("attestor")) == 10**12 and market.available(keys.address("owner")) == 0


def test_the_guardian_stops_new_jobs_alone(house: House, market: Chain, relayer: Relayer, ground: Ground) -> None:
    job = house.open_job(relayer, house.terms())
    ground.ask("anvil_setBalance", house.keys.address("guardian"), hex(10**18))
    guardian = house.relayer(market, "guardian")
    assert refused(relayer.send(market.client.policy.set_paused(True))).error == "NotGuardian"
    mined(guardian.send(market.client.policy.set_paused(True)))
    assert market.policy().paused
    terms = house.terms()
    valid_before = int(time.time()) + 600
    signature = house.keys.sign_typed("renter", chain.funding_typed(house.network, terms, valid_before))
    assert refused(relayer.open_job(terms, valid_before, signature)).reason == "the market takes no new jobs for now"
    mined(relayer.redeem(*house.voucher(job, 1_000)))


def test_an_attestors_voucher_is_redeemed_from_its_allowance(house: House, market: Chain, relayer: Relayer) -> None:
    job = house.open_job(relayer, house.terms())
    voucher = house.voucher(job, HOUR, by="attestor")
    assert market.check_voucher(*voucher).good
    mined(relayer.redeem(*voucher))
    # some of it has grown again in the second that has passed
    assert RATE - 10**12 // DAY * 5 <= 10**12 - market.available(house.network.attestor) <= RATE
    assert market.check_voucher(*voucher).good and mined(relayer.redeem(*voucher)).already


def test_an_allowance_that_is_used_up_waits_and_one_too_small_never_pays(house: House, market: Chain, relayer: Relayer) -> None:
    dollars = 10**12
    mined(house.relayer(market, "deployer").mint(house.keys.address("renter"), MicroUsd(3 * dollars)))
    rate = 6_000_000
    units = dollars * 3_600_000 // rate
    one, other = (house.open_job(relayer, house.terms(units=units * 3 // 2, rate=rate)) for _ in range(2))
    for job in (one, other):
        too_much = market.check_voucher(*house.voucher(job, units * 5 // 4, by="attestor"))
        assert not too_much.good and "within a day" in too_much.reason
        assert market.check_voucher(*house.voucher(job, units * 5 // 4)).good
    mined(relayer.redeem(*house.voucher(one, units * 3 // 4, by="attestor")))
    waiting = house.voucher(other, units * 3 // 4, by="attestor")
    assert market.check_voucher(*waiting).good
    assert refused(relayer.redeem(*waiting)).error == "RateLimitExceeded"
    mined(relayer.redeem(*house.voucher(other, units * 3 // 4)))


def test_a_cash_out_that_was_used_in_time_is_done_for_ever(house: House, market: Chain, relayer: Relayer, ground: Ground) -> None:
    owner, to = house.keys.address("owner"), fresh()
    mined(house.relayer(market, "deployer").mint(owner, MicroUsd(1_000_000)))
    quote = house.quote(1_000_000)
    signature = house.cash_out_signature(to, quote)
    done = mined(relayer.cash_out(owner, to, quote, signature))
    later(ground, DAY)
    assert market.cash_out_status(owner, to, quote) == Done(done.transaction, 2)
    assert mined(relayer.cash_out(owner, to, quote, signature)).transaction == done.transaction


def test_units_are_added_to_a_job_once(house: House, market: Chain, relayer: Relayer) -> None:
    job = house.open_job(relayer, house.terms(units=1_000))
    before = market.balance(house.keys.address("renter"))[0]
    salt, valid_before, more = "0x" + secrets.token_hex(32), int(time.time()) + 600, Units(777)
    cost = chain.top_up_amount(Units(1_000), more, money.Rate(RATE))
    typed = chain.top_up_typed(house.network, house.keys.address("renter"), job, more, cost, salt, valid_before)
    signature = house.keys.sign_typed("renter", typed)
    assert "did not sign exactly this" in refused(relayer.top_up(job, Units(778), salt, valid_before, signature)).reason
    done = mined(relayer.top_up(job, more, salt, valid_before, signature))
    found = market.job(job)
    assert found is not None and found.units == 1_777
    assert found.held == money.escrow(1_777, RATE) == money.escrow(1_000, RATE) + cost
    again = mined(relayer.top_up(job, more, salt, valid_before, signature))
    assert again.already and again.transaction == done.transaction
    assert before - market.balance(house.keys.address("renter"))[0] == cost
    assert refused(relayer.top_up("0x" + "77" * 32, more, salt, valid_before, signature)).error == "JobNotOpen"


def test_a_job_without_work_is_called_off_by_its_renter(house: House, market: Chain, relayer: Relayer, ground: Ground) -> None:
    job = house.open_job(relayer, house.terms())
    renter = house.relayer(market, "renter")
    assert refused(relayer.cancel(job)).error == "NotRenter"
    mined(renter.cancel(job))
    later(ground, 1)
    assert mined(renter.cancel(job)).already
    assert refused(relayer.close_job(job)).error == "TooEarly"
    later(ground, DAY + 60)
    mined(relayer.close_job(job))
    assert mined(renter.cancel(job)).already and mined(relayer.close_job(job)).already
    assert refused(renter.cancel("0x" + "77" * 32)).error == "JobNotOpen"


def claimed(house: House, relayer: Relayer) -> tuple[Terms, Voucher, str]:
    terms = replace(house.terms(gpu=house.gpu), window=600)
    return terms, promise(house.open_job(relayer, terms), house.gpu, 50_000), job_id(house.network, terms)


@pytest.mark.parametrize("by", ["owner", "operator"])
def test_a_claim_that_nobody_challenges_is_paid(house: House, market: Chain, relayer: Relayer, ground: Ground, by: str) -> None:
    terms, work, job = claimed(house, relayer)
    typed = eip712.claim(chain.escrow_domain(house.network), work)
    assert refused(relayer.claim(terms, work, house.keys.sign_typed("renter", typed))).error == "ClaimNotSigned"
    proof = (house.keys.sign_typed(by, typed), house.hardware) if by == "operator" else (house.keys.sign_typed(by, typed),)
    assert market.claim(job) is None and mined(relayer.finalize(job)).already
    mined(relayer.claim(terms, work, *proof))
    assert mined(relayer.claim(terms, work, *proof)).already
    found = market.claim(job)
    assert found == Claim(ClaimStage.CLAIMED, house.gpu, work.units, found.due if found else 0)
    assert refused(relayer.finalize(job)).error == "TooEarly"
    later(ground, 601)
    before = market.balance(house.keys.address("owner"))[0]
    mined(relayer.finalize(job))
    assert mined(relayer.finalize(job)).already and mined(relayer.claim(terms, work, *proof)).already
    assert market.balance(house.keys.address("owner"))[0] - before == money.net(work.units, RATE, 10)


def test_a_challenge_stops_a_claim_until_the_arbiter_speaks(house: House, market: Chain, relayer: Relayer, ground: Ground) -> None:
    terms, work, job = claimed(house, relayer)
    domain = chain.escrow_domain(house.network)
    mined(relayer.claim(terms, work, house.keys.sign_typed("owner", eip712.claim(domain, work))))
    objection = house.keys.sign_typed("renter", eip712.challenge(domain, job, work.gpu, work.units))
    assert refused(relayer.challenge(job, house.keys.sign_typed("owner", eip712.challenge(domain, job, work.gpu, work.units)))).reason
    mined(relayer.challenge(job, objection))
    assert mined(relayer.challenge(job, objection)).already
    later(ground, 601)
    assert refused(relayer.finalize(job)).error == "TooEarly"
    assert refused(relayer.send(market.client.escrow.resolve(job, 20_000))).error == "NotArbiter"
    ground.ask("anvil_setBalance", house.keys.address("arbiter"), hex(10**18))
    mined(house.relayer(market, "arbiter").send(market.client.escrow.resolve(job, 20_000)))
    barred = market.claim(job)
    assert barred is not None and barred.stage is ClaimStage.BARRED and market.units_paid(job, house.gpu) == 20_000
    assert mined(relayer.challenge(job, objection)).already


def test_a_batch_pays_what_it_can_and_says_what_it_could_not(house: House, market: Chain, relayer: Relayer) -> None:
    owner, start = house.keys.address("owner"), market.client.block_number()
    other, _ = registered(house, relayer, market)
    job, second = house.open_job(relayer, house.terms()), house.open_job(relayer, house.terms(units=1_000))
    mined(relayer.redeem(*house.voucher(second, 400)))
    rows = [
        promise(job, house.gpu, 10_000), promise(job, other, 20_000), promise(job, 10**6, 5), promise(second, house.gpu, 400),
        promise(second, other, 5_000),
    ]  # fmt: skip
    assert refused(relayer.settle_batch(*batch(house, rows, by="renter"))).error == "NotAttested"
    settled = relayer.settle_batch(*batch(house, rows))
    assert isinstance(settled, Settled) and not settled.mined.already
    assert [(one, no.error) for one, no in settled.skipped] == [(rows[2], "NoSuchAccount"), (rows[4], "JobOverrun")]
    seen = market.payouts(owner, start, market.client.block_number())
    assert [(one.transaction == settled.mined.transaction, one.job_id, one.amount, units) for one, units in seen[1:]] == [
        (True, job, money.net(10_000, RATE, 10), 10_000),
        (True, job, money.net(20_000, RATE, 10), 20_000),
    ]
    assert [units for _, units in market.payouts(owner, start, market.client.block_number(), gpu=other)] == [0, 0, 20_000]
    again = relayer.settle_batch(*batch(house, [rows[0], rows[1], rows[3]]))
    assert again == Settled(again.mined, ()) if isinstance(again, Settled) else False
    assert isinstance(again, Settled) and again.mined.already
    assert refused(relayer.settle_batch(*batch(house, []))).error == "RowsOutOfRange"


def test_every_payee_of_a_co_owned_gpu_sees_its_part(house: House, market: Chain, relayer: Relayer, ground: Ground) -> None:
    holder, partner, start = house.keys.address("owner"), house.keys.address("treasury"), market.client.block_number()
    ground.ask("anvil_setBalance", holder, hex(10**18))
    mined(house.relayer(market, "owner").send(market.client.registry.grant_share(house.gpu, partner, 2_500)))
    assert market.payees(house.gpu) == ((holder, 7_500), (partner, 2_500))
    job = house.open_job(relayer, house.terms())
    done = mined(relayer.redeem(*house.voucher(job, 1_234_567)))
    whole = money.net(1_234_567, RATE, 10)
    head = market.client.block_number()
    ((mine, units),), ((theirs, their_units),) = market.payouts(holder, start, head), market.payouts(partner, start, head)
    assert (mine.amount, theirs.amount) == money.split(whole, (2_500,))
    assert units == their_units == 1_234_567
    assert (mine.transaction, mine.job_id, theirs.transaction, theirs.job_id) == (done.transaction, job) * 2


def test_what_cannot_be_delivered_is_no_payout_until_it_is(house: House, market: Chain, relayer: Relayer) -> None:
    holder, start = house.keys.address("owner"), market.client.block_number()
    other, _ = registered(house, relayer, market)
    job, second = house.open_job(relayer, house.terms()), house.open_job(relayer, house.terms())
    deployer = house.relayer(market, "deployer")
    mined(relayer.redeem(*house.voucher(job, 3_000)))
    before = market.balance(holder)[0]
    mined(deployer.send(market.client.usdc.blacklist(holder)))
    # one transfer for both GPUs' rows fails, and one more for a row after a stranger's
    stranger, _ = registered(house, relayer, market, owner=fresh())
    rows = [promise(job, house.gpu, 10_000), promise(second, other, 7_777), promise(second, stranger, 5), promise(job, other, 99)]
    settled = relayer.settle_batch(*batch(house, rows))
    assert isinstance(settled, Settled) and settled.skipped == ()
    owed = money.net(10_000, RATE, 10) - money.net(3_000, RATE, 10) + money.net(7_777, RATE, 10) + money.net(99, RATE, 10)
    assert market.owed(holder) == owed
    seen = market.payouts(holder, start, market.client.block_number())
    assert [(one.amount, one.job_id, units) for one, units in seen] == [
        (money.net(3_000, RATE, 10), job, 3_000), (0, job, 10_000), (0, second, 7_777), (0, job, 99),
    ]  # fmt: skip
    assert refused(relayer.withdraw_owed(holder)).error == "AccountBlacklisted"
    mined(deployer.send(market.client.usdc.un_blacklist(holder)))
    done = mined(relayer.withdraw_owed(holder))
    assert mined(relayer.withdraw_owed(holder)).already and market.owed(holder) == 0
    last, units = market.payouts(holder, start, market.client.block_number())[-1]
    assert (last.amount, last.job_id, last.transaction, units) == (owed, "", done.transaction, 0)
    assert market.balance(holder)[0] == before + owed


def test_a_gpu_registered_a_second_after_another_is_given_gas_enough(house: House, market: Chain, relayer: Relayer, ground: Ground) -> None:
    for _ in range(2):
        ground.ask("evm_increaseTime", hex(1))
        registered(house, relayer, market)


def test_a_sold_gpu_keeps_what_was_earned_for_who_earned_it(house: House, market: Chain, relayer: Relayer, ground: Ground) -> None:
    seller, buyer = house.keys.address("owner"), house.keys.address("treasury")
    job = house.open_job(relayer, house.terms())
    ground.ask("anvil_setBalance", seller, hex(10**18))
    mined(house.relayer(market, "owner").send(market.client.registry.transfer_from(seller, buyer, house.gpu)))
    account = chain.account_of(house.gpu, 1)
    gpu = market.gpu(house.gpu)
    assert gpu is not None and (gpu.account, gpu.owner) == (account, buyer) and market.account(house.gpu) == account
    assert market.payees(house.gpu) == ((seller, 10_000),) and market.payees(account) == ((buyer, 10_000),)
    assert market.machine(house.hardware) == Machine(house.gpu, "")
    assert market.operator(house.gpu, house.hardware) == house.keys.address("operator") and market.operator(account, house.hardware) == ""
    before = market.balance(seller)[0], market.balance(buyer)[0]
    mined(relayer.redeem(*house.voucher(job, 1_000)))
    mined(relayer.redeem(*house.voucher(job, 2_000, gpu=account)))
    assert market.balance(seller)[0] - before[0] == money.net(1_000, RATE, 10)
    assert market.balance(buyer)[0] - before[1] == money.net(2_000, RATE, 10)


def test_a_gpu_is_put_into_another_tier_once(house: House, market: Chain, relayer: Relayer) -> None:
    deadline = int(time.time()) + 600
    typed = eip712.set_tier(chain.registry_domain(house.network), house.gpu, 2, deadline)
    proof = (house.gpu, 2, deadline, house.network.attestor, house.keys.sign_typed("attestor", typed))
    mined(relayer.set_tier(*proof))
    assert mined(relayer.set_tier(*proof)).already
    gpu = market.gpu(house.gpu)
    assert gpu is not None and (gpu.tier, gpu.account) == (2, chain.account_of(house.gpu, 1))
    assert (market.tier(house.gpu), market.tier(gpu.account)) == (TIER, 2)
    assert refused(relayer.set_tier(house.gpu, 3, *proof[2:])).error == "NotAttested"


def test_the_alarm_rings_before_the_ether_is_gone(house: House, relayer: Relayer, ground: Ground) -> None:
    assert relayer.ether_alarm() is None
    ground.ask("anvil_setBalance", relayer.address, hex(10**15))
    ground.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    ground.ask("evm_mine")
    alarm = relayer.ether_alarm()
    assert alarm is not None and "0.001000 ether" in alarm and relayer.address in alarm
    assert relayer.gas_cost(10) >= 10 * relayer._sender.price_now()


def test_a_contract_wallet_rents_and_signs(house: House, market: Chain, relayer: Relayer, ground: Ground) -> None:
    # answers every question with ERC-1271's yes
    wallet = fresh()
    ground.ask("anvil_setCode", wallet, "0x7f1626ba7e" + "00" * 28 + "60005260206000f3")
    mined(house.relayer(market, "deployer").mint(wallet, MicroUsd(10**9)))
    terms = replace(house.terms(), renter=wallet)
    mined(relayer.open_job(terms, int(time.time()) + 600, "0x" + "00" * 65))
    voucher = promise(job_id(house.network, terms), house.gpu, 5_000)
    assert market.check_voucher(voucher, "0x" + "00" * 65).good
    mined(relayer.redeem(voucher, "0x" + "00" * 65))
    assert market.units_paid(voucher.job, house.gpu) == 5_000


def test_an_attestor_may_be_a_contract(house: House, relayer: Relayer, ground: Ground) -> None:
    several = fresh()
    ground.ask("anvil_setCode", several, "0x7f1626ba7e" + "00" * 28 + "60005260206000f3")
    job = house.open_job(relayer, house.terms())
    voucher, nobodys = promise(job, house.gpu, 5_000), "0x" + "00" * 65
    with house.chain() as before:
        assert "neither the renter nor an attestor" in before.check_voucher(voucher, nobodys).reason
        trusted = before.client.policy.set_attestor(several, True)
        ground.impersonate(house.network.timelock, trusted.address, trusted.data)
    named = replace(house, network=replace(house.network, attestor=several))
    with named.chain() as market:
        assert market.check_voucher(voucher, nobodys).good
        mined(named.relayer(market).redeem(voucher, nobodys))
        assert market.units_paid(job, house.gpu) == 5_000
