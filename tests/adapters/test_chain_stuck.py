"""Transactions that do not land at once: no blocks, dear gas, reorganisations, and what a run that died left behind. On Anvil."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from eth_account import Account

from desktop_app.adapters.chain import Chain, Mined, Refused, Relayer, Sign
from desktop_app.adapters.chain.fees import MOST_TIMES, Offer, raised
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd
from tests.adapters.chain_weather import relay, said
from tests.adapters.market_chain import House, mined, open_anvil_house, until
from tests.adapters.two_chains import Ground

GWEI = 10**9


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Ground]]:
    with open_anvil_house(tmp_path_factory.mktemp("house")) as found:
        yield found


@pytest.fixture
def house(opened: tuple[House, Ground], monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Each test begins from the same snapshot, with an empty mempool; whoever waits becomes impatient in half a second."""
    house, ground = opened
    monkeypatch.setattr("desktop_app.adapters.chain.flights.RAISE_S", 0.5)
    monkeypatch.setattr("desktop_app.adapters.chain.flights.RESEND_S", 0.3)
    snapshot, newest = str(ground.ask("evm_snapshot")), ground.ask("eth_getBlockByNumber", "latest", False)
    yield house
    assert isinstance(newest, dict)
    ground.ask("anvil_dropAllTransactions")
    ground.ask("evm_setAutomine", True)
    assert ground.ask("evm_revert", snapshot) is True
    ground.ask("anvil_setNextBlockBaseFeePerGas", newest["baseFeePerGas"])


@pytest.fixture
def ground(opened: tuple[House, Ground]) -> Ground:
    return opened[1]


@pytest.fixture
def market(house: House) -> Iterator[Chain]:
    with house.chain() as found:
        yield found


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def fresh() -> str:
    return str(Account.create().address)


def waiting(ground: Ground, address: str) -> dict[int, dict[str, str]]:
    """What the mempool holds of an address, by number."""
    pool = ground.ask("txpool_content")
    assert isinstance(pool, dict)
    found = {who.lower(): one for who, one in {**pool["queued"], **pool["pending"]}.items()}
    return {int(number): one for number, one in found.get(address.lower(), {}).items()}


def price(ground: Ground, address: str, number: int) -> tuple[int, int]:
    one = waiting(ground, address).get(number, {})
    return int(one.get("maxFeePerGas", "0x0"), 16), int(one.get("maxPriorityFeePerGas", "0x0"), 16)


Outcome = Future[Mined | Refused]


def minting(house: House, market: Chain, aside: ThreadPoolExecutor, to: str, wait_s: float = 20) -> tuple[Relayer, Outcome]:
    deployer = house.relayer(market, "deployer", wait_s)
    return deployer, aside.submit(deployer.mint, to, MicroUsd(5))


def recording(house: House) -> tuple[Sign, list[dict[str, int | str]]]:
    """The deployer's signer, and all that it has signed so far, oldest first; the mempool shows only the newest."""
    signed: list[dict[str, int | str]] = []

    def sign(transaction: dict[str, int | str]) -> bytes:
        signed.append(transaction)
        return house.signer("deployer")(transaction)

    return sign, signed


