"""A signature counts once, for one thing, in one place: never on another chain or contract, for another job or GPU, or as a
message of another kind. Each test says first what the attacker wanted."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.crypto import keccak
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from desktop_app.core.money import Units, escrow
from desktop_app.wire import eip712
from tests.contracts.market import OTHER_TIER, ROOT, TIER, WINDOW, Market, as_form, as_tuple
from tests.contracts.people import ANNE, ATTESTOR, BOB, OWNER, RENTER, STRANGER, Person
from tests.contracts.refusals import refused

UNITS = 1_000
HARDWARE = keccak(text="first")
FRESH = keccak(text="never seen")


@dataclass(frozen=True)
class Place:
    """A job with a claim window on the market's GPU, and a second escrow like the first."""

    market: Market
    terms: eip712.Terms
    job: bytes
    twin: Contract

    @property
    def row(self) -> tuple[bytes, int, int, bytes]:
        return self.market.row(self.job, UNITS)

    def domain(self) -> eip712.Domain:
        return self.market.domain(self.market.escrow)


@pytest.fixture
def place(market: Market) -> Place:
    terms = market.claimable()
    twin = market.deploy("TaskEscrow", market.usdc.address, market.registry.address)
    return Place(market, terms, market.open(terms), twin)


def packed(rows: list[tuple[bytes, int, int, bytes]]) -> str:
    return "0x" + keccak(b"".join(job + gpu.to_bytes(32, "big") + units.to_bytes(32, "big") + root for job, gpu, units, root in rows)).hex()


Ask = Callable[[Place, eip712.Domain], ContractFunction]


def redeem(place: Place, domain: eip712.Domain) -> ContractFunction:
    return place.market.escrow.functions.redeem(place.row, RENTER.sign(eip712.voucher(domain, as_form(place.row))))


def redeem_attested(place: Place, domain: eip712.Domain) -> ContractFunction:
    proof = ATTESTOR.sign(eip712.voucher(domain, as_form(place.row)))
    return place.market.escrow.functions.redeemAttested(place.row, ATTESTOR.address, proof)


def batch(place: Place, domain: eip712.Domain) -> ContractFunction:
    proof = ATTESTOR.sign(eip712.batch(domain, 1, packed([place.row])))
    return place.market.escrow.functions.settleBatchSigned([place.row], ATTESTOR.address, proof)


def claim(place: Place, domain: eip712.Domain) -> ContractFunction:
    said = OWNER.sign(eip712.claim(domain, as_form(place.row)))
    return place.market.escrow.functions.claim(as_tuple(place.terms), place.row, HARDWARE, said)


def challenge(place: Place, domain: eip712.Domain) -> ContractFunction:
    place.market.send(STRANGER, claim(place, place.domain()))
    said = RENTER.sign(eip712.challenge(domain, "0x" + place.job.hex(), place.market.gpu, Units(UNITS)))
    return place.market.escrow.functions.challenge(place.job, said)


def register(place: Place, domain: eip712.Domain) -> ContractFunction:
    form = eip712.Registration(ANNE.address, "0x" + FRESH.hex(), TIER, ANNE.address, place.market.now + 60)
    proof = ATTESTOR.sign(eip712.register(domain, form))
    return place.market.registry.functions.register(ANNE.address, FRESH, TIER, ANNE.address, form.deadline, ATTESTOR.address, proof)


def set_tier(place: Place, domain: eip712.Domain) -> ContractFunction:
    deadline = place.market.now + 60
    proof = ATTESTOR.sign(eip712.set_tier(domain, place.market.gpu, OTHER_TIER, deadline))
    return place.market.registry.functions.setTier(place.market.gpu, OTHER_TIER, deadline, ATTESTOR.address, proof)


def open_gasless(place: Place, domain: eip712.Domain) -> ContractFunction:
    market, terms = place.market, replace(place.terms, salt="0x" + "77" * 32)
    before, job = market.now + 60, market.job_id(terms)
    form = eip712.Authorization(RENTER.address, str(market.escrow.address), escrow(terms.units, terms.rate), 0, before, "0x" + job.hex())
    return market.escrow.functions.openWithAuthorization(
        as_tuple(terms), 0, before, RENTER.sign(eip712.receive_with_authorization(domain, form))
    )


