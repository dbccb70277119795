"""`Relayer`: brings other people's signatures to the chain and pays the gas. It can delay, and nothing else.

Every deed is safe to ask for twice: one that was done before is a success that sends nothing. A contract's no comes back as
`Refused`; AppError means that the chain is silent, slow, or not the profile's. All methods block for as long as a block
takes, so the roots run them in threads. Called by the pool, and by the practice root to make test money.
"""

from typing import TYPE_CHECKING, Final

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.reading import Chain, Done
from desktop_app.adapters.chain.refusals import Refused
from desktop_app.adapters.chain.sending import WAIT_S, Mined, Sender, Sign
from desktop_app.core.cashout import Quote
from desktop_app.core.money import MicroUsd
from desktop_app.wire.eip712 import Registration, Terms, Voucher

if TYPE_CHECKING:
    from web3.contract.contract import ContractFunctions

CASH_OUT_GAS: Final = 130_000
"""A cash-out with a fee, to a new holder, with a margin."""
_WEI: Final = 10**18


class Relayer:
    """One address that pays gas for others on one chain."""

    def __init__(self, chain: Chain, address: str, sign: Sign, wait_s: float = WAIT_S) -> None:
        self._chain = chain
        self._sender = Sender(chain.client, address, sign, wait_s)

    @property
    def address(self) -> str:
        """Who pays the gas and receives the fees."""
        return self._sender.address

    def ether(self) -> int:
        """What is left for gas, in wei."""
        return self._sender.ether()

    def relay_fee(self, gas: int = CASH_OUT_GAS) -> MicroUsd:
        """What carrying `gas` is worth now, rounded up, and never less than the profile's floor."""
        network = self._chain.network
        most, _ = self._sender.gas_price()
        cost = -(-gas * most * network.eth_usd // _WEI)
        return MicroUsd(max(network.relayer_fee_floor, cost))

    def register(self, registration: Registration, signature: str) -> Mined | Refused:
        """Put a GPU into the registry on the attestor's signature; its id is `Chain.gpu_of_hardware` afterwards."""
        outcome = self._sender.send(
            self._functions("GpuRegistry").register(
                ids.checksummed(registration.owner), registration.hardware, registration.tier,
                ids.checksummed(registration.operator), registration.deadline, signature,
            )
        )  # fmt: skip
        if isinstance(outcome, Refused) and outcome.error == "HardwareTaken":
            taken = self._chain.gpu(self._chain.gpu_of_hardware(registration.hardware) or 0)
            if taken is not None and ids.same_address(taken.owner, registration.owner):
                return _already()
        return outcome

    def open_job(self, terms: Terms, valid_before: int, signature: str) -> Mined | Refused:
        """Open and fund a job on the renter's signature (`ids.funding_typed`)."""
        packed = (
            ids.checksummed(terms.renter), terms.tier, terms.gpu, terms.rate, int(terms.units),
            terms.deadline, terms.window, terms.spec_hash, terms.salt,
        )  # fmt: skip
        outcome = self._sender.send(self._functions("TaskEscrow").openWithAuthorization(packed, 0, valid_before, signature))
        return _already() if isinstance(outcome, Refused) and outcome.error == "JobExists" else outcome

    def redeem(self, voucher: Voucher, signature: str) -> Mined | Refused:
        """Have a voucher paid out."""
        promise = (voucher.job, voucher.gpu, int(voucher.units), voucher.receipts_root)
        outcome = self._sender.send(self._functions("TaskEscrow").redeem(promise, signature))
        if isinstance(outcome, Refused) and outcome.error in ("VoucherStale", "JobNotOpen") and self._paid(voucher):
            return _already()
        return outcome

    def cash_out(self, sender: str, to: str, quote: Quote, signature: str) -> Mined | Refused:
        """Carry an owner's cash-out; this address receives the fee."""
        outcome = self._sender.send(
            self._functions("CashOut").cashOut(
                ids.checksummed(sender), ids.checksummed(to), int(quote.amount), int(quote.fee),
                quote.salt, 0, quote.valid_before, signature,
            )
        )  # fmt: skip
        if isinstance(outcome, Refused):
            status = self._chain.cash_out_status(sender, to, quote)
            if isinstance(status, Done):
                return _already(status.transaction)
        return outcome

    def close_job(self, job_id: str) -> Mined | Refused:
        """Give the renter what was not run."""
        outcome = self._sender.send(self._functions("TaskEscrow").close(job_id))
        if isinstance(outcome, Refused) and outcome.error == "JobNotOpen" and self._chain.job(job_id) is not None:
            return _already()
        return outcome

    def withdraw_owed(self, address: str) -> Mined | Refused:
        """Deliver what waits for an address."""
        return self._sender.send(self._functions("TaskEscrow").withdrawOwed(ids.checksummed(address)))

    def sweep_fees(self) -> Mined | Refused:
        """Send the accrued fees to the treasury."""
        return self._sender.send(self._functions("TaskEscrow").sweepFees())

    def mint(self, to: str, amount: MicroUsd) -> Mined | Refused:
        """Make test money; only the practice deployer can, and only with TestUSDC. Not safe to ask for twice: it mints twice."""
        return self._sender.send(self._functions("TestUSDC").mint(ids.checksummed(to), int(amount)))

    def _functions(self, contract: str) -> "ContractFunctions":
        return self._chain.client.contract(contract).functions

    def _paid(self, voucher: Voucher) -> bool:
        return self._chain.units_paid(voucher.job, voucher.gpu) >= voucher.units


def _already(transaction: str = "") -> Mined:
    return Mined(transaction, 0, 0, already=True)
