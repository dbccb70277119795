"""How much gas a transaction will need.

A run with all the gas there is tells what is used; a run with that and some headroom shows that it is enough, since a call
passes on only 63/64 of its gas and a refund comes too late to be spent. Called by `methods`.
"""

from dataclasses import replace

from eth.abc import ComputationAPI

from desktop_app.practice.chain.ledger import Call, Ledger


class RunFailed(Exception):
    """The transaction would fail however much gas it had; `reason` is the EVM's error."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def estimate(ledger: Ledger, call: Call) -> int:
    """Gas with which `call` succeeds, a few per cent above what it uses. Raises RunFailed."""
    whole = _run(ledger, call)
    spent = call.gas - int(whole.get_gas_remaining()) + int(whole.data_floor_gas)
    enough = min(spent + spent // 10, call.gas)
    while enough < call.gas:
        if not ledger.call(replace(call, gas=enough)).is_error:
            break
        enough = min(enough * 3 // 2, call.gas)
    return enough


def _run(ledger: Ledger, call: Call) -> ComputationAPI:
    computation = ledger.call(call)
    if computation.is_error:
        raise RunFailed(computation.error)
    return computation
