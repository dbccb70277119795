"""Three numbers that are never mixed: pending, earned and paid.

Pending is delivered work that nobody has verified yet; earned is covered by a voucher checked against the escrow; paid is
on chain. Called by the wallet page, the command line and the cash-out, which redeems what is earned first.
"""

from desktop_app.core.money import MicroUsd, net, split
from desktop_app.core.schedule import local_date
from desktop_app.core.state import JobAccount, Paid, State

_ON_ITS_WAY = (Paid.PENDING, Paid.HANDED_BACK)


def pending(state: State) -> MicroUsd:
    """Net of the market's fee and of co-owners' shares, for work that was delivered or handed back and not yet verified."""
    return MicroUsd(sum(line.amount for line in state.history if line.paid in _ON_ITS_WAY))


def earned(state: State) -> MicroUsd:
    """What vouchers in hand will pay the owner when they are redeemed, within a micro-dollar a co-owner and payment."""
    return MicroUsd(sum(own_part(state, owed(account)) for account in state.accounts))


def due(state: State) -> tuple[JobAccount, ...]:
    """The jobs whose vouchers are not redeemed yet."""
    return tuple(account for account in state.accounts if account.vouched > account.redeemed)


def paid_today(state: State) -> MicroUsd:
    """What reached the chain on the owner's calendar day."""
    today = local_date(state.now, state.zone).isoformat()
    return MicroUsd(dict(state.wallet.by_day).get(today, 0))


def owed(account: JobAccount) -> MicroUsd:
    """What a job's voucher will pay to all of the GPU's owners together."""
    before = net(account.redeemed, account.rate, account.fee_bps)
    return MicroUsd(net(account.vouched, account.rate, account.fee_bps) - before)


def own_part(state: State, amount: int) -> MicroUsd:
    """What of a payment for this GPU's work is the owner's, the co-owners' shares taken off."""
    return split(amount, (state.gpu.named.co_bps,))[0] if state.gpu.named is not None else MicroUsd(amount)
