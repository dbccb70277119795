"""What is signed here is what the contracts check: their digests, ids and nonces, computed by them, equal ours."""

import secrets
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from desktop_app.adapters import chain
from desktop_app.adapters.chain import Chain, ids
from desktop_app.adapters.chain.bindings import task_escrow
from desktop_app.core import money
from desktop_app.core.money import Units
from desktop_app.wire import eip712
from desktop_app.wire.eip712 import Domain, Registration, Terms, TypedMessage, Voucher
from tests.adapters.market_chain import House, open_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


@pytest.fixture
def opened(house: House) -> Iterator[Chain]:
    with house.chain() as found:
        yield found


def digest(message: TypedMessage) -> str:
    signable = encode_typed_data(full_message=message)
    return "0x" + bytes(keccak(b"\x19" + signable.version + signable.header + signable.body)).hex()


def packed(promise: Voucher) -> task_escrow.Voucher:
    return task_escrow.Voucher(promise.job, promise.gpu, int(promise.units), promise.receipts_root)


def random_voucher(units: int) -> Voucher:
    return Voucher("0x" + secrets.token_hex(32), 2**256 - 1, Units(units), "0x" + secrets.token_hex(32))


@pytest.mark.parametrize("units", [0, 1, 2**64 - 1])
def test_a_voucher_and_a_claim_are_those_the_escrow_checks(house: House, opened: Chain, units: int) -> None:
    promise, client = random_voucher(units), opened.client
    escrow = chain.escrow_domain(house.network)
    assert digest(eip712.voucher(escrow, promise)) == client.view(client.escrow.voucher_digest(packed(promise)))
    assert digest(eip712.claim(escrow, promise)) == client.view(client.escrow.claim_digest(packed(promise)))
    theirs = client.view(client.escrow.challenge_digest(promise.job, promise.gpu, units))
    assert digest(eip712.challenge(escrow, promise.job, promise.gpu, promise.units)) == theirs


@pytest.mark.parametrize("count", [1, 2, 33])
def test_a_batch_is_the_one_the_escrow_checks(house: House, opened: Chain, count: int) -> None:
    rows = [random_voucher(number) for number in range(count)]
    theirs = opened.client.view(opened.client.escrow.batch_digest(tuple(packed(one) for one in rows)))
    assert digest(chain.batch_typed(house.network, rows)) == theirs


def test_a_registration_and_a_tier_are_those_the_registry_checks(house: House, opened: Chain) -> None:
    asked = Registration(house.keys.address("owner"), "0x" + secrets.token_hex(32), 255, house.keys.address("operator"), 2**256 - 1)
    registry = opened.client.registry
    theirs = opened.client.view(registry.register_digest(asked.owner, asked.hardware, asked.tier, asked.operator, asked.deadline))
    assert digest(eip712.register(chain.registry_domain(house.network), asked)) == theirs
    account = chain.account_of(7, 3)
    theirs = opened.client.view(registry.set_tier_digest(account, 2, 99))
    assert digest(eip712.set_tier(chain.registry_domain(house.network), account, 2, 99)) == theirs
    assert (account, chain.gpu_of_account(account), chain.era_of_account(account)) == (7 + 3 * 2**40, 7, 3)


def test_a_jobs_id_and_escrow_are_the_contracts(house: House, opened: Chain) -> None:
    escrow = opened.client.escrow
    most = Terms(
        house.keys.address("renter"), 255, 2**64 - 1, 2**64 - 1, Units(2**64 - 1), 2**64 - 1, 2**32 - 1, "0x" + "ff" * 32, "0x" + "01" * 32
    )
    for terms in (house.terms(), house.terms(units=1, rate=1), most):
        theirs = opened.client.view(escrow.job_id(task_escrow.Terms(**asdict(terms))))
        assert chain.job_id(house.network, terms) == theirs
        assert opened.client.view(escrow.escrow_for(terms.units, terms.rate)) == money.escrow(terms.units, terms.rate)


