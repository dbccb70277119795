"""Every planted fault still has a place to be planted in; whether the tests notice them all, `mutate` says at length."""

import pytest

from tests.contracts.mutate import FAULTS, INVARIANTS, Fault, every_file, planted


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_can_be_planted_and_somebody_is_asked(fault: Fault) -> None:
    assert planted(fault)[fault.file].count(fault.new) >= 1
    assert fault.old != fault.new
    names = [one.name for one in every_file()]
    for word in fault.likely.split():
        assert any(word in name for name in names), f"no test file is named after {word}"


def test_every_invariant_is_attacked_by_forty_faults_or_more() -> None:
    assert {one.invariant for one in FAULTS} == set(INVARIANTS)
    assert len({one.name for one in FAULTS}) == len(FAULTS) >= 40
