"""What the chain says, as records the roots can use: jobs, GPUs, claims, the market's policy, how far a cash-out is.

Made by `reading.py` out of what the bindings give.
"""

from dataclasses import dataclass
from enum import IntEnum

from desktop_app.core.money import MicroUsd, Rate, Units


@dataclass(frozen=True, slots=True)
class Job:
    """A job in escrow. `held` is what the escrow still holds of it; `used` counts units redeemed over all GPUs."""

    renter: str
    tier: int
    gpu: int  # 0: any of the tier
    rate: Rate
    fee_bps: int
    units: Units
    used: Units
    held: MicroUsd
    fees: MicroUsd  # taken from it and not yet collected
    deadline: int  # unix seconds; 0 once closed

    @property
    def is_open(self) -> bool:
        return self.deadline != 0


class ClaimStage(IntEnum):
    """How far a claim is, as `ITaskEscrow.Stage` counts."""

    NONE = 0
    CLAIMED = 1  # the renter may challenge it
    CHALLENGED = 2  # the arbiter has to decide
    BARRED = 3  # a challenge was upheld: this job takes no more claims


@dataclass(frozen=True, slots=True)
class Claim:
    """Work that a GPU's owner says it did, without a voucher."""

    stage: ClaimStage
    gpu: int  # the account
    units: Units  # cumulative
    due: int  # unix second after which anyone may finalise it


@dataclass(frozen=True, slots=True)
class RegisteredGpu:
    """A GPU in the registry. `account` is what work done now is paid to."""

    id: int
    account: int
    owner: str
    tier: int
    retired: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """What is registered for a piece of hardware. `operator` is "" when the present owner has named none."""

    gpu_id: int
    operator: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The market's figures and names now; jobs that are open keep the fee they were opened with."""

    fee_bps: int
    paused: bool  # no new jobs
    treasury: str
    arbiter: str
    guardian: str
    owner: str
    allowance: MicroUsd  # what each attestor may have paid out within a day


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between what a tier's rate may be locked; a ceiling of 0: not traded."""

    floor: Rate
    ceiling: Rate


@dataclass(frozen=True, slots=True)
class VoucherCheck:
    """Whether a voucher would be paid today; `reason` says why not. `rate` and `fee_bps` are its job's."""

    good: bool
    reason: str = ""
    rate: Rate = Rate(0)
    fee_bps: int = 0


@dataclass(frozen=True, slots=True)
class Unused:
    """The cash-out has not happened, and still can."""


@dataclass(frozen=True, slots=True)
class Done:
    """The cash-out is in a block; `confirmations` counts that block too."""

    transaction: str
    confirmations: int


@dataclass(frozen=True, slots=True)
class ExpiredUnused:
    """The cash-out can never happen: its time is over in a block that nothing can undo."""
