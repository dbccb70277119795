"""Sending through bad weather: connections lost after the send, dead nodes, slow nodes, and many senders at once.

A relay between the adapter and the real chain loses what the test tells it to lose.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from eth_abi.abi import encode
from eth_account import Account

from desktop_app.adapters.chain import Chain
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd
from tests.adapters.chain_weather import forgetful, relay
from tests.adapters.market_chain import House, mined, open_house
from tests.ports import dead_url


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits long for its block is not sent again for that."""
    monkeypatch.setattr("desktop_app.adapters.chain.flights.RESEND_S", 60)


def fresh() -> str:
    return str(Account.create().address)


def real(house: House) -> str:
    return house.network.rpc_urls[0]


@pytest.mark.parametrize("verdict", ["lose", "refuse"])
def test_an_answer_lost_after_the_send_does_not_send_twice(house: House, verdict: str, patient: None) -> None:
    sent: list[bytes] = []

    def weather(method: str, body: bytes) -> str:
        if method != "eth_sendRawTransaction":
            return "pass"
        sent.append(json.loads(body)["params"][0])
        return verdict if len(sent) <= 2 else "pass"

    to = fresh()
    with relay(real(house), weather) as url, house.chain(url) as opened:
        outcome = mined(house.relayer(opened, "deployer").mint(to, MicroUsd(1_000_000)))
        assert opened.balance(to)[0] == 1_000_000
        assert not outcome.already
        mined(house.relayer(opened, "deployer").mint(to, MicroUsd(1)))
        assert opened.balance(to)[0] == 1_000_001
    assert len(sent) == 4 and len(set(sent[:3])) == 1


def test_a_node_that_knows_the_bytes_already_has_taken_them(house: House, patient: None) -> None:
    sent: list[str] = []

    def weather(method: str, body: bytes) -> str:
        if method != "eth_sendRawTransaction":
            return "pass"
        sent.append(json.loads(body)["params"][0])
        return "lose" if len(sent) == 1 else 'text:{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"already known"}}'

    to = fresh()
    with relay(real(house), weather) as url, house.chain(url) as opened:
        mined(house.relayer(opened, "deployer").mint(to, MicroUsd(3)))
        assert opened.balance(to)[0] == 3
    assert len(sent) == 2


def test_a_node_that_forgot_the_bytes_gets_them_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.adapters.chain.flights.RESEND_S", 0.5)
    sent: list[str] = []

    def weather(method: str, body: bytes) -> str:
        if method != "eth_sendRawTransaction":
            return "pass"
        sent.append(json.loads(body)["params"][0])
        return "pass" if len(sent) > 1 else 'text:{"jsonrpc":"2.0","id":0,"result":"0x' + "00" * 32 + '"}'

    to = fresh()
    with relay(real(house), weather) as url, house.chain(url) as opened:
        mined(house.relayer(opened, "deployer").mint(to, MicroUsd(7)))
        assert opened.balance(to)[0] == 7
    assert len(set(sent)) == 1 and len(sent) >= 2


def test_a_connection_that_is_let_go_as_it_is_used_again_is_no_silence(house: House) -> None:
    to = fresh()
    with forgetful(real(house)) as url, house.chain(url) as opened:
        mined(house.relayer(opened, "deployer").mint(to, MicroUsd(9)))
        assert opened.balance(to)[0] == 9


def test_a_dead_node_is_passed_over(house: House) -> None:
    with dead_url() as dead, house.chain(dead, real(house)) as opened:
        mined(house.relayer(opened, "deployer").mint(fresh(), MicroUsd(1)))


@pytest.mark.parametrize(
    "nonsense", ["text:", "text:[]", "text:{}", "text:<html>", 'text:{"error":"x"}', "text:" + " " * 100_000, "refuse"]
)
def test_a_node_that_talks_nonsense_is_passed_over(house: House, nonsense: str) -> None:
    with relay(real(house), lambda _method, _body: nonsense) as url, house.chain(url, real(house)) as opened:
        assert opened.balance(fresh())[0] == 0


def test_an_endless_answer_is_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_app.adapters.chain.rpc.MOST_BYTES", 200_000)
    endless = 'text:{"jsonrpc":"2.0","id":0,"result":"' + "0" * 2_000_000 + '"}'
    with relay(real(house), lambda _method, _body: endless) as url, house.chain(url, real(house)) as opened:
        opened.connect()


def test_when_no_node_answers_the_owner_is_told(house: House) -> None:
    with dead_url() as one, dead_url() as other, house.chain(one, other) as opened, pytest.raises(AppError, match="cannot be reached"):
        opened.balance(fresh())


