"""For which GPUs the market's attestor vouches: the benchmark must be the operator's, of this hardware, and of this tier."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from desktop_app.adapters.keys import OPERATOR, Keys
from desktop_app.core.bench import SignedBenchmark, record_bytes
from desktop_app.core.gpu import Tier, hardware_digest
from desktop_app.pool.relaying import doubtful
from desktop_app.wire import market as wire
from tests.builders import a_benchmark, a_device


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    one = Keys(tmp_path / "keys", lambda: None, n=2**12)
    one.create_or_open(bytearray(b"the right passphrase"))
    yield one
    one.close()


def asked(keys: Keys, tier: Tier = Tier.LARGE, uuid: str = "GPU-1", benchmark: SignedBenchmark | None = None) -> wire.RegisterGpu:
    """A registration of the card in `a_device`, with its own benchmark unless another is given."""
    record = a_benchmark().record
    mine = benchmark or SignedBenchmark(record, keys.sign_message(OPERATOR, record_bytes(record)))
    request = wire.RegisterGpu("0x" + "11" * 20, keys.address(OPERATOR), hardware_digest(uuid), tier, mine)
    arrived = wire.unpack(wire.pack(request), wire.RegisterGpu)
    assert isinstance(arrived, wire.RegisterGpu)
    return arrived


def test_a_card_is_vouched_for_by_its_own_signed_benchmark(keys: Keys) -> None:
    assert a_device().uuid == "GPU-1"
    assert doubtful(asked(keys)) is None


def test_a_card_without_a_benchmark_is_not(keys: Keys) -> None:
    bare = wire.RegisterGpu("0x" + "11" * 20, keys.address(OPERATOR), hardware_digest("GPU-1"), Tier.LARGE)
    assert doubtful(bare) == "a GPU of the tier large is registered with its benchmark"
    practice = wire.RegisterGpu(bare.owner, bare.operator, bare.hardware, Tier.PRACTICE)
    assert doubtful(practice) is None, "what the practice device is worth is nobody's question"


def test_nobody_vouches_for_another_tier_card_or_signature(keys: Keys) -> None:
    assert "not of datacentre" in (doubtful(asked(keys, Tier.DATACENTRE)) or "")
    assert doubtful(asked(keys, uuid="GPU-2")) == "the benchmark is another GPU's"
    record = a_benchmark().record
    signature = keys.sign_message(OPERATOR, record_bytes(record))
    better = SignedBenchmark(replace(record, seed=2), signature)
    for forged in (better, SignedBenchmark(record, "0x" + "5e" * 65), SignedBenchmark(record, "nonsense")):
        assert doubtful(asked(keys, benchmark=forged)) == "the benchmark is not signed by the GPU's operator key"
