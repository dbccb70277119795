"""Who is paid for which GPU, and who votes, rebuilt from the registry's events alone and compared with what it says.

Called by `books.Books`, which needs to know at each payment whom the registry named.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from web3.contract import Contract

from desktop_app.core.money import BASIS_POINTS

NOBODY = "0x" + "0" * 40


@dataclass
class GpuBook:
    """What the events say of one GPU."""

    hardware: bytes
    tier: int
    operator: str
    operator_era: int = 0
    holder: str = NOBODY
    buyer: str | None = None
    """Between a Transfer and the AccountChanged that follows it."""
    era: int = 0
    shares: list[tuple[str, int]] = field(default_factory=list)
    retired: bool = False


class Accounts:
    """Every account there ever was."""

    def __init__(self, registry: Contract) -> None:
        self._registry = registry
        self.gpus: dict[int, GpuBook] = {}
        self._past: dict[int, tuple[int, str, int]] = {}
        self._named: dict[str, str] = {}
        self._people: set[str] = set()

    def payout(self, account: int) -> tuple[int, str, list[tuple[str, int]]]:
        """Tier, holder and co-owners with their basis points, of the account's era."""
        gpu = self.gpus[account & (1 << 40) - 1]
        if account >> 40 == gpu.era:
            return gpu.tier, gpu.holder, gpu.shares
        tier, holder, co_owners = self._past[account]
        return tier, holder, gpu.shares[:co_owners]

    def enter(self, name: str, values: dict[str, Any]) -> None:
        if name == "Transfer":
            self._moved(values["from"], values["to"], self.gpus[values["tokenId"]])
        elif name == "DelegateChanged":
            self._named[values["delegator"]] = values["toDelegate"]
            self._people.add(values["toDelegate"])
        elif name == "GpuRegistered":
            self.gpus[values["id"]] = GpuBook(values["hardware"], values["tier"], values["operator"])
        elif name in ("ShareGranted", "ShareMoved", "OperatorChanged", "TierChanged", "AccountChanged", "Retired"):
            self._changed(name, values, self.gpus[values["id"]])

    def _moved(self, giver: str, to: str, gpu: GpuBook) -> None:
        self._people |= {giver, to}
        if giver == NOBODY:
            gpu.holder = to
        elif giver != to:
            gpu.buyer = to

    def _changed(self, name: str, values: dict[str, Any], gpu: GpuBook) -> None:
        if name == "ShareGranted":
            assert values["slot"] == len(gpu.shares)
            gpu.shares.append((values["to"], values["bps"]))
        elif name == "ShareMoved":
            holder, bps = gpu.shares[values["slot"]]
            assert holder == values["from"]
            gpu.shares[values["slot"]] = (values["to"], bps)
        elif name == "OperatorChanged":
            gpu.operator, gpu.operator_era = values["operator"], gpu.era
        elif name == "TierChanged":
            gpu.tier = values["tier"]
        elif name == "Retired":
            gpu.retired = True
        else:
            self._past[values["id"] | gpu.era << 40] = (gpu.tier, gpu.holder, len(gpu.shares))
            gpu.era += 1
            gpu.holder, gpu.buyer = gpu.buyer or gpu.holder, None
            assert values["account"] == values["id"] | gpu.era << 40

    def check(self) -> None:
        calls = self._registry.functions
        assert calls.count().call() == len(self.gpus)
        for number, gpu in self.gpus.items():
            co_bps = sum(bps for _, bps in gpu.shares)
            said = tuple(calls.gpu(number).call())
            assert said[:6] == (gpu.holder, gpu.tier, len(gpu.shares), co_bps, gpu.era, gpu.retired)
            assert calls.ownerOf(number).call() == gpu.holder and gpu.buyer is None and co_bps <= BASIS_POINTS
            assert tuple(calls.machines(gpu.hardware).call()) == (number, gpu.operator_era, gpu.operator)
            for era in range(gpu.era + 1):
                self._check_payees(number | era << 40)
        self._check_votes()

    def _check_payees(self, account: int) -> None:
        tier, holder, shares = self.payout(account)
        who, bps = self._registry.functions.payees(account).call()
        residual = BASIS_POINTS - sum(one for _, one in shares)
        assert list(zip(who, bps, strict=True)) == [(holder, residual), *shares]
        assert tuple(self._registry.functions.payout(account).call()) == (tier, holder, len(shares))

    def _check_votes(self) -> None:
        held = Counter(gpu.holder for gpu in self.gpus.values())
        votes: Counter[str] = Counter()
        for holder, number in held.items():
            votes[self._named.get(holder, holder)] += number
        for one in self._people - {NOBODY}:
            assert self._registry.functions.balanceOf(one).call() == held[one]
            assert self._registry.functions.getVotes(one).call() == votes[one]
