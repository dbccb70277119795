"""What is done to the market itself and to the money: fees, bounds, trust, blacklists, pauses, sweeping, cashing out, time.

Called by `test_life` and `money_road` through `ACTIONS` and `GASLESS`.
"""

from collections.abc import Callable, Mapping
from random import Random

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from tests.contracts import life_gpus, life_jobs
from tests.contracts.life import Life, usual_jumps
from tests.contracts.market import ALLOWANCE, MOST_RATE, TIER
from tests.contracts.people import ATTESTOR, DEPLOYER, GUARDIAN, STRANGER, TREASURY

Action = Callable[[Life, Random], None]


def set_fee(life: Life, rnd: Random) -> None:
    bps = rnd.choice([0, 10, 25, 100])
    life.both("set_fee", lambda _: setattr(life.model, "fee_bps", bps), life.market.policy.functions.setFee(bps), DEPLOYER)


def set_bounds(life: Life, rnd: Random) -> None:
    floor, ceiling = rnd.choice([(1, MOST_RATE), (1, MOST_RATE), (1_000, 2**30), (0, 0)])
    call = life.market.policy.functions.setBounds(TIER, floor, ceiling)
    life.both("set_bounds", lambda _: life.model.bounds.update({TIER: (floor, ceiling)}), call, DEPLOYER)


def pause_new_jobs(life: Life, rnd: Random) -> None:
    paused = rnd.random() < 0.3
    call = life.market.policy.functions.setPaused(paused)
    life.both("pause_new_jobs", lambda _: setattr(life.model, "closed_to_new", paused), call, GUARDIAN)


def set_allowance(life: Life, rnd: Random) -> None:
    amount = rnd.choice([ALLOWANCE, ALLOWANCE, 1_000_000, 1])
    life.both(
        "set_allowance", lambda _: setattr(life.model, "allowance", amount), life.market.policy.functions.setAllowance(amount), DEPLOYER
    )


def set_attestor(life: Life, rnd: Random) -> None:
    trusted, known = rnd.random() < 0.7, life.model.trusted
    change = known.add if trusted else known.discard
    call = life.market.policy.functions.setAttestor(ATTESTOR.address, trusted)
    life.both("set_attestor", lambda _: change(ATTESTOR.address), call, DEPLOYER)


def set_treasury(life: Life, rnd: Random) -> None:
    to = rnd.choice([TREASURY, TREASURY, *life.crowd.owners]).address
    life.both("set_treasury", lambda _: setattr(life.model, "treasury", to), life.market.policy.functions.setTreasury(to), DEPLOYER)


def freeze(life: Life, rnd: Random) -> None:
    who, frozen = rnd.choice([*life.crowd.renters, *life.crowd.owners, TREASURY]).address, life.model.frozen
    life.both("freeze", lambda _: frozen.add(who), life.market.usdc.functions.blacklist(who), DEPLOYER)


def thaw(life: Life, rnd: Random) -> None:
    frozen = life.model.frozen
    if frozen:
        who = rnd.choice(sorted(frozen))
        life.both("thaw", lambda _: frozen.discard(who), life.market.usdc.functions.unBlacklist(who), DEPLOYER)


def halt(life: Life, rnd: Random) -> None:
    """The stablecoin stops, or goes on; it stands still for one action in a hundred or so."""
    halted, usdc = not life.model.halted, life.market.usdc.functions
    if not halted or rnd.random() < 0.5:
        life.both("halt", lambda _: setattr(life.model, "halted", halted), usdc.pause() if halted else usdc.unpause(), DEPLOYER)


def sweep(life: Life, rnd: Random) -> None:
    jobs = [job for _ in range(rnd.randint(0, 4)) if (job := life_jobs.some_job(life, rnd)) is not None]
    life.both("sweep", lambda _: life.model.sweep(jobs), life.market.escrow.functions.sweepFees(jobs))


def withdraw(life: Life, rnd: Random) -> None:
    waiting = [who for who, amount in life.model.owed.items() if amount]
    waiting = [who for who in waiting if who not in life.model.frozen] or waiting
    who = rnd.choice(waiting) if waiting and rnd.random() < 0.9 else rnd.choice(life.crowd.owners).address
    life.both("withdraw", lambda _: life.model.withdraw_owed(who), life.market.escrow.functions.withdrawOwed(who))


def cash_out(life: Life, rnd: Random) -> None:
    market, model, salt, before = life.market, life.model, life_jobs.word(life.number()), life.now + 60
    rich = [one for one in life.crowd.owners if model.money[one.address] > 1]
    sender, to = rnd.choice(rich or life.crowd.owners), rnd.choice([*life.crowd.renters, *life.crowd.owners])
    amount = rnd.randint(1, model.money[sender.address] + 1)
    charge = rnd.choice([0, 1, amount // 3, rnd.randint(0, amount)])
    nonce = keccak(encode(["address", "uint256", "uint256", "bytes32"], [to.address, amount, charge, salt]))
    signature = market.authorize(sender, str(market.cash_out.address), amount, nonce, before)
    call = market.cash_out.functions.cashOut(sender.address, to.address, amount, charge, salt, 0, before, signature)
    life.both("cash_out", lambda _: model.cash_out(sender.address, to.address, STRANGER.address, amount, charge), call)


def jump(life: Life, rnd: Random) -> None:
    """To a second at which something changes, or beside it, and often tries at once what may have become possible."""
    claims = [edge for one in life.model.claims.values() for edge in (one.due, one.due + 1) if edge > life.now]
    to = rnd.choice(claims) if claims and rnd.random() < 0.4 else rnd.choice(usual_jumps(life)[:4])
    life.travel(to)
    life.counts["jump", ""] += 1
    if rnd.random() < 0.6:
        at_once = life_jobs.finalize if to in claims else rnd.choice([life_jobs.close, life_jobs.claim, life_jobs.top_up_gasless])
        at_once(life, rnd)


GASLESS: Mapping[str, Action] = {
    "open_gasless": life_jobs.open_gasless, "top_up_gasless": life_jobs.top_up_gasless, "redeem": life_jobs.redeem,
    "redeem_attested": life_jobs.redeem_attested, "batch": life_jobs.batch, "claim": life_jobs.claim,
    "challenge": life_jobs.challenge, "resolve": life_jobs.resolve, "finalize": life_jobs.finalize, "close": life_jobs.close,
    "register": life_gpus.register, "set_tier": life_gpus.set_tier, "sweep": sweep, "withdraw": withdraw, "cash_out": cash_out,
    "set_fee": set_fee, "freeze": freeze, "thaw": thaw, "halt": halt, "jump": jump,
}  # fmt: skip
"""What needs no ether of renters and owners: all of it on signatures, brought by a stranger, or nothing of theirs at all."""

ACTIONS: Mapping[str, Action] = {
    **GASLESS,
    "open_by_hand": life_jobs.open_by_hand, "top_up_by_hand": life_jobs.top_up_by_hand, "cancel": life_jobs.cancel,
    "sell": life_gpus.sell, "grant_share": life_gpus.grant_share, "move_share": life_gpus.move_share,
    "set_operator": life_gpus.set_operator, "set_bounds": set_bounds, "pause_new_jobs": pause_new_jobs,
    "set_allowance": set_allowance, "set_attestor": set_attestor, "set_treasury": set_treasury,
}  # fmt: skip
"""Everything that can happen."""
