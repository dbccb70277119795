"""What a task may ask for: the declaration of each kind, the check of a task against it, and what its steps are worth.

Declarations are JSON under `resources/catalogue`, loaded by `wire.bundle`. A unit is one reference millisecond on the tier;
how many a task has is fixed by its parameters alone, before anybody runs it, so that renter, pool, owner and escrow agree.
Called by `wire.bundle`, the renter when it writes a task, and the kinds.
"""

from dataclasses import dataclass
from enum import StrEnum

from desktop_app.core.classifier import Params
from desktop_app.core.cost import Work, cost_of, sizes_refusal
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Units
from desktop_app.core.task import Blob, Limits, Manifest

_RESIDENT_MB = 512  # of a kind's files at most as much is kept on the device


class Verification(StrEnum):
    """How a result is checked before it is paid."""

    HELD_OUT = "held_out"  # the model's accuracy, or its loss, on rows the worker never saw
    RECOMPUTED = "recomputed"  # rows drawn after delivery are computed again
    NONE = "none"  # a check itself, run by whoever wants to know


@dataclass(frozen=True, slots=True)
class InputRule:
    """One input of a kind. It may come in up to `files` parts: `role`, `role_2`, `role_3` …, each of `max_bytes` at most."""

    role: str
    formats: tuple[str, ...]
    max_bytes: int
    files: int = 1

    def roles(self) -> list[str]:
        """The roles of its parts, in order; only the first must be there."""
        return [self.role, *(f"{self.role}_{number}" for number in range(2, self.files + 1))]


@dataclass(frozen=True, slots=True)
class ParamRule:
    """One parameter: a whole number or not, between `low` and `high` inclusive."""

    name: str
    whole: bool
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Speed:
    """A tier's reference speed.

    A step takes `fixed_us` + `layer_us` for each layer it launches + its multiplications / `macs_per_us` (or, in bfloat16,
    / `half_macs_per_us`) + the weights it moves / `weights_per_us`.
    """

    fixed_us: int
    macs_per_us: int
    weights_per_us: int
    half_macs_per_us: int = 1
    layer_us: int = 0


@dataclass(frozen=True, slots=True)
class Declaration:
    """One kind of the catalogue. `market`: whether strangers may be asked to run it. Sizes in bytes, times in ms."""

    kind: str
    market: bool
    work: Work
    verification: Verification
    inputs: tuple[InputRule, ...]
    outputs: tuple[str, ...]  # roles
    params: tuple[ParamRule, ...]
    step_ms: int
    max_state_bytes: int
    speeds: tuple[tuple[Tier, Speed], ...]


def steps(declaration: Declaration, params: Params) -> int:
    """How many micro-steps a task with these (checked) parameters has."""
    return cost_of(declaration.work, params).steps


def step_us(declaration: Declaration, tier: Tier, params: Params) -> int:
    """Reference microseconds of one micro-step on the tier; KeyError when the kind is not offered there."""
    speed, cost = dict(declaration.speeds)[tier], cost_of(declaration.work, params)
    multiplied = cost.macs // speed.macs_per_us + cost.half_macs // speed.half_macs_per_us
    return speed.fixed_us + speed.layer_us * cost.layers + multiplied + cost.moved // speed.weights_per_us


