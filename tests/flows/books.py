"""Whether an owner's books and the chain say the same, to the micro-dollar. Used by the flow tests while the market still runs."""

from desktop_app.adapters.chain import Chain
from desktop_app.core import ledger
from desktop_app.core.money import net
from desktop_app.core.state import Paid, State
from desktop_app.wire.networks import load_practice
from tests.flows.house import House


def settled(state: State) -> bool:
    """Nothing is on its way any more; a segment that was handed back is paid when somebody has finished its task."""
    at_rest = state.task is None and not state.outbox
    on_its_way = any(line.paid in (Paid.PENDING, Paid.EARNED) for line in state.history)
    return at_rest and not on_its_way and ledger.earned(state) == 0 and state.wallet.balance == state.wallet.paid


def books_agree(house: House, state: State) -> None:
    """Each job paid exactly what its finished tasks are worth, and the wallet holds exactly that."""
    chain = Chain(load_practice(house.seen() / "practice" / "network.json"))
    try:
        gpu = state.gpu.chain_id
        assert gpu is not None
        due = 0
        for account in state.accounts:
            lines = [line for line in state.history if line.job_id == account.job_id]
            finished = {line.task_id for line in lines if line.paid is Paid.PAID}
            worth = sum(line.units for line in lines if line.task_id in finished)
            assert chain.units_paid(account.job_id, gpu) == worth == account.redeemed
            due += net(worth, account.rate, account.fee_bps)
        assert chain.balance(state.wallet.address)[0] == due == state.wallet.paid
    finally:
        chain.close()