ASKED: dict[str, tuple[Ask, str]] = {
    "redeem": (redeem, "VoucherNotSigned"),
    "redeemAttested": (redeem_attested, "NotAttested"),
    "batch": (batch, "NotAttested"),
    "claim": (claim, "ClaimNotSigned"),
    "challenge": (challenge, "ChallengeNotSigned"),
    "register": (register, "NotAttested"),
    "setTier": (set_tier, "NotAttested"),
    "open": (open_gasless, "ERC3009InvalidSignature"),
}


def home(place: Place, kind: str) -> eip712.Domain:
    """Where the message belongs."""
    market = place.market
    return market.domain({"register": market.registry, "setTier": market.registry, "open": market.usdc}.get(kind, market.escrow))


@pytest.mark.parametrize("kind", ASKED)
def test_replay_from_another_chain_or_contract(place: Place, kind: str) -> None:
    """Wanted: to use here what was signed for a fork, another network, or a contract of an earlier version."""
    ask, error = ASKED[kind]
    right = home(place, kind)
    abroad = (eip712.Domain(right.chain_id + 1, right.verifying_contract), eip712.Domain(right.chain_id, str(place.twin.address)))
    for domain in (*abroad, eip712.Domain(0, right.verifying_contract)):
        before = place.market.snapshot()
        call = ask(place, domain)
        with refused(error):
            place.market.send(STRANGER, call)
        place.market.revert(before)
    place.market.send(STRANGER, ask(place, right))  # the same words, signed for here, are heard


def test_a_job_of_the_twin_is_no_job_here(place: Place) -> None:
    """Wanted: to open at a second escrow with the authorisation that was made for the first."""
    market, terms = place.market, replace(place.terms, salt="0x" + "78" * 32)
    before, job = market.now + 60, market.job_id(terms)
    signature = market.authorize(RENTER, str(market.escrow.address), escrow(terms.units, terms.rate), job, before)
    with refused("ERC3009InvalidSignature"):
        market.send(STRANGER, place.twin.functions.openWithAuthorization(as_tuple(terms), 0, before, signature))
    assert bytes(place.twin.functions.jobId(as_tuple(terms)).call()) != job


def test_replay_for_another_job_and_gpu(place: Place) -> None:
    """Wanted: to be paid from another job of the same renter, for another GPU, or for more units, on one voucher."""
    market = place.market
    other = market.open(market.terms(5))
    gpu = market.register(ANNE, "second")
    job, mine, units, root = place.row
    signature = RENTER.sign(eip712.voucher(place.domain(), as_form(place.row)))
    for row in ((other, mine, units, root), (job, gpu, units, root), (job, mine, units + 1, root), (job, mine | 1 << 40, units, root)):
        with refused("VoucherNotSigned"):
            market.send(STRANGER, market.escrow.functions.redeem(row, signature))


def test_replay_of_what_was_paid(place: Place) -> None:
    """Wanted: to be paid twice on one signature, alone, attested and in a batch, or by the row that stands in it twice."""
    market = place.market
    market.send(STRANGER, batch(place, place.domain()))
    paid = market.balance(OWNER)
    for ask in (redeem, redeem_attested):
        with refused("VoucherStale"):
            market.send(STRANGER, ask(place, place.domain()))
    market.send(STRANGER, batch(place, place.domain()))
    market.batch([market.row(place.job, 2 * UNITS)] * 3)
    assert market.balance(OWNER) == 2 * paid
    assert market.paid(place.job) == 2 * UNITS


def test_a_challenge_of_one_claim_is_none_of_another(place: Place) -> None:
    """Wanted: to hold up an honest later claim with the renter's objection to an earlier one."""
    market = place.market
    call = challenge(place, place.domain())
    market.send(STRANGER, call)
    market.resolve(place.job, UNITS)
    market.claim(OWNER, place.terms, 2 * UNITS)
    with refused("ChallengeNotSigned"):
        market.send(STRANGER, call)
    market.travel(market.now + WINDOW + 1)
    market.finalize(place.job)
    assert market.paid(place.job) == 2 * UNITS


