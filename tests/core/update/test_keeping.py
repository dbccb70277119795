"""The owner's own keeper: vouchers redeemed before they are worth nothing, and a GPU that changes hands without harm."""

from datetime import timedelta

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.gpu import Named
from desktop_app.core.keeping import ASK_AGAIN_S, OWN_MARGIN_S, Keeping
from desktop_app.core.ledger import due, earned, own_part
from desktop_app.core.schedule import Zone
from desktop_app.core.state import NoticeKind, Paid, Reason, State
from desktop_app.core.task import Phase
from tests.builders import CHAIN_ID, JOB, NOON, a_gpu, a_record, a_state, a_task, a_wallet, an_account
from tests.core.update.hearing import hear, phase

NOW = int(NOON.timestamp())
SOLD = CHAIN_ID + (1 << 40)


def owed(until: int = 0, **parts: bool) -> State:
    wallet = a_wallet(ready=parts.get("ready", True))
    return a_state(accounts=(an_account(vouched=1_000, keeping=Keeping(until=until)),), wallet=wallet)


def redeems(effects: tuple[e.Effect, ...]) -> list[tuple[tuple[str, ...], bool]]:
    return [(tuple(one.job_id for one in effect.accounts), effect.own) for effect in effects if isinstance(effect, e.RedeemVouchers)]


def tick(seconds: int) -> m.ClockTicked:
    return m.ClockTicked(NOON + timedelta(seconds=seconds), Zone())


def test_what_runs_out_is_redeemed_and_asked_for_again_in_a_while() -> None:
    state, effects = hear(owed(), m.ChainSaidJob(JOB, NOW + OWN_MARGIN_S + 60))
    assert redeems(effects) == []
    state, effects = hear(state, tick(60))
    assert redeems(effects) == [((JOB,), False)]
    state, effects = hear(state, tick(61))
    assert redeems(effects) == []
    state, effects = hear(state, tick(60 + ASK_AGAIN_S))
    assert redeems(effects) == [((JOB,), False)]


def test_a_locked_wallet_and_a_paid_voucher_ask_for_nothing() -> None:
    assert redeems(hear(owed(until=NOW, ready=False), tick(0))[1]) == []
    paid = a_state(accounts=(an_account(vouched=7, redeemed=7, keeping=Keeping(until=NOW)),))
    assert redeems(hear(paid, tick(0))[1]) == []


def test_where_the_relayer_does_not_redeem_the_wallet_does() -> None:
    state, effects = hear(owed(), m.RedeemFailed((JOB, "another"), False, "no answer"))
    assert redeems(effects) == [((JOB,), True)]
    assert redeems(hear(a_state(), m.RedeemFailed((JOB,), False, "no answer"))[1]) == []
    told, effects = hear(state, m.RedeemFailed((JOB,), True, "With about 0.0001 ETH Sublet can do it itself."))
    assert redeems(effects) == []
    assert [(one.kind, one.detail) for one in told.notices] == [(NoticeKind.TROUBLE, "With about 0.0001 ETH Sublet can do it itself.")]


def test_a_job_that_closed_too_early_takes_its_money_out_of_the_books() -> None:
    lines = (a_record("t1", paid=Paid.EARNED), a_record("t2", paid=Paid.PAID), a_record("t3", job_id="other", paid=Paid.EARNED))
    state = hear(a_state(accounts=(an_account(vouched=1_000, redeemed=400),), history=lines), m.ChainClosedJob(JOB))[0]
    assert (earned(state), due(state)) == (0, ())
    assert [line.paid for line in state.history] == [Paid.REJECTED, Paid.PAID, Paid.EARNED]
    assert "closed before it was redeemed" in state.notices[0].detail
    assert hear(state, m.ChainClosedJob(JOB))[0] == state


def test_a_vouchers_account_is_remembered() -> None:
    told = hear(a_state(), m.VoucherArrived(JOB, a_record().units, an_account().rate, 10, "0xr", "0xs", ("t1",), gpu=SOLD))[0]
    assert told.accounts[0].keeping.gpu == SOLD


def test_a_sold_gpu_is_offered_no_more_and_the_owner_hears_why() -> None:
    state = hear(a_state(), tick(0))[0]
    assert state.offered is not None
    state, effects = hear(state, m.ChainNamedGpu(SOLD, 0))
    assert state.offered is None and any(isinstance(one, e.WithdrawOffer) for one in effects)
    assert (state.why.reason, state.why.detail) == (Reason.GPU_SOLD, str(CHAIN_ID))


def test_a_task_under_way_is_finished_for_whom_it_was_leased_to() -> None:
    state, _effects = hear(a_state(task=a_task()), m.ChainNamedGpu(SOLD, 0))
    assert phase(state) is Phase.RUNNING
    state, effects = hear(state, m.WorkerFinished("task-1", (), ()))
    assert [one.receipt.gpu_id for one in effects if isinstance(one, e.SignReceipt)] == [CHAIN_ID]


def test_another_gpus_name_is_not_ours() -> None:
    for state in (a_state(), a_state(gpu=a_gpu(chain_id=None))):
        assert hear(state, m.ChainNamedGpu(CHAIN_ID + 1, 0))[0].gpu.named is None


def test_a_gpu_that_is_registered_anew_is_offered_on_its_new_account() -> None:
    state, effects = hear(a_state(), tick(0), m.ChainNamedGpu(SOLD, 0))
    assert [type(one) for one in effects if isinstance(one, e.RegisterGpu)] == [e.RegisterGpu]
    state, effects = hear(state, tick(599))
    assert not any(isinstance(one, e.RegisterGpu) for one in effects)
    state, effects = hear(state, tick(600))
    assert any(isinstance(one, e.RegisterGpu) for one in effects)
    state, effects = hear(state, m.PresenceSensed(state.presence), m.MarketRegisteredGpu("GPU-1", SOLD))
    assert [one.gpu_id for one in effects if isinstance(one, e.OfferGpu)] == [SOLD]
    assert state.gpu.named is None


def test_hearing_of_the_same_registration_again_forgets_nothing() -> None:
    state = hear(a_state(), m.ChainNamedGpu(CHAIN_ID, 3_000), m.MarketRegisteredGpu("GPU-1", CHAIN_ID))[0]
    assert state.gpu.named == Named(CHAIN_ID, 3_000)


def test_what_is_earned_is_the_owners_own_part() -> None:
    state = hear(owed(), m.ChainNamedGpu(CHAIN_ID, 3_000))[0]
    assert earned(state) == own_part(state, 999) == 999 - 299
    assert own_part(owed(), 999) == 999
