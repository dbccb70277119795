"""A hostile worker in the real sandbox against the real supervisor: each attack of `workers` ends as it must."""

import os
from pathlib import Path

import pytest

from tests.hostile import workers
from tests.hostile.attack import Attack

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")


@pytest.mark.parametrize("attack", workers.ATTACKS, ids=str)
def test_it_is_held(attack: Attack, tmp_path: Path) -> None:
    outcome = attack.run(tmp_path)
    assert outcome.held, outcome.seen


def test_each_attack_has_a_name_of_its_own() -> None:
    assert len({attack.name for attack in workers.ATTACKS}) == len(workers.ATTACKS) >= 60