def test_the_nonces_are_the_contracts(house: House, opened: Chain) -> None:
    quote, to = house.quote(10**12, 12_345), house.keys.address("owner")
    theirs = opened.client.view(opened.client.cash_out.nonce_of(to, int(quote.amount), int(quote.fee), quote.salt))
    assert chain.cash_out_nonce(to, quote) == theirs
    job, salt = "0x" + secrets.token_hex(32), "0x" + secrets.token_hex(32)
    assert chain.top_up_nonce(house.network, job, 12_345, salt) == opened.client.view(opened.client.escrow.top_up_nonce(job, 12_345, salt))


def test_the_stablecoins_domain_is_its_own(house: House, opened: Chain) -> None:
    message = chain.cash_out_typed(house.network, house.keys.address("owner"), house.keys.address("renter"), house.quote(1))
    assert ids.domain_separator(message) == opened.client.view(opened.client.usdc.domain_separator())


def test_every_field_counts(house: House) -> None:
    escrow = chain.escrow_domain(house.network)
    base = Voucher("0x" + "11" * 32, 1, Units(1), "0x" + "22" * 32)
    messages = [
        eip712.voucher(escrow, base),
        eip712.voucher(Domain(1, escrow.verifying_contract), base),
        eip712.voucher(Domain(escrow.chain_id, house.network.registry), base),
        eip712.voucher(escrow, Voucher("0x" + "12" * 32, 1, Units(1), base.receipts_root)),
        eip712.voucher(escrow, Voucher(base.job, 2, Units(1), base.receipts_root)),
        eip712.voucher(escrow, Voucher(base.job, 1, Units(2), base.receipts_root)),
        eip712.voucher(escrow, Voucher(base.job, 1, Units(1), "0x" + "23" * 32)),
        eip712.manifest(escrow, base.job, "22" * 32),
        eip712.manifest(escrow, base.job, "23" * 32),
        eip712.manifest(escrow, base.receipts_root, "22" * 32),
    ]
    assert len({digest(one) for one in messages}) == len(messages)


def test_who_signed_is_recovered_and_a_changed_word_is_somebody_else(house: House) -> None:
    message = eip712.manifest(chain.escrow_domain(house.network), "0x" + "11" * 32, "22" * 32)
    signature = house.keys.sign_typed("renter", message)
    assert chain.recover_typed(message, signature) == house.keys.address("renter")
    other = eip712.manifest(chain.escrow_domain(house.network), "0x" + "11" * 32, "23" * 32)
    assert chain.recover_typed(other, signature) != house.keys.address("renter")
    spoken = house.keys.sign_message("renter", b"hello")
    assert chain.recover_message(b"hello", spoken) == house.keys.address("renter")
    assert chain.recover_message(b"hallo", spoken) != house.keys.address("renter")


@pytest.mark.parametrize(
    "signature", ["", "0x", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "zz" * 65, "0x" + "11" * 64, "0x" + "11" * 66, "é" * 132]
)
def test_what_is_no_signature_is_nobodys(house: House, signature: str) -> None:
    message = eip712.manifest(chain.escrow_domain(house.network), "0x" + "11" * 32, "22" * 32)
    assert chain.recover_typed(message, signature) is None
    assert chain.recover_message(b"hello", signature) is None


def test_addresses_with_a_wrong_checksum_are_refused() -> None:
    """EIP-55's own example. In one of two thousand drawn addresses all letters are of one case, and turned round are right too."""
    good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    swapped = good.swapcase().replace("0X", "0x")
    assert chain.is_address(good) and chain.is_address(good.lower()) and not chain.is_address(swapped)
    assert not chain.is_address(good[:-1]) and not chain.is_address(good[2:] + "00") and not chain.is_address("")
    assert chain.checksummed(good.lower()) == good and chain.same_address(good, good.lower())
