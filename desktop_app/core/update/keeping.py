"""What is earned, kept until it is paid: the owner's side of a keeper. Called by `update.money` and by `settle`.

The market's keeper redeems vouchers by itself. Where it has not, shortly before a job may be closed, this machine asks it to,
and where it does not answer, or will not, the owner's wallet does it.
"""

from collections.abc import Callable
from dataclasses import replace

from desktop_app.core import messages as m
from desktop_app.core.effects import Effect, RedeemVouchers
from desktop_app.core.gpu import Named, number_of
from desktop_app.core.keeping import running_out
from desktop_app.core.ledger import due
from desktop_app.core.state import JobAccount, NoticeKind, Paid, State, TaskRecord
from desktop_app.core.update.owner import notice

Word = m.ChainNamedGpu | m.ChainSaidJob | m.ChainClosedJob | m.RedeemFailed
Step = tuple[State, tuple[Effect, ...]]


def hear(state: State, message: Word) -> Step:
    """The state after a word about a voucher's job, or about whom the GPU's work pays."""
    match message:
        case m.ChainNamedGpu(account, co_bps):
            return _named(state, Named(account, co_bps)), ()
        case m.ChainSaidJob(job_id, until):
            return _changed(state, (job_id,), lambda one: replace(one, keeping=replace(one.keeping, until=until))), ()
        case m.ChainClosedJob(job_id):
            return _closed(state, job_id), ()
        case m.RedeemFailed(job_ids, False, _):
            left = tuple(one for one in due(state) if one.job_id in job_ids)
            return state, (RedeemVouchers(left, own=True),) if left else ()
        case _:
            return notice(state, NoticeKind.TROUBLE, message.reason), ()


def settle_vouchers(state: State) -> Step:
    """Ask for the redemption of vouchers that will soon be worth nothing."""
    now = int(state.now.timestamp())
    ending = tuple(one for one in due(state) if state.wallet.ready and running_out(one.keeping, now))
    if not ending:
        return state, ()
    asked = _changed(state, tuple(one.job_id for one in ending), lambda one: replace(one, keeping=replace(one.keeping, asked=now)))
    return asked, (RedeemVouchers(ending),)


def _named(state: State, named: Named) -> State:
    if state.gpu.chain_id is None or number_of(named.account) != number_of(state.gpu.chain_id):
        return state
    return replace(state, gpu=replace(state.gpu, named=named))


def _changed(state: State, job_ids: tuple[str, ...], change: Callable[[JobAccount], JobAccount]) -> State:
    return replace(state, accounts=tuple(change(one) if one.job_id in job_ids else one for one in state.accounts))


def _closed(state: State, job_id: str) -> State:
    """Nothing more comes of the job: what was earned and not redeemed is lost, and is said to be."""
    if not any(one.job_id == job_id for one in due(state)):
        return state
    reason = "its job was closed before it was redeemed"

    def lose(line: TaskRecord) -> TaskRecord:
        return replace(line, paid=Paid.REJECTED, reason=reason) if line.job_id == job_id and line.paid is Paid.EARNED else line

    state = _changed(state, (job_id,), lambda one: replace(one, vouched=one.redeemed))
    state = replace(state, history=tuple(lose(line) for line in state.history))
    return notice(state, NoticeKind.TROUBLE, f"Earned money was lost: job {job_id[:12]} was closed before it was redeemed.")
