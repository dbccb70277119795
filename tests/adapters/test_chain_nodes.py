"""Several nodes of one chain, some of which lie, lag, hang, die, or belong to another chain. Anvil is behind all of them."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from desktop_app.adapters.chain import Chain, Done, ExpiredUnused, Unused
from desktop_app.adapters.chain.client import Client
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd
from tests.adapters.chain_weather import Weather, relay, said
from tests.adapters.market_chain import House, mined, open_anvil_house
from tests.adapters.two_chains import Ground
from tests.ports import dead_url


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Ground]]:
    with open_anvil_house(tmp_path_factory.mktemp("house")) as found:
        yield found


@pytest.fixture
def house(opened: tuple[House, Ground]) -> House:
    return opened[0]


@pytest.fixture
def ground(opened: tuple[House, Ground]) -> Ground:
    return opened[1]


def fresh() -> str:
    return str(Account.create().address)


def honest(_method: str, _body: bytes) -> str:
    return "pass"


def rich(method: str, body: bytes) -> str:
    """Says of everybody that they hold a million."""
    return said("0x" + hex(10**12)[2:].rjust(64, "0")) if method == "eth_call" and "70a08231" in str(body) else "pass"


@contextmanager
def nodes(house: House, *weathers: Weather | str) -> Iterator[tuple[Chain, list[str]]]:
    """A connection over a node per weather; a text is a URL itself."""
    with ExitStack() as stack:
        urls = [one if isinstance(one, str) else stack.enter_context(relay(house.network.rpc_urls[0], one)) for one in weathers]
        yield stack.enter_context(house.chain(*urls)), urls


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_liar_among_three_is_outvoted_and_named(house: House, caplog: pytest.LogCaptureFixture, place: int) -> None:
    weathers: list[Weather | str] = [honest, honest, honest]
    weathers[place] = rich
    with nodes(house, *weathers) as (market, urls):
        assert market.balance(fresh())[0] == 0
        assert urls[place] in caplog.text and not any(url in caplog.text for url in urls if url != urls[place])


def test_two_that_contradict_each_other_count_for_nothing_and_are_named(house: House) -> None:
    with nodes(house, honest, rich) as (market, urls):
        with pytest.raises(AppError, match="contradict") as trouble:
            market.balance(fresh())
        assert all(url in str(trouble.value) for url in urls)


def test_one_alone_is_believed_as_before(house: House) -> None:
    with nodes(house, rich) as (market, _):
        assert market.balance(fresh())[0] == 10**12


def test_a_liar_beside_a_dead_node_does_not_win(house: House) -> None:
    with dead_url() as dead, nodes(house, dead, honest, rich) as (market, _), pytest.raises(AppError, match="contradict"):
        market.balance(fresh())


def test_a_node_named_twice_has_one_vote(house: House) -> None:
    with (
        relay(house.network.rpc_urls[0], rich) as liar,
        nodes(house, liar, honest, liar) as (market, _),
        pytest.raises(AppError, match="contradict"),
    ):
        market.balance(fresh())


def test_one_that_lags_is_not_asked_about_what_it_has_not_seen(house: House, ground: Ground) -> None:
    to = fresh()
    behind = int(str(ground.ask("eth_blockNumber")), 16)
    past = ground.ask("eth_getBlockByNumber", hex(behind), False)

    def lagging(method: str, body: bytes) -> str:
        params = json.loads(body)["params"]
        if method == "eth_blockNumber":
            return said(hex(behind))
        if method == "eth_getBlockByNumber" and params[0] in ("latest", "finalized"):
            return said(past)
        if method == "eth_getBlockByNumber" and int(params[0], 16) > behind:
            return said(None)
        if method == "eth_call" and params[1] not in ("latest", hex(behind)):
            return 'text:{"jsonrpc":"2.0","id":0,"error":{"code":-32001,"message":"unknown block"}}'
        return "pass"

    with nodes(house, lagging, honest, honest) as (market, _):
        mined(house.relayer(market, "deployer").mint(to, MicroUsd(9)))
        amount, block = market.balance(to)
        assert (amount, block) == (9, int(str(ground.ask("eth_blockNumber")), 16)) and block > behind
    with nodes(house, lagging, honest) as (market, _):
        amount, block = market.balance(to)
        assert (amount, block) == (0, behind)  # what both have seen; the rest comes when both have


def test_one_that_hangs_costs_its_time_once(house: House) -> None:
    asked: list[str] = []

    def hanging(method: str, _body: bytes) -> str:
        asked.append(method)
        return "hang"

    with ExitStack() as stack:
        urls = tuple(stack.enter_context(relay(house.network.rpc_urls[0], one)) for one in (hanging, honest, honest))
        with house.chain(*urls) as market:
            market.client = Client(market.network, timeout_s=3.0)
            for _ in range(4):
                market.balance(fresh())
            assert asked == ["eth_chainId"]
            market.client.close()


def test_a_node_that_dies_on_the_way_is_passed_over(house: House) -> None:
    alive = True

    def dying(_method: str, _body: bytes) -> str:
        return "pass" if alive else "refuse"

    to = fresh()
    with nodes(house, dying, honest) as (market, _):
        deployer = house.relayer(market, "deployer")
        mined(deployer.mint(to, MicroUsd(1)))
        alive = False
        mined(deployer.mint(to, MicroUsd(2)))
        assert market.balance(to)[0] == 3


def test_a_liar_is_not_left_alone_while_the_others_rest(house: House) -> None:
    busy = False

    def tired(_method: str, _body: bytes) -> str:
        return "busy" if busy else "pass"

    with nodes(house, tired, rich, tired) as (market, _):
        market.connect()
        busy = True
        assert market.balance(fresh())[0] == 10**12  # nobody else answers
        busy = False
        assert market.balance(fresh())[0] == 0


def test_one_that_is_too_busy_is_passed_over(house: House) -> None:
    def busy(_method: str, _body: bytes) -> str:
        return "busy"

    with nodes(house, busy, honest) as (market, _):
        assert market.balance(fresh())[0] == 0


def test_a_node_of_another_chain_is_named_and_never_used(house: House) -> None:
    asked: list[str] = []

    def other(method: str, _body: bytes) -> str:
        asked.append(method)
        return said("0x2105") if method == "eth_chainId" else "pass"

    with nodes(house, honest, other) as (market, urls):
        with pytest.raises(AppError, match="chain id is 8453, not 31337") as trouble:
            market.balance(fresh())
        assert urls[1] in str(trouble.value)
    assert set(asked) == {"eth_chainId"}


def test_a_receipt_counts_when_most_nodes_have_it(house: House) -> None:
    """A node that invents receipts is asked first, and takes no transactions itself."""
    kept: list[str] = []

    def inventing(method: str, body: bytes) -> str:
        if method == "eth_sendRawTransaction":
            raw = json.loads(body)["params"][0]
            kept.append("0x" + bytes(keccak(hexstr=raw)).hex())
            return said(kept[-1])
        if method == "eth_getTransactionReceipt" and len(kept) < 2:
            receipt = {"transactionHash": kept[-1], "blockNumber": "0x1", "gasUsed": "0x5208", "status": "0x1", "logs": []}
            return said(receipt)
        return "pass"

    to = fresh()
    with nodes(house, inventing, honest, honest) as (market, _):
        done = mined(house.relayer(market, "deployer").mint(to, MicroUsd(8)))
        assert done.block > 1 and market.balance(to)[0] == 8


def test_payouts_are_what_most_nodes_tell(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def hiding(method: str, _body: bytes) -> str:
        return said([]) if method == "eth_getLogs" else "pass"

    owner = house.keys.address("owner")
    with nodes(house, hiding, honest, honest) as (market, urls):
        relayer = house.relayer(market)
        job = house.open_job(relayer, house.terms())
        start = market.client.block_number()
        mined(relayer.redeem(*house.voucher(job, 1_000)))
        (paid,) = market.payouts(owner, start, market.client.block_number())
        assert paid[1] == 1_000 and urls[0] in caplog.text
    with nodes(house, hiding) as (market, _):
        assert market.payouts(owner, start, market.client.block_number()) == []


def test_a_cash_out_is_not_given_up_on_one_nodes_word(house: House, ground: Ground) -> None:
    owner, to, quote = house.keys.address("owner"), fresh(), house.quote(1_000)

    def from_the_future(method: str, body: bytes) -> str:
        if method != "eth_getBlockByNumber":
            return "pass"
        block = ground.ask("eth_getBlockByNumber", *json.loads(body)["params"])
        assert isinstance(block, dict)
        return said(block | {"timestamp": hex(quote.valid_before + 10)})

    with nodes(house, from_the_future) as (market, _):
        assert market.cash_out_status(owner, to, quote) == ExpiredUnused()  # alone, it is believed
    for place in range(3):
        weathers: list[Weather | str] = [honest, honest, honest]
        weathers[place] = from_the_future
        with nodes(house, *weathers) as (market, _):
            assert market.cash_out_status(owner, to, quote) == Unused()


def test_a_cash_out_that_happened_is_seen_whoever_denies_it(house: House) -> None:
    def denying(method: str, body: bytes) -> str:
        return said("0x" + "00" * 32) if method == "eth_call" and "e94a0102" in str(body) else "pass"

    owner, to, quote = house.keys.address("owner"), fresh(), house.quote(1_000)
    with nodes(house, denying, honest, honest) as (market, _):
        mined(house.relayer(market, "deployer").mint(owner, MicroUsd(1_000)))
        done = mined(house.relayer(market).cash_out(owner, to, quote, house.cash_out_signature(to, quote)))
        assert market.cash_out_status(owner, to, quote) == Done(done.transaction, 1)
    with nodes(house, denying) as (market, _):
        assert market.cash_out_status(owner, to, quote) == Unused()