def test_what_waits_is_replaced_by_a_dearer_one_of_the_same_number(
    house: House, market: Chain, ground: Ground, aside: ThreadPoolExecutor
) -> None:
    ground.ask("evm_setAutomine", False)
    to = fresh()
    deployer, outcome = minting(house, market, aside, to)
    number = ground.count(deployer.address)
    until(lambda: number in waiting(ground, deployer.address))
    first = price(ground, deployer.address, number)
    until(lambda: price(ground, deployer.address, number)[0] >= first[0] * 9 // 8 * 9 // 8)
    _, tip = price(ground, deployer.address, number)
    assert tip >= first[1] * 9 // 8 * 9 // 8 and list(waiting(ground, deployer.address)) == [number]
    ground.ask("evm_mine")
    assert mined(outcome.result()).transaction.startswith("0x")
    assert ground.count(deployer.address) == number + 1 and market.balance(to)[0] == 5


def test_no_transaction_is_raised_above_its_ceiling(
    house: House, market: Chain, ground: Ground, aside: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.ask("evm_setAutomine", False)
    monkeypatch.setattr("desktop_app.adapters.chain.flights.RAISE_S", 0.02)
    sign, signed = recording(house)
    deployer = Relayer(market, house.keys.address("deployer"), sign, wait_s=120)
    number = ground.count(deployer.address)
    outcome = aside.submit(deployer.mint, fresh(), MicroUsd(5))
    until(lambda: bool(signed))
    ceiling = MOST_TIMES * int(signed[0]["maxFeePerGas"])
    until(lambda: price(ground, deployer.address, number)[0] * 9 // 8 > ceiling, 60)
    time.sleep(0.5)
    assert max(int(one["maxFeePerGas"]) for one in signed) <= ceiling
    ground.ask("evm_mine")
    mined(outcome.result())


def test_an_offer_is_raised_by_an_eighth_at_least_and_to_what_gas_costs_now() -> None:
    first = Offer(80, 8)
    assert raised(first, Offer(1, 1), first) == Offer(90, 9)
    assert raised(first, Offer(300, 4), first) == Offer(300, 9)
    assert raised(Offer(700, 70), Offer(5_000, 1), first) == Offer(800, 79)
    assert raised(Offer(720, 70), Offer(1, 1), first) is None
    assert raised(Offer(0, 0), Offer(0, 0), Offer(0, 0)) is None
    assert raised(Offer(3, 0), Offer(3, 0), Offer(3, 0)) == Offer(4, 1)


def test_when_gas_becomes_dear_the_offer_follows(house: House, market: Chain, ground: Ground, aside: ThreadPoolExecutor) -> None:
    ground.ask("evm_setAutomine", False)
    to = fresh()
    deployer, outcome = minting(house, market, aside, to)
    number = ground.count(deployer.address)
    until(lambda: number in waiting(ground, deployer.address))
    base = price(ground, deployer.address, number)[0] * 2
    ground.ask("anvil_setNextBlockBaseFeePerGas", hex(base))
    ground.ask("evm_mine")
    assert ground.count(deployer.address) == number  # too dear for what was offered
    until(lambda: price(ground, deployer.address, number)[0] > base)
    ground.ask("evm_mine")
    mined(outcome.result())
    assert market.balance(to)[0] == 5


def test_any_of_the_versions_may_be_the_one_that_is_mined(house: House, ground: Ground, aside: ThreadPoolExecutor) -> None:
    sent: list[str] = []

    def weather(method: str, body: bytes) -> str:
        if method == "eth_sendRawTransaction":
            sent.append(json.loads(body)["params"][0])
            if len(set(sent)) > 1:
                return said("0x" + "00" * 32)  # taken, and thrown away
        return "pass"

    ground.ask("evm_setAutomine", False)
    to = fresh()
    with relay(house.network.rpc_urls[0], weather) as url, house.chain(url) as market:
        deployer, outcome = minting(house, market, aside, to)
        number = ground.count(deployer.address)
        until(lambda: len(set(sent)) > 2)
        first = waiting(ground, deployer.address)[number]["hash"]
        ground.ask("evm_mine")
        assert mined(outcome.result()).transaction == first
        assert market.balance(to)[0] == 5


def test_a_block_that_is_undone_is_waited_for_again(
    house: House, ground: Ground, aside: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop_app.adapters.chain.flights.RAISE_S", 60)
    monkeypatch.setattr("desktop_app.adapters.chain.flights.RESEND_S", 60)  # it goes out again at once, not when its time comes
    slow = replace(house, network=replace(house.network, confirmations=4))
    to = fresh()
    with slow.chain() as market:
        number = ground.count(house.keys.address("deployer"))
        deployer, outcome = minting(slow, market, aside, to)
        until(lambda: ground.count(deployer.address) == number + 1)
        ground.ask("evm_mine")
        time.sleep(1.2)
        assert not outcome.done()
        ground.ask("evm_setAutomine", False)
        height = market.client.block_number()
        ground.reorganise(2)
        assert market.client.block_number() == height and ground.count(deployer.address) == number
        until(lambda: number in waiting(ground, deployer.address))
        assert not outcome.done()
        for _ in range(3):
            ground.ask("evm_mine")
        time.sleep(1.2)
        assert not outcome.done()  # three of four
        ground.ask("evm_mine")
        done = mined(outcome.result())
        assert done.block == height + 1 and market.balance(to) == (5, height + 1)


def test_what_was_given_up_is_taken_up_again_and_not_done_twice(
    house: House, market: Chain, ground: Ground, aside: ThreadPoolExecutor
) -> None:
    ground.ask("evm_setAutomine", False)
    to = fresh()
    deployer, outcome = minting(house, market, aside, to, wait_s=1.5)
    with pytest.raises(AppError, match="not confirmed"):
        outcome.result()
    number = ground.count(deployer.address)
    _, again = minting(house, market, aside, to)
    time.sleep(1)
    assert list(waiting(ground, deployer.address)) == [number]
    ground.ask("evm_mine")
    mined(again.result())
    assert market.balance(to)[0] == 5 and ground.count(deployer.address) == number + 1


def test_equal_deeds_at_the_same_time_are_one(house: House, market: Chain, ground: Ground, aside: ThreadPoolExecutor) -> None:
    relayer = house.relayer(market)
    job = house.open_job(relayer, house.terms())
    ground.ask("evm_setAutomine", False)
    number = ground.count(relayer.address)
    voucher = house.voucher(job, 10_000)
    outcomes = [aside.submit(house.relayer(market).redeem, *voucher) for _ in range(4)]
    # one that came to look only after the block would be told that it is done already
    until(lambda: [one.waiters for one in relayer._sender._flights._open] == [4])
    assert list(waiting(ground, relayer.address)) == [number]
    ground.ask("evm_mine")
    assert len({mined(one.result()).transaction for one in outcomes}) == 1
    assert ground.count(relayer.address) == number + 1


def test_what_a_dead_run_left_in_the_way_is_replaced(house: House, market: Chain, ground: Ground, aside: ThreadPoolExecutor) -> None:
    deployer = house.keys.address("deployer")
    ground.ask("evm_setAutomine", False)
    number = ground.count(deployer)
    left: dict[str, int | str] = {
        "type": 2, "chainId": house.network.chain_id, "nonce": number, "to": fresh(), "value": 1, "data": "0x",
        "gas": 21_000, "maxFeePerGas": 2 * GWEI, "maxPriorityFeePerGas": 1,
    }  # fmt: skip
    ground.ask("eth_sendRawTransaction", "0x" + house.signer("deployer")(left).hex())
    to = fresh()
    sign, signed = recording(house)
    outcome = aside.submit(Relayer(market, deployer, sign, 20).mint, to, MicroUsd(5))
    until(lambda: number + 1 in waiting(ground, deployer))
    until(lambda: waiting(ground, deployer)[number]["to"] == deployer.lower())
    assert (signed[0]["nonce"], signed[0]["to"]) == (number + 1, house.network.usdc)  # behind it at first, as everything else
    assert price(ground, deployer, number)[0] > 2 * GWEI
    ground.ask("evm_mine")
    mined(outcome.result())
    assert market.balance(to)[0] == 5 and ground.count(deployer) == number + 2


def test_numbers_go_on_after_a_connection_of_another_run(house: House, market: Chain) -> None:
    to = fresh()
    mined(house.relayer(market, "deployer").mint(to, MicroUsd(1)))
    with house.chain() as other:
        mined(house.relayer(other, "deployer").mint(to, MicroUsd(2)))
    mined(house.relayer(market, "deployer").mint(to, MicroUsd(4)))
    assert market.balance(to)[0] == 7