def reference_units(declaration: Declaration, tier: Tier, params: Params) -> Units:
    """What the whole task is worth on the tier, at least one unit."""
    return Units(max(1, steps(declaration, params) * step_us(declaration, tier, params) // 1000))


def state_bytes(declaration: Declaration, params: Params) -> int:
    """An upper bound on the tensors a checkpoint of the task holds."""
    return cost_of(declaration.work, params).state_bytes


def limits(declaration: Declaration, tier: Tier, params: Params, inputs: tuple[Blob, ...]) -> Limits:
    """Generous bounds for an honest run: what its files and state need on top of the runtime, and twenty times its reference time.

    Kinds that say what they hold on the device need it there, or, on the practice device, in memory. Files are only mapped: they
    may be larger than the memory. A result is no larger than the state, but for a label to every row.
    """
    cost = cost_of(declaration.work, params)
    files = sum(blob.bytes for blob in inputs) // 1_000_000
    state, device = cost.state_bytes // 1_000_000 + 1, cost.device_bytes // 1_000_000
    vram = 1024 + (device + device // 4 if device else 4 * (state + min(files, _RESIDENT_MB)))
    ram = 2048 + 6 * state + (2 * files if device else 0)
    practice = tier is Tier.PRACTICE
    seconds = reference_units(declaration, tier, params) // 1000
    return Limits(
        vram_mb=0 if practice else vram,
        ram_mb=ram + 2 * device if practice else ram,
        disk_mb=64 + 2 * (state + files),
        wall_s=min(7 * 24 * 3600, 600 + 20 * seconds),
        step_ms=declaration.step_ms,
        output_mb=16 + 2 * state,
    )


def check(manifest: Manifest, declaration: Declaration) -> str | None:
    """Why a task's description does not fit its kind, in words, or None."""
    if not declaration.market:
        return f"{declaration.kind} is run by whoever wants its answer; it is not for the market"
    params = dict(manifest.params)
    return (
        _params_refusal(params, declaration.params)
        or sizes_refusal(declaration.work, params)
        or _inputs_refusal(manifest.inputs, declaration.inputs)
        or _work_refusal(manifest, declaration, params)
        or _limits_refusal(manifest, declaration, params)
    )


def _params_refusal(params: Params, rules: tuple[ParamRule, ...]) -> str | None:
    names = {rule.name for rule in rules}
    if set(params) != names:
        odd = ", ".join(sorted(set(params) ^ names))
        return f"the parameters are not those of the kind ({odd})"
    for rule in rules:
        value = params[rule.name]
        if isinstance(value, str) or (rule.whole and not isinstance(value, int)):
            return f"the parameter {rule.name} must be a {'whole number' if rule.whole else 'number'}"
        if not rule.low <= value <= rule.high:
            return f"the parameter {rule.name} is {value:g}, outside {rule.low:g} to {rule.high:g}"
    return None


def _inputs_refusal(inputs: tuple[Blob, ...], rules: tuple[InputRule, ...]) -> str | None:
    told = sorted(blob.role for blob in inputs)
    by_role = {role: rule for rule in rules for role in rule.roles() if role in told}
    if told != sorted(by_role) or not all(_unbroken(rule, told) for rule in rules):
        return "the task must name each of these inputs once: " + ", ".join(rule.role for rule in rules)
    for blob in inputs:
        rule = by_role[blob.role]
        if blob.format not in rule.formats:
            return f"the input {blob.role} is said to be {blob.format}; this kind takes only {' or '.join(rule.formats)}"
        if blob.bytes > rule.max_bytes:
            return f"the input {blob.role} claims {_size(blob.bytes)}, more than the {_size(rule.max_bytes)} this kind allows"
    return None


def _unbroken(rule: InputRule, told: list[str]) -> bool:
    """Whether the first part is there, and no part is missing before a later one."""
    there = [role in told for role in rule.roles()]
    return there[0] and there == sorted(there, reverse=True)


def _work_refusal(manifest: Manifest, declaration: Declaration, params: Params) -> str | None:
    if manifest.tier not in dict(declaration.speeds):
        return f"{declaration.kind} is not offered on the tier {manifest.tier.value}"
    took, allowed = -(-step_us(declaration, manifest.tier, params) // 1000), declaration.step_ms
    if took > allowed:
        return f"one step takes about {took} ms on this tier; the GPU must be free again after {allowed} ms"
    if manifest.limits.step_ms > allowed:
        return f"the task wants steps of up to {manifest.limits.step_ms} ms; this kind allows {allowed} ms"
    held = state_bytes(declaration, params)
    if held > declaration.max_state_bytes:
        return f"a checkpoint would take {_size(held)}, more than the {_size(declaration.max_state_bytes)} this kind allows"
    counted = steps(declaration, params)
    if manifest.steps != counted:
        return f"the task says {manifest.steps} steps; its parameters make {counted}"
    worth = reference_units(declaration, manifest.tier, params)
    if manifest.units != worth:
        return f"the task says {manifest.units} units; its parameters are worth {worth}"
    return None


def _limits_refusal(manifest: Manifest, declaration: Declaration, params: Params) -> str | None:
    """What a task may use is what keeps it from the owner's memory, disk and evening; an honest renter asks for what is reckoned."""
    asked, allowed = manifest.limits, limits(declaration, manifest.tier, params, manifest.inputs)
    for what, wanted, reckoned, unit in (
        ("GPU memory", asked.vram_mb, allowed.vram_mb, "MB"),
        ("memory", asked.ram_mb, allowed.ram_mb, "MB"),
        ("disk", asked.disk_mb, allowed.disk_mb, "MB"),
        ("time", asked.wall_s, allowed.wall_s, "s"),
        ("room for its result", asked.output_mb, allowed.output_mb, "MB"),
    ):
        if wanted > reckoned:
            return f"the task wants {wanted} {unit} of {what}; its parameters need no more than {reckoned} {unit}"
    return None


def _size(count: int) -> str:
    """Bytes as a person says them."""
    if count < 1_000_000:
        return f"{count / 1000:.1f} kB"
    return f"{count / 1_000_000:.1f} MB" if count < 1_000_000_000 else f"{count / 1_000_000_000:.1f} GB"