def test_a_change_of_tier_counts_once(place: Place) -> None:
    """Wanted: to put a GPU back into a better tier with an old measurement."""
    call = set_tier(place, home(place, "setTier"))
    place.market.send(STRANGER, call)
    with refused("NotAttested"):
        place.market.send(STRANGER, call)


Say = Callable[[Place, Person], bytes]
SAID: dict[str, Say] = {
    "Voucher": lambda place, who: who.sign(eip712.voucher(place.domain(), as_form(place.row))),
    "Claim": lambda place, who: who.sign(eip712.claim(place.domain(), as_form(place.row))),
    "Batch": lambda place, who: who.sign(eip712.batch(place.domain(), 1, packed([place.row]))),
    "Challenge": lambda place, who: who.sign(eip712.challenge(place.domain(), "0x" + place.job.hex(), place.market.gpu, Units(UNITS))),
    "Manifest": lambda place, who: who.sign(eip712.manifest(place.domain(), "0x" + place.job.hex(), ROOT.hex())),
    "SetTier": lambda place, who: who.sign(eip712.set_tier(place.domain(), place.market.gpu, TIER, UNITS)),
    "personal": lambda place, who: bytes(
        Account.sign_message(
            encode_defunct(bytes(place.market.escrow.functions.voucherDigest(place.row).call())), who.key
        ).signature
    ),
}  # fmt: skip


def test_one_kind_of_message_as_another(place: Place) -> None:
    """Wanted: to turn a word that somebody gives easily into one that moves money: a claim into a voucher, a voucher into a
    batch, an objection into a promise, a plain signed text into any of them."""
    market, do = place.market, place.market.escrow.functions
    asked: dict[str, tuple[str, Person, Callable[[bytes], ContractFunction]]] = {
        "Voucher": ("VoucherNotSigned", RENTER, lambda said: do.redeem(place.row, said)),
        "Voucher ": ("NotAttested", ATTESTOR, lambda said: do.redeemAttested(place.row, ATTESTOR.address, said)),
        "Batch": ("NotAttested", ATTESTOR, lambda said: do.settleBatchSigned([place.row], ATTESTOR.address, said)),
        "Claim": ("ClaimNotSigned", OWNER, lambda said: do.claim(as_tuple(place.terms), place.row, HARDWARE, said)),
    }
    for right, (error, who, ask) in asked.items():
        for kind, say in SAID.items():
            if kind != right.strip():
                with refused(error):
                    market.send(STRANGER, ask(say(place, who)))
    market.claim(OWNER, place.terms, UNITS)
    for kind, say in SAID.items():
        if kind != "Challenge":
            with refused("ChallengeNotSigned"):
                market.send(STRANGER, do.challenge(place.job, say(place, RENTER)))


def test_one_role_as_another(place: Place) -> None:
    """Wanted: to pay oneself with the right words from the wrong mouth."""
    market, do = place.market, place.market.escrow.functions
    for who in (ATTESTOR, OWNER, STRANGER, ANNE):
        with refused("VoucherNotSigned"):
            market.send(STRANGER, do.redeem(place.row, SAID["Voucher"](place, who)))
    for who in (RENTER, OWNER, STRANGER, BOB):
        with refused("NotAttestor"):
            market.send(STRANGER, do.redeemAttested(place.row, who.address, SAID["Voucher"](place, who)))
        with refused("NotAttestor"):
            market.send(STRANGER, do.settleBatchSigned([place.row], who.address, SAID["Batch"](place, who)))
        with refused("NotAttested"):
            market.send(STRANGER, do.redeemAttested(place.row, ATTESTOR.address, SAID["Voucher"](place, who)))
    for who in (RENTER, ATTESTOR, STRANGER):
        with refused("ClaimNotSigned"):
            market.send(STRANGER, do.claim(as_tuple(place.terms), place.row, HARDWARE, SAID["Claim"](place, who)))
