"""What people do with jobs and work, each at random and often wrongly: opening, paying, claiming, ending. Called through
`life_market.ACTIONS`."""

from collections.abc import Callable
from random import Random

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from desktop_app.core.money import Units, escrow
from desktop_app.wire import eip712
from tests.contracts.life import Life
from tests.contracts.market import DAY, OTHER_TIER, ROOT, TIER, as_form, as_tuple
from tests.contracts.model import Claim, Row
from tests.contracts.people import ARBITER, ATTESTOR, STRANGER, Person

TERMS_TYPE = "(address,uint8,uint64,uint64,uint64,uint64,uint32,bytes32,bytes32)"


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def job_id(life: Life, terms: eip712.Terms) -> bytes:
    """As the contract hashes it, so that the chain need not be asked."""
    market = life.market
    return keccak(encode(["uint256", "address", TERMS_TYPE], [market.chain_id, str(market.escrow.address), as_tuple(terms)]))


def some_terms(life: Life, rnd: Random) -> eip712.Terms:
    gpu = rnd.choice([0, rnd.randint(2, len(life.model.gpus) + 1)])
    tier = life.model.gpus[gpu].tier if 0 < gpu <= len(life.model.gpus) else rnd.choice([TIER, TIER, TIER, OTHER_TIER])
    if rnd.random() < 0.03:
        tier = 9
    window = rnd.choice([0, 1, 600, 2 * DAY]) if gpu else int(rnd.random() < 0.03)
    rate = rnd.choice([1, 360_000, rnd.randint(1, 9_000_000), rnd.randint(1, 2**30)])
    units = rnd.choice([1, 999, 3_600_000, rnd.randint(1, 4_000_000)]) if rnd.random() > 0.02 else 0
    renter = rnd.choice(life.crowd.renters)
    deadline = life.now + rnd.choice([1, 600, DAY, 3 * DAY, 9 * DAY, 30 * DAY])
    return eip712.Terms(renter.address, tier, gpu, rate, Units(units), deadline, window, "0x" + "11" * 32, "0x" + word(life.number()).hex())


def some_job(life: Life, rnd: Random) -> bytes | None:
    """Usually one with work left, sometimes one that is done or over; None while there is none at all."""
    jobs = list(life.model.jobs)
    still = [job for job in jobs[-60:] if (one := life.model.jobs[job]).deadline and (one.used < one.units or rnd.random() < 0.1)]
    if still and rnd.random() < 0.95:
        return rnd.choice(still)
    return rnd.choice(jobs) if jobs else None


