"""Strangers' bundles at the door: each attack of `bundles` and `files` is refused in words, and the honest one is let in."""

import time
from pathlib import Path

import pytest

from desktop_app.core.task import Blob, Manifest
from desktop_app.wire.bundle import check_blob
from tests.hostile import bundles, files
from tests.hostile.attack import Attack

ATTACKS = bundles.ATTACKS + files.ATTACKS


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_it_is_refused(attack: Attack, tmp_path: Path) -> None:
    outcome = attack.run(tmp_path)
    assert outcome.held, outcome.seen


def test_each_attack_has_a_name_of_its_own() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


def test_what_the_attacks_spoil_is_let_in_unspoiled(tmp_path: Path) -> None:
    taken = bundles.taken()
    assert isinstance(taken, Manifest)
    assert taken.expires > time.time()
    place = tmp_path / "blob"
    place.write_bytes(files.SAFE)
    assert check_blob(place, Blob("data", files.SAFE_SHA256, len(files.SAFE), "safetensors")) is None
