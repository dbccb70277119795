"""Holds a chain against the network profile: a wrong one must not see a signature, nor its figures be believed.

Called by `client.py`, once per connection.
"""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import fields as fields_of

from desktop_app.adapters.chain import ids
from desktop_app.adapters.chain.abi import Call, Contract
from desktop_app.adapters.chain.bindings import CashOut, GpuGovernor, GpuRegistry, GpuTimelock, MarketPolicy, TaskEscrow, TestUSDC
from desktop_app.core.cashout import Quote
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd
from desktop_app.wire.networks import Network

View = Callable[[Call[object]], object]


@dataclass(frozen=True, slots=True)
class Bindings:
    """The contracts of one network."""

    usdc: TestUSDC
    policy: MarketPolicy
    registry: GpuRegistry
    escrow: TaskEscrow
    cash_out: CashOut
    timelock: GpuTimelock
    governor: GpuGovernor


def verify(network: Network, found: Bindings, view: View, code: Callable[[str], str]) -> None:
    """Raises AppError when the contracts there are not those of the profile. The chain's id is compared before."""
    for field in fields_of(found):
        contract: Contract = getattr(found, field.name)
        if code(contract.address) == "0x":
            raise stranger(f"there is no {type(contract).__name__} at {contract.address}")
    decimals = view(found.usdc.decimals())
    if decimals != 6:
        raise stranger(f"the stablecoin has {decimals} decimals, not 6")
    sample = ids.cash_out_typed(network, network.attestor, network.attestor, Quote(MicroUsd(0), MicroUsd(0), "0x" + "00" * 32, 0))
    if view(found.usdc.domain_separator()) != ids.domain_separator(sample):
        raise stranger("the stablecoin would not accept what is signed here (its DOMAIN_SEPARATOR differs)")
    for whose, question, wanted in (
        ("the escrow's", found.escrow.usdc(), network.usdc),
        ("the escrow's", found.escrow.registry(), network.registry),
        ("the escrow's", found.escrow.policy(), network.policy),
        ("the registry's", found.registry.policy(), network.policy),
        ("the cash-out's", found.cash_out.usdc(), network.usdc),
        ("the policy's", found.policy.owner(), network.timelock),
        ("the governor's", found.governor.timelock(), network.timelock),
        ("the governor's", found.governor.token(), network.registry),
    ):
        said = str(view(question))
        if not ids.same_address(said, wanted):
            raise stranger(f"{whose} {question.name} is {said}, not {wanted}")
    if view(found.policy.is_attestor(network.attestor)) is not True:
        raise stranger(f"{network.attestor} is no attestor of this market")


def stranger(what: str) -> AppError:
    """What is said of a chain that is not the profile's."""
    return AppError(f"This is not the chain that the network profile describes: {what}.", "Correct or replace the network profile.")