def some_row(life: Life, rnd: Random, job: bytes) -> Row:
    """A voucher that fits more often than not."""
    model = life.model
    held = model.jobs[job]
    gpu = held.terms.gpu
    fitting = [one for one in model.gpus.accounts() if (one % 2**40 == gpu if gpu else one % 2**40 > 1)]
    paid = [one for one in fitting if (found := model.gpus.payout(one)) and found.tier == held.terms.tier]
    accounts = paid if paid and rnd.random() < 0.95 else [*fitting, 10**6, 2 | 9 << 40, 2 | 1 << 200]
    account, left = rnd.choice(accounts), held.units - held.used
    usual = [1, *(rnd.randint(1, max(1, left // part)) for part in (1, 3, 3, 9, 9)), left]
    more = rnd.choice(usual) if rnd.random() < 0.9 else rnd.choice([0, left + 1])
    return job, account, model.paid.get((job, account), 0) + more


def open_gasless(life: Life, rnd: Random) -> None:
    terms = some_terms(life, rnd)
    if life.model.jobs and rnd.random() < 0.02:
        terms = life.model.jobs[rnd.choice(list(life.model.jobs))].terms
    job, market, before = job_id(life, terms), life.market, life.now + 3600
    renter = life.crowd.named(terms.renter)
    signature = market.authorize(renter, str(market.escrow.address), escrow(terms.units, terms.rate), job, before)
    call = market.escrow.functions.openWithAuthorization(as_tuple(terms), 0, before, signature)
    life.both("open_gasless", lambda now: life.model.open(job, terms, now), call)


def open_by_hand(life: Life, rnd: Random) -> None:
    terms = some_terms(life, rnd)
    call = life.market.escrow.functions.open(as_tuple(terms))
    job = job_id(life, terms)
    life.both("open_by_hand", lambda now: life.model.open(job, terms, now), call, life.crowd.named(terms.renter))


def _more(life: Life, rnd: Random, job: bytes) -> tuple[int, int]:
    """Units to add and their price."""
    held = life.model.jobs[job]
    units = rnd.choice([1, rnd.randint(1, 2_000_000)])
    return units, escrow(held.units + units, held.terms.rate) - escrow(held.units, held.terms.rate)


def top_up_gasless(life: Life, rnd: Random) -> None:
    if (job := some_job(life, rnd)) is None:
        return
    (units, price), market, before, salt = _more(life, rnd, job), life.market, life.now + 3600, word(life.number())
    packed = [market.chain_id, str(market.escrow.address), job, units, salt]
    nonce = keccak(encode(["uint256", "address", "bytes32", "uint64", "bytes32"], packed))
    signature = market.authorize(_renter(life, job), str(market.escrow.address), price, nonce, before)
    call = market.escrow.functions.topUpWithAuthorization(job, units, salt, 0, before, signature)
    life.both("top_up_gasless", lambda now: life.model.top_up(job, units, now), call)


def top_up_by_hand(life: Life, rnd: Random) -> None:
    if (job := some_job(life, rnd)) is None:
        return
    units, _ = _more(life, rnd, job)
    call = life.market.escrow.functions.topUp(job, units)
    life.both("top_up_by_hand", lambda now: life.model.top_up(job, units, now), call, _renter(life, job))


def cancel(life: Life, rnd: Random) -> None:
    if (job := some_job(life, rnd)) is None:
        return
    call = life.market.escrow.functions.cancelUnstarted(job)
    life.both("cancel", lambda now: life.model.cancel(job, now), call, _renter(life, job))


def close(life: Life, rnd: Random) -> None:
    jobs = life.model.jobs
    over = [job for job, one in jobs.items() if one.deadline and (one.used == one.units or life.now > one.deadline + DAY)]
    job = rnd.choice(over) if over and rnd.random() < 0.9 else some_job(life, rnd)
    if job is not None:
        life.both("close", lambda now: life.model.close(job, now), life.market.escrow.functions.close(job))


def redeem(life: Life, rnd: Random) -> None:
    if (job := some_job(life, rnd)) is None:
        return
    row, escrow_ = some_row(life, rnd, job), life.market.escrow
    promise = (*row, ROOT)
    signature = _renter(life, job).sign(eip712.voucher(life.market.domain(escrow_), as_form(promise)))
    life.both("redeem", lambda _: life.model.redeem(row), escrow_.functions.redeem(promise, signature))


def redeem_attested(life: Life, rnd: Random) -> None:
    if (job := some_job(life, rnd)) is None:
        return
    row, escrow_ = some_row(life, rnd, job), life.market.escrow
    promise = (*row, ROOT)
    signature = ATTESTOR.sign(eip712.voucher(life.market.domain(escrow_), as_form(promise)))
    call = escrow_.functions.redeemAttested(promise, ATTESTOR.address, signature)
    life.both("redeem_attested", lambda now: life.model.redeem_attested(row, ATTESTOR.address, now), call)


def batch(life: Life, rnd: Random) -> None:
    jobs = [job for _ in range(rnd.randint(1, 6)) if (job := some_job(life, rnd)) is not None]
    if not jobs:
        return
    rows = [some_row(life, rnd, job) for job in jobs]
    promises, escrow_ = [(*row, ROOT) for row in rows], life.market.escrow
    packed = keccak(b"".join(job + word(gpu) + word(units) + root for job, gpu, units, root in promises))
    signature = ATTESTOR.sign(eip712.batch(life.market.domain(escrow_), len(rows), "0x" + packed.hex()))

    def in_model(now: int) -> None:
        for said in life.model.batch(rows, ATTESTOR.address, now):
            life.counts["row of a batch", said] += 1

    life.both("batch", in_model, escrow_.functions.settleBatchSigned(promises, ATTESTOR.address, signature))


def claim(life: Life, rnd: Random) -> None:
    able = [job for job, one in life.model.jobs.items() if one.deadline and one.terms.window and job not in life.model.claims]
    job = rnd.choice(able) if able and rnd.random() < 0.9 else some_job(life, rnd)
    if job is None or not (able or rnd.random() < 0.2):
        return
    row, terms, gpus = some_row(life, rnd, job), life.model.jobs[job].terms, life.model.gpus
    known = 1 < row[1] % 2**40 <= len(gpus)
    gpu = gpus[row[1] % 2**40 if known else 2]
    payout = gpus.payout(row[1])
    claimant = rnd.choice([payout.holder if payout else gpu.holder, gpu.operator])
    signer = life.crowd.named(claimant) if rnd.random() < 0.95 else STRANGER
    promise = (*row, ROOT)
    signature = signer.sign(eip712.claim(life.market.domain(life.market.escrow), as_form(promise)))
    call = life.market.escrow.functions.claim(as_tuple(terms), promise, gpu.hardware, signature)
    life.both("claim", lambda now: life.model.claim(row, signer.address, gpu.hardware, now), call)


def _claimed(life: Life, rnd: Random, ripe: Callable[[Claim], bool]) -> tuple[bytes, Claim] | None:
    """A job with a claim, preferably one that something can be done with."""
    claims = list(life.model.claims.items())
    good = [one for one in claims if ripe(one[1])]
    return rnd.choice(good if good and rnd.random() < 0.9 else claims) if claims else None


def challenge(life: Life, rnd: Random) -> None:
    if (found := _claimed(life, rnd, lambda one: not one.challenged and life.now <= one.due)) is None:
        return
    job, made = found
    form = eip712.challenge(life.market.domain(life.market.escrow), "0x" + job.hex(), made.account, Units(made.units))
    call = life.market.escrow.functions.challenge(job, _renter(life, job).sign(form))
    life.both("challenge", lambda now: life.model.challenge(job, now), call)


def resolve(life: Life, rnd: Random) -> None:
    if (found := _claimed(life, rnd, lambda one: one.challenged and life.now <= one.due)) is None:
        return
    job, made = found
    units = rnd.choice([0, made.units, rnd.randint(0, made.units), made.units + 1])
    call = life.market.escrow.functions.resolve(job, units)
    life.both("resolve", lambda now: life.model.resolve(job, units, now), call, ARBITER)


def finalize(life: Life, rnd: Random) -> None:
    found = _claimed(life, rnd, lambda one: life.now > one.due)
    job = found[0] if found and rnd.random() < 0.9 else some_job(life, rnd)
    if job is not None:
        life.both("finalize", lambda now: life.model.finalize(job, now), life.market.escrow.functions.finalize(job))


def _renter(life: Life, job: bytes) -> Person:
    return life.crowd.named(life.model.jobs[job].terms.renter)
