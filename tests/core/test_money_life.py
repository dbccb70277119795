"""A cash-out's whole life, and all payouts of a summer, under random crossings, crashes and duplicates."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from desktop_app.core import effects as e
from desktop_app.core import messages as m
from desktop_app.core.cashout import OPEN_STAGES, UNSTOPPABLE, CashOut, Quote, Stage
from desktop_app.core.ledger import earned
from desktop_app.core.money import MicroUsd, Rate, Units, net
from desktop_app.core.schedule import Zone
from desktop_app.core.state import Payout, State
from desktop_app.core.update import update
from desktop_app.wire.codec import decode_state, durable, encode_state
from tests.builders import ADDRESS, NOON, OPERATOR, OTHER_ADDRESS, a_state

QUOTE_LASTS_S = 600


@dataclass
class Bytes:
    """A signature in the world: the chain takes it once, in its time."""

    quote: Quote
    paid: bool = False
    expired: bool = False


class CashOutLife(RuleBasedStateMachine):
    """One owner, one relayer, one chain."""

    @initialize()
    def begin(self) -> None:
        self.now = NOON
        self.state: State = update(a_state(), m.ClockTicked(NOON, Zone()))[0]
        self.asked: list[e.Effect] = []
        self.said: list[m.Message] = []
        self.number = 0
        self.balance = 5_000_000
        self.confirmed: dict[str, int] = {}  # how often the owner confirmed each
        self.signatures: dict[str, int] = {}  # how often each was asked to be signed
        self.world: dict[str, Bytes] = {}  # by signature
        self.owner_of: dict[str, str] = {}  # signature -> cash-out

    def hear(self, message: m.Message) -> None:
        before = self.state.cash_out
        self.state, effects = update(self.state, message)
        self.said = [*self.said, message][-8:]
        after = self.state.cash_out
        if isinstance(message, m.OwnerConfirmedCashOut) and before and before.stage is Stage.QUOTED and before.id == message.id:
            self.confirmed[message.id] = self.confirmed.get(message.id, 0) + 1
        if before and after and before.id == after.id and after.stage is Stage.FAILED and before.stage is not Stage.FAILED:
            assert before.stage in (Stage.SIGNED, Stage.SENT), "failed without having been signed"
        if before and before.stage in UNSTOPPABLE:
            assert after and after.id == before.id, "money was on its way and is forgotten"
        if before and after and before.stage not in OPEN_STAGES and after.id == before.id:
            assert after.stage is before.stage, "what was over began again"
        for effect in effects:
            match effect:
                case e.SignCashOut(cash_out):
                    self.signatures[cash_out.id] = self.signatures.get(cash_out.id, 0) + 1
                    assert self.signatures[cash_out.id] <= self.confirmed[cash_out.id], "signed more often than confirmed"
                    self.asked.append(effect)
                case e.SendCashOut(cash_out):
                    kept = durable(self.state).cash_out
                    assert kept is not None and kept.authorisation == cash_out.authorisation != "", "sent before it was kept"
                    self.asked.append(effect)
                case e.QuoteCashOut() | e.WatchCashOut():
                    self.asked.append(effect)
                case _:
                    pass

    # --- the owner

    @rule(amount=st.sampled_from([0, 0, 1, 1_000_000, 5_000_000, 9_000_000]), again=st.booleans())
    def owner_asks(self, amount: int, again: bool) -> None:
        if not again or self.number == 0:
            self.number += 1
        self.hear(m.OwnerAskedCashOut(f"c{self.number}", OTHER_ADDRESS, MicroUsd(amount)))

    @precondition(lambda self: self.number)
    @rule(old=st.booleans())
    def owner_confirms(self, old: bool) -> None:
        self.hear(m.OwnerConfirmedCashOut(f"c{1 if old else self.number}"))

    @precondition(lambda self: self.number)
    @rule()
    def owner_cancels(self) -> None:
        self.hear(m.OwnerCancelledCashOut(f"c{self.number}"))

    # --- the world

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), well=st.booleans())
    def world_answers(self, data: st.DataObject, well: bool) -> None:
        self.answer(self.asked.pop(data.draw(st.integers(0, len(self.asked) - 1))), well)

    def answer(self, effect: e.Effect, well: bool) -> None:
        match effect:
            case e.QuoteCashOut(cash_out):
                self.hear(m.ChainSaid(MicroUsd(self.balance), 1))
                failed = m.CarrierFailed(cash_out.id, False, "no answer") if not cash_out.own else m.CashOutRefused(cash_out.id, "not now")
                self.hear(m.CashOutQuoted(cash_out.id, self.quote(cash_out)) if well else failed)
            case e.SignCashOut(cash_out):
                if not well:
                    self.hear(m.CashOutRefused(cash_out.id, "wrong passphrase"))
                    return
                assert cash_out.quote is not None
                signature = f"0xsig{len(self.world)}"
                self.world[signature], self.owner_of[signature] = Bytes(cash_out.quote), cash_out.id
                self.hear(m.CashOutSigned(cash_out.id, signature))
            case e.SendCashOut(cash_out):
                bytes_ = self.world[cash_out.authorisation]
                if well and self.now.timestamp() < bytes_.quote.valid_before:
                    self.pay(bytes_)
                    self.hear(m.CashOutSent(cash_out.id, f"0xtx-{cash_out.authorisation}"))
                elif not self.look(cash_out):
                    self.hear(m.CarrierFailed(cash_out.id, cash_out.own, "not now"))
            case e.WatchCashOut(cash_out):
                if not self.look(cash_out):
                    self.asked.append(effect)
            case _:
                pass

    def quote(self, cash_out: CashOut) -> Quote:
        return Quote(MicroUsd(cash_out.amount or self.balance), MicroUsd(20_000), "0x5a", int(self.now.timestamp()) + QUOTE_LASTS_S)

    def pay(self, bytes_: Bytes) -> None:
        if not bytes_.paid:
            bytes_.paid = True
            self.balance -= bytes_.quote.amount
            assert self.balance >= 0

    def look(self, cash_out: CashOut) -> bool:
        bytes_ = self.world[cash_out.authorisation]
        if bytes_.paid:
            self.hear(m.CashOutConfirmed(cash_out.id, f"0xtx-{cash_out.authorisation}", 1))
        elif self.now.timestamp() >= bytes_.quote.valid_before:
            bytes_.expired = True
            self.hear(m.CashOutFailed(cash_out.id, "its time ran out"))
        return bytes_.paid or bytes_.expired

    @rule(steps=st.integers(1, 6))
    def all_goes_well(self, steps: int) -> None:
        """The straight road for a few steps, so that lives get long."""
        for _ in range(steps):
            stage = self.state.cash_out.stage if self.state.cash_out else None
            if stage is Stage.QUOTED:
                self.owner_confirms(old=False)
            elif self.asked:
                self.answer(self.asked.pop(0), well=True)
            else:
                self.owner_asks(1_000_000, again=False)

    @rule(seconds=st.sampled_from([1, 60, 700]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.hear(m.ClockTicked(self.now, Zone()))

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def something_is_said_twice(self, data: st.DataObject) -> None:
        """An owner's word said again by a person is a new word, and the rules above say it; here a wire says it again."""
        message = data.draw(st.sampled_from(self.said))
        if not isinstance(message, m.OwnerConfirmedCashOut | m.ClockTicked | m.AgentStarted):
            self.hear(message)

    @rule()
    def agent_dies_and_starts_again(self) -> None:
        self.state = decode_state(encode_state(durable(self.state)))
        self.asked, self.said = [], []
        self.hear(m.AgentStarted(self.now, Zone()))
        self.hear(m.WalletOpened(ADDRESS, OPERATOR, needs_passphrase=False))

    # --- what always holds

    @invariant()
    def no_money_is_paid_twice(self) -> None:
        if not hasattr(self, "state"):
            return
        for one in set(self.owner_of.values()):
            paid = [signature for signature, owner in self.owner_of.items() if owner == one and self.world[signature].paid]
            assert len(paid) <= 1, "one cash-out was paid twice"
        assert sum(bytes_.quote.amount for bytes_ in self.world.values() if bytes_.paid) == 5_000_000 - self.balance

    def teardown(self) -> None:
        """Every life ends in a closed stage, and what it says is what the chain did."""
        if not hasattr(self, "state"):
            return
        if self.number:
            self.hear(m.OwnerCancelledCashOut(f"c{self.number}"))
        for _ in range(20):
            for effect in self.asked[:]:
                self.asked.remove(effect)
                self.answer(effect, well=True)
        cash_out = self.state.cash_out
        if cash_out is not None:
            assert cash_out.stage not in OPEN_STAGES
            paid = any(self.world[signature].paid for signature, owner in self.owner_of.items() if owner == cash_out.id)
            assert paid == (cash_out.stage is Stage.CONFIRMED)


