"""What the machine and the market's weather say becomes the state, and nothing measured in an earlier run is believed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.gpu import Reading, Tier
from desktop_app.core.presence import Presence
from desktop_app.core.schedule import Zone
from desktop_app.core.settings import Settings
from desktop_app.core.state import (
    Check,
    Gpu,
    Level,
    Market,
    NoticeKind,
    Readiness,
    Reason,
    Sharing,
    State,
    Trigger,
)
from desktop_app.core.task import Phase
from desktop_app.core.update import update
from tests.builders import (
    ADDRESS,
    NOON,
    OPERATOR,
    a_benchmark,
    a_device,
    a_gpu,
    a_market,
    a_readiness,
    a_reading,
    a_record,
    a_state,
    a_task,
    a_wallet,
    an_account,
)  # fmt: skip
from tests.core.update.hearing import hear

BERLIN = Zone("Europe/Berlin", 7_200)


def test_a_start_believes_nothing_that_was_measured_before() -> None:
    quitting = Sharing(on=True, quitting=True, quit_by=NOON)
    state = update(a_state(offered=a_state().settings.floor, sharing=quitting), m.AgentStarted(NOON, BERLIN))[0]
    assert (state.now, state.zone) == (NOON, BERLIN)
    assert state.gpu == Gpu(chain_id=7, registered="GPU-1", benchmark=a_benchmark())
    assert (state.presence, state.readiness, state.market) == (Presence(), Readiness(), Market())
    assert state.offered is None and state.sharing == Sharing(on=True)
    assert not state.wallet.ready and not state.wallet.chain_ok
    assert state.why.reason is Reason.NO_GPU


def test_a_first_start_is_quiet() -> None:
    state, effects = update(State(), m.AgentStarted(NOON, BERLIN))
    assert effects == () and state.why.reason is Reason.SHARING_OFF


def test_a_finish_that_was_asked_for_before_a_restart_is_kept() -> None:
    finishing = Sharing(on=True, finishing=True)
    assert update(a_state(sharing=finishing, task=a_task()), m.AgentStarted(NOON, BERLIN))[0].sharing == finishing
    assert update(a_state(sharing=finishing), m.AgentStarted(NOON, BERLIN))[0].sharing == Sharing(on=False)


def test_a_gpu_that_is_found_is_filed_under_its_tier() -> None:
    state = update(a_state(gpu=Gpu()), m.GpuFound(a_device()))[0]
    assert state.gpu.device == a_device() and state.gpu.tier is Tier.LARGE


def test_a_gpu_that_goes_missing_gives_the_task_back_and_its_next_reading_brings_it_back() -> None:
    state, effects = update(a_state(task=a_task()), m.GpuWentMissing("GPU-1", "fell off the bus"))
    assert effects == (e.GiveBack("task-1", Trigger.GPU_LOST, 200),)
    assert state.gpu.lost and state.gpu.reading == Reading()
    assert not update(state, m.GpuMeasured("GPU-1", a_reading()))[0].gpu.lost
    assert not update(state, m.GpuFound(a_device()))[0].gpu.lost


def test_words_about_another_gpu_change_nothing() -> None:
    messages = (
        m.GpuMeasured("GPU-2", a_reading(temperature=99)),
        m.GpuWentMissing("GPU-2", ""),
        m.MarketRegisteredGpu("GPU-2", 8),
    )
    offered = update(a_state(), m.ClockTicked(NOON, Zone()))[0]
    nobody = update(a_state(gpu=Gpu()), m.ClockTicked(NOON, Zone()))[0]
    for message in messages:
        assert update(offered, message) == (offered, ())
        assert update(nobody, message)[0].gpu == nobody.gpu


def test_a_hot_gpu_is_given_back() -> None:
    state, effects = update(a_state(task=a_task()), m.GpuMeasured("GPU-1", a_reading(temperature=90)))
    assert effects == (e.GiveBack("task-1", Trigger.HEAT, 200),) and state.gpu.reading.temperature == 90


def test_an_owner_who_comes_home_gets_the_gpu() -> None:
    away = Settings(schedule=replace(a_state().settings.schedule, cells="a" * 336))
    state, effects = update(a_state(settings=away, task=a_task()), m.PresenceSensed(Presence(idle_s=0.1)))
    assert effects == (e.GiveBack("task-1", Trigger.PRESENCE, 200),) and state.presence.idle_s == 0.1


def test_the_sandbox_is_tested_once_before_the_first_task() -> None:
    state, effects = update(a_state(readiness=Readiness()), m.ClockTicked(NOON, Zone()))
    assert effects == (e.TestSandbox(),) and state.why.reason is Reason.SANDBOX_TESTING
    assert update(state, m.ClockTicked(NOON, Zone()))[1] == ()
    tested, effects = update(state, m.SandboxTested(Level.ISOLATED, (Check("network", held=True),)))
    assert effects == () and not tested.readiness.testing, "the runtime is not known yet, but the sandbox is"
    ready, effects = update(tested, m.RuntimeFound(present=True))
    assert [type(effect) for effect in effects] == [e.OfferGpu]
    assert ready.readiness == replace(a_readiness(), tested=NOON)


@pytest.mark.parametrize("bad", [a_readiness(runtime=False), a_readiness(level=Level.NONE)])
def test_a_machine_that_failed_its_test_is_tried_again_after_a_minute_or_a_click(bad: Readiness) -> None:
    state = a_state(readiness=replace(bad, tested=NOON))
    assert update(state, m.ClockTicked(NOON + timedelta(seconds=59), Zone()))[1] == ()
    assert e.TestSandbox() in update(state, m.ClockTicked(NOON + timedelta(seconds=60), Zone()))[1]
    assert e.TestSandbox() in update(state, m.OwnerTurnedSharing(on=True))[1]


def test_a_click_does_not_forget_when_a_sandbox_that_holds_was_tested() -> None:
    state = a_state(readiness=replace(a_readiness(), tested=NOON))
    assert update(state, m.OwnerTurnedSharing(on=True))[0].readiness.tested == NOON


def test_a_sandbox_that_leaks_keeps_the_fix_to_show() -> None:
    state = update(a_state(readiness=Readiness(runtime=True)), m.SandboxTested(Level.NONE, (), "do this"))[0]
    assert state.why.reason is Reason.SANDBOX_NOT_READY and state.why.detail == "do this"


def test_a_machine_without_runtime_is_not_offered() -> None:
    state = update(a_state(readiness=a_readiness(runtime=None)), m.RuntimeFound(present=False))[0]
    assert state.why.reason is Reason.NO_RUNTIME


def test_a_full_disk_is_told_and_ends_the_offer_until_there_is_room() -> None:
    offered = update(a_state(), m.ClockTicked(NOON, Zone()))[0]
    full, effects = update(offered, m.DiskFilled(full=True))
    assert effects == (e.WithdrawOffer(),) and [one.kind for one in full.notices] == [NoticeKind.DISK_FULL]
    roomy, effects = update(full, m.DiskFilled(full=False))
    assert [type(effect) for effect in effects] == [e.OfferGpu] and roomy.why.reason is Reason.WAITING_FOR_TASK


def test_a_full_disk_does_not_stop_a_task_that_runs() -> None:
    state, effects = update(a_state(task=a_task()), m.DiskFilled(full=True))
    assert effects == () and state.task == a_task()


def test_a_wallet_opens_and_locks() -> None:
    shut = update(a_state(), m.WalletLocked(ADDRESS, OPERATOR))[0]
    assert not shut.wallet.ready and shut.wallet.needs_passphrase and shut.why.reason is Reason.WALLET_LOCKED
    opened = update(shut, m.WalletOpened(ADDRESS, OPERATOR, needs_passphrase=True))[0]
    assert opened.wallet.ready and opened.why.reason is Reason.WAITING_FOR_TASK


def test_the_market_is_offered_to_when_it_is_there_and_names_a_price() -> None:
    state = a_state(market=Market())
    connected, effects = update(state, m.MarketConnected(25))
    assert effects == () and connected.market == Market(connected=True, fee_bps=25)
    _, effects = update(connected, m.MarketPriced(a_market().rate or state.settings.floor, 9))
    assert [type(effect) for effect in effects] == [e.OfferGpu]


def test_a_lost_market_takes_its_offer_along_and_its_return_brings_it_back() -> None:
    offered = update(a_state(), m.ClockTicked(NOON, Zone()))[0]
    lost, effects = update(offered, m.MarketLost("it does not answer"))
    assert effects == () and lost.offered is None and lost.why.detail == "it does not answer"
    back, effects = update(lost, m.MarketConnected(10))
    assert [type(effect) for effect in effects] == [e.OfferGpu] and back.market.trouble == ""


def test_a_running_task_outlives_a_lost_market() -> None:
    state, effects = update(a_state(task=a_task()), m.MarketLost("gone"))
    assert effects == () and state.task == a_task() and state.why.reason is Reason.WORKING


def test_a_gpu_is_registered_once_and_asked_again_only_after_a_while() -> None:
    state, effects = update(a_state(gpu=a_gpu(chain_id=None)), m.ClockTicked(NOON, Zone()))
    assert effects == (e.RegisterGpu(a_device(), Tier.LARGE, ADDRESS, OPERATOR, a_benchmark()),)
    assert update(state, m.ClockTicked(NOON + timedelta(seconds=29), Zone()))[1] == ()
    assert len(update(state, m.ClockTicked(NOON + timedelta(seconds=30), Zone()))[1]) == 1
    assert len(update(state, m.ClockTicked(NOON - timedelta(hours=1), Zone()))[1]) == 1, "the clock was set back"
    lost = update(state, m.MarketLost("no answer"))[0]
    assert len(update(lost, m.MarketConnected(10))[1]) == 1, "another market, another asking"
    known, effects = update(state, m.MarketRegisteredGpu("GPU-1", 12))
    assert (known.gpu.chain_id, known.gpu.registered) == (12, "GPU-1") and [type(effect) for effect in effects] == [e.OfferGpu]


def test_payouts_go_to_the_address_the_owner_named() -> None:
    settings = Settings(payout_address="0x" + "d4" * 20, tariff=1)
    _, effects = update(a_state(gpu=a_gpu(chain_id=None), settings=settings), m.ClockTicked(NOON, Zone()))
    assert [effect.owner for effect in effects if isinstance(effect, e.RegisterGpu)] == ["0x" + "d4" * 20]


def test_another_gpu_in_the_machine_gets_a_number_of_its_own() -> None:
    exchanged = replace(a_state().gpu, device=None, benchmark=a_benchmark(a_device(uuid="GPU-2")))
    state, effects = update(a_state(gpu=exchanged), m.GpuFound(a_device(uuid="GPU-2")))
    assert [effect.device.uuid for effect in effects if isinstance(effect, e.RegisterGpu)] == ["GPU-2"]
    assert state.why.reason is Reason.REGISTERING


def test_while_a_task_is_held_no_other_number_is_asked_for() -> None:
    """Its receipts are signed with the number it was leased under."""
    owing = a_state(gpu=replace(a_gpu(), registered="GPU-0"), task=a_task(Phase.DELIVERING))
    assert update(owing, m.ClockTicked(NOON, Zone()))[1] == ()


def test_a_too_small_gpu_is_no_gpu() -> None:
    state = update(a_state(gpu=Gpu()), m.GpuFound(a_device(memory_mb=2_000)))[0]
    assert state.why.reason is Reason.NO_GPU


def test_a_locked_wallet_after_a_restart_keeps_its_figures() -> None:
    state = update(a_state(wallet=a_wallet(balance=77, paid=5)), m.AgentStarted(NOON, Zone()))[0]
    assert (state.wallet.balance, state.wallet.paid) == (77, 5)


def test_a_practice_network_founded_anew_knows_neither_gpu_nor_money() -> None:
    had = a_state(gpu=a_gpu(chain_id=7), wallet=a_wallet(balance=77, paid=5), history=(a_record("t1"),), accounts=(an_account(),))
    same = hear(had, m.PracticeFounded("0xaa"), m.PracticeFounded("0xaa"))[0]
    assert (same.wallet, same.gpu) == (replace(had.wallet, practice="0xaa"), had.gpu)
    assert (same.accounts, same.history) == (had.accounts, had.history)
    anew = hear(same, m.PracticeFounded("0xbb"))[0]
    assert (anew.gpu.chain_id, anew.gpu.registered, anew.gpu.device) == (None, "", had.gpu.device)
    assert (anew.wallet.balance, anew.wallet.paid, anew.wallet.block, anew.wallet.address) == (None, 0, 0, had.wallet.address)
    assert (anew.accounts, anew.history) == ((), ())