@pytest.mark.parametrize(
    "answer",
    [
        '{"jsonrpc":"2.0","id":0,"result":"0x"}',
        '{"jsonrpc":"2.0","id":0,"result":[1]}',
        '{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no"}}',
    ],
)
def test_answers_of_a_wrong_shape_are_an_app_error(house: House, answer: str) -> None:
    with house.chain() as proven:
        proven.connect()

        def weather(method: str, _body: bytes) -> str:
            return f"text:{answer}" if method in ("eth_call", "eth_getLogs", "eth_getBlockByNumber") else "pass"

        broken = False

        def later(method: str, body: bytes) -> str:
            return weather(method, body) if broken else "pass"

        with relay(real(house), later) as url, house.chain(url) as opened:
            opened.connect()
            broken = True
            quote = house.quote(1)
            for question in (
                lambda: opened.balance(fresh()),
                lambda: opened.payouts(fresh(), 0, 5),
                lambda: opened.job("0x" + "00" * 32),
                lambda: opened.cash_out_status(fresh(), fresh(), quote),
            ):
                with pytest.raises(AppError):
                    question()


def test_a_proxy_in_the_environment_never_sees_what_is_meant_for_this_machine(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with dead_url() as proxy, house.chain() as opened:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("http_proxy", proxy)
        opened.connect()


def test_a_contract_cannot_make_this_machine_fetch_an_address(house: House) -> None:
    kinds = ["address", "string[]", "bytes", "bytes4", "bytes"]
    data = "0x556f1830" + encode(kinds, [house.network.usdc, ["https://example.invalid/{sender}/{data}"], b"", b"1234", b""]).hex()
    lookup = "text:" + json.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": 3, "message": "execution reverted", "data": data}})
    proven = False

    def weather(method: str, _body: bytes) -> str:
        return lookup if proven and method == "eth_call" else "pass"

    with relay(real(house), weather) as url, house.chain(url) as opened:
        opened.connect()
        proven = True
        # taken as a refusal, as any other: had it been followed, the trouble would be the address that does not exist
        with pytest.raises(AppError, match="A contract refused"):
            opened.balance(fresh())


def test_many_threads_share_one_counter_of_numbers(house: House) -> None:
    to = fresh()
    with house.chain() as opened, ThreadPoolExecutor(8) as pool:
        deployer = house.relayer(opened, "deployer")
        outcomes = list(pool.map(lambda _: mined(deployer.mint(to, MicroUsd(1))), range(24)))
        assert len({one.transaction for one in outcomes}) == 24
        assert opened.balance(to)[0] == 24


def test_two_relayers_with_one_key_find_their_way(house: House) -> None:
    to = fresh()
    with house.chain() as one, house.chain() as other, ThreadPoolExecutor(2) as pool:

        def five(opened: Chain, amount: int) -> None:
            relayer = house.relayer(opened, "deployer")
            left = 5
            while left:
                try:
                    mined(relayer.mint(to, MicroUsd(amount)))
                    left -= 1
                except AppError as error:  # lost the race for a number twice: said, and nothing was done
                    assert "number" in str(error)

        # different amounts: equal deeds with equal numbers would be one and the same transaction
        list(pool.map(five, (one, other), (1, 100)))
        assert one.balance(to)[0] == 505


def test_a_chain_that_does_not_mine_in_time_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    # the block is there, and only its receipt is withheld: given time enough, that would be taken for a stranger's work
    monkeypatch.setattr("desktop_app.adapters.chain.flights._GONE_S", 60)

    def weather(method: str, _body: bytes) -> str:
        return 'text:{"jsonrpc":"2.0","id":0,"result":null}' if method == "eth_getTransactionReceipt" else "pass"

    with relay(real(house), weather) as url, house.chain(url) as opened:
        slow = house.relayer(opened, "deployer", wait_s=1)
        with pytest.raises(AppError, match=r"not confirmed 0x[0-9a-f]{64}"):
            slow.mint(fresh(), MicroUsd(1))
    with house.chain() as opened:
        mined(house.relayer(opened, "deployer").mint(fresh(), MicroUsd(1)))


def test_a_sender_without_ether_is_told(house: House) -> None:
    with house.chain() as opened:
        poor = house.relayer(opened, "owner")
        assert poor.ether() == 0
        asked, *proof = house.registration()
        with pytest.raises(AppError, match="no ether left"):
            poor.register(asked, *proof)