class PayoutLife(RuleBasedStateMachine):
    """Vouchers and redemptions of three jobs, told in any order and more than once."""

    @initialize()
    def begin(self) -> None:
        self.state: State = a_state()
        self.vouched = [0, 0, 0]
        self.redeemed = [0, 0, 0]
        self.block = 0
        self.on_chain: list[tuple[Payout, Units]] = []
        self.vouchers: list[m.VoucherArrived] = []

    def hear(self, message: m.Message) -> None:
        self.state = update(self.state, message)[0]

    @rule(job=st.integers(0, 2), units=st.integers(1, 10_000), told=st.booleans())
    def renter_vouches(self, job: int, units: int, told: bool) -> None:
        self.vouched[job] += units
        voucher = m.VoucherArrived(f"j{job}", Units(self.vouched[job]), Rate(1_234_567 * (job + 1)), 10, "0x", "0x", (f"t{job}",))
        self.vouchers.append(voucher)
        if told:
            self.hear(voucher)

    @rule(job=st.integers(0, 2), up_to=st.floats(0, 1))
    def somebody_redeems(self, job: int, up_to: float) -> None:
        """A new block with one redemption: the difference to what was paid before."""
        units = self.redeemed[job] + int((self.vouched[job] - self.redeemed[job]) * up_to)
        if units <= self.redeemed[job]:
            return
        rate = 1_234_567 * (job + 1)
        amount = net(units, rate, 10) - net(self.redeemed[job], rate, 10)
        self.redeemed[job] = units
        self.block += 1
        payout = Payout(f"j{job}", MicroUsd(amount), f"0xt{self.block}", self.block, int(NOON.timestamp()) + 3_600 * self.block)
        self.on_chain.append((payout, Units(units)))

    @precondition(lambda self: self.on_chain)
    @rule(data=st.data())
    def a_payout_is_told(self, data: st.DataObject) -> None:
        payout, units = data.draw(st.sampled_from(self.on_chain))
        self.hear(m.ChainPaid(payout, units))

    @precondition(lambda self: self.vouchers)
    @rule(data=st.data())
    def a_voucher_is_told(self, data: st.DataObject) -> None:
        self.hear(data.draw(st.sampled_from(self.vouchers)))

    @rule(backwards=st.booleans())
    def the_chain_is_read_to_its_end(self, backwards: bool) -> None:
        for payout, units in self.on_chain[::-1] if backwards else self.on_chain:
            self.hear(m.ChainPaid(payout, units))
        self.hear(m.ChainSaid(MicroUsd(0), self.block))

    @rule()
    def agent_dies_and_starts_again(self) -> None:
        self.state = decode_state(encode_state(durable(self.state)))
        self.hear(m.AgentStarted(NOON, Zone()))

    @invariant()
    def figures_are_never_negative_and_never_ahead_of_the_chain(self) -> None:
        if not hasattr(self, "state"):
            return
        assert earned(self.state) >= 0
        assert all(0 <= account.redeemed <= account.vouched for account in self.state.accounts)
        assert 0 <= self.state.wallet.paid <= sum(payout.amount for payout, _ in self.on_chain)
        assert sum(amount for _, amount in self.state.wallet.by_day) <= self.state.wallet.paid

    def teardown(self) -> None:
        """Once everything was told, the figures are the chain's."""
        if not hasattr(self, "state"):
            return
        for voucher in self.vouchers:
            self.hear(voucher)
        self.the_chain_is_read_to_its_end(backwards=False)
        assert self.state.wallet.paid == sum(payout.amount for payout, _ in self.on_chain)
        for job in range(3):
            account = next((one for one in self.state.accounts if one.job_id == f"j{job}"), None)
            assert (account.vouched, account.redeemed) == (self.vouched[job], self.redeemed[job]) if account else not self.vouched[job]
        rates = [1_234_567 * (job + 1) for job in range(3)]
        due = sum(net(self.vouched[job], rates[job], 10) - net(self.redeemed[job], rates[job], 10) for job in range(3))
        assert earned(self.state) == due


_LIVES = settings(max_examples=120, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
TestCashOutLife = CashOutLife.TestCase
TestCashOutLife.settings = _LIVES
TestPayoutLife = PayoutLife.TestCase
TestPayoutLife.settings = _LIVES
