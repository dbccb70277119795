"""The registry in plain Python: who is paid for which account. Called by `model`."""

from dataclasses import dataclass, field

ID_BITS = 40
MAX_CO_OWNERS = 8
WHOLE = 10_000


class Refusal(Exception):
    """What was asked is refused; `error` is the name of the contract's error."""

    def __init__(self, error: str) -> None:
        self.error = error
        super().__init__(error)


def need(holds: bool, error: str) -> None:
    """Refuses with `error` unless the condition holds."""
    if not holds:
        raise Refusal(error)


@dataclass(frozen=True)
class Payout:
    """Who is paid for an account: the holder of its era and the co-owners it had then, wherever their shares are now."""

    tier: int
    holder: str
    shares: tuple[tuple[str, int], ...]


@dataclass
class Gpu:
    holder: str
    tier: int
    hardware: bytes
    operator: str
    operator_era: int = 0
    era: int = 0
    shares: list[tuple[str, int]] = field(default_factory=list)
    past: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    """Per era that is over: holder, tier and number of co-owners."""


class Gpus:
    """All GPUs by id, from 1."""

    def __init__(self) -> None:
        self._gpus: dict[int, Gpu] = {}

    def __len__(self) -> int:
        return len(self._gpus)

    def __getitem__(self, gpu: int) -> Gpu:
        return self._gpus[gpu]

    def account(self, gpu: int) -> int:
        """The account that work done now is paid to."""
        return gpu | self._gpus[gpu].era << ID_BITS

    def accounts(self) -> list[int]:
        """Every account there ever was."""
        return [gpu | era << ID_BITS for gpu, one in self._gpus.items() for era in range(one.era + 1)]

    def require_new(self, hardware: bytes) -> None:
        need(all(one.hardware != hardware for one in self._gpus.values()), "HardwareTaken")

    def register(self, owner: str, hardware: bytes, tier: int, operator: str) -> int:
        self.require_new(hardware)
        self._gpus[len(self._gpus) + 1] = Gpu(owner, tier, hardware, operator)
        return len(self._gpus)

    def transfer(self, gpu: int, to: str) -> None:
        if to != self._gpus[gpu].holder:
            self._begin_era(gpu)
            self._gpus[gpu].holder = to

    def set_tier(self, gpu: int, tier: int) -> None:
        self._begin_era(gpu)
        self._gpus[gpu].tier = tier

    def set_operator(self, gpu: int, operator: str) -> None:
        one = self._gpus[gpu]
        one.operator, one.operator_era = operator, one.era

    def grant_share(self, gpu: int, to: str, bps: int) -> None:
        shares = self._gpus[gpu].shares
        need(len(shares) < MAX_CO_OWNERS, "TooManyCoOwners")
        need(0 < bps <= WHOLE - sum(part for _, part in shares), "ShareOutOfRange")
        shares.append((to, bps))

    def move_share(self, gpu: int, slot: int, by: str, to: str) -> None:
        shares = self._gpus[gpu].shares
        need(slot < len(shares) and shares[slot][0] == by, "NotShareHolder")
        shares[slot] = (to, shares[slot][1])

    def payout(self, account: int) -> Payout | None:
        gpu, era = account % (1 << ID_BITS), account >> ID_BITS
        if gpu not in self._gpus or era > self._gpus[gpu].era:
            return None
        one = self._gpus[gpu]
        holder, tier, co_owners = one.past.get(era, (one.holder, one.tier, len(one.shares)))
        return Payout(tier, holder, tuple(one.shares[:co_owners]))

    def operator_of(self, account: int, hardware: bytes) -> str:
        """The key that may claim for an account; empty when the operator does not speak for it."""
        gpu, era = account % (1 << ID_BITS), account >> ID_BITS
        one = self._gpus[gpu]
        return one.operator if (one.hardware, one.era, one.operator_era) == (hardware, era, era) else ""

    def _begin_era(self, gpu: int) -> None:
        one = self._gpus[gpu]
        one.past[one.era] = (one.holder, one.tier, len(one.shares))
        one.era += 1
