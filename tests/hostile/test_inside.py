"""Every attack from inside the sandbox is held; and outside of it the same code succeeds, so that none is empty."""

import os
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="sandboxes exist on Linux only so far")

from tests.adapters.ordinary_user import as_user  # noqa: E402
from tests.hostile import inside  # noqa: E402 - what it needs is there on Linux only
from tests.hostile.attack import Attack  # noqa: E402
from tests.hostile.sandboxed import kit  # noqa: E402

_CONTROLLED = [
    pytest.param(group, one, id=f"{group}_{one.name}") for group in inside.GROUPS for one in kit.ATTACKS[group] if inside.controlled(one)
]


@pytest.mark.parametrize("attack", inside.ATTACKS, ids=str)
def test_it_is_held(attack: Attack, tmp_path: Path) -> None:
    outcome = attack.run(tmp_path)
    assert outcome.held, f"{attack.tried}: {outcome.seen}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; elsewhere every other test is an ordinary user's")
def test_it_is_held_for_an_ordinary_user_too() -> None:
    """Whose worker has the owner's own number, and who can make no groups: other walls than root's."""
    code = "import tempfile, pathlib\nfrom tests.hostile.inside import ATTACKS\nhere = pathlib.Path(tempfile.gettempdir())\n"
    code += "print([(one.name, seen.seen) for one in ATTACKS if not (seen := one.run(here)).held], len(ATTACKS))"
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o777)
        done = as_user(code, Path(home))
    assert done.stdout.strip() == f"[] {len(inside.ATTACKS)}", done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.parametrize(("group", "one"), _CONTROLLED)
def test_it_is_real(group: str, one: kit.Attack) -> None:
    """Without the sandbox it succeeds, or fails for its own nonsense: never in the same way as inside."""
    told = inside.outside(group)
    found = told.get(one.name, {"how": "not told", "seen": told["printed"]["seen"]})
    assert found["how"] in ("got", "held"), found
    assert found["how"] == "got" or found["seen"] != inside.inside(group)[one.name]["seen"], found


def test_there_are_attacks_enough_and_each_has_a_name_of_its_own() -> None:
    names = [attack.name for attack in inside.ATTACKS]
    assert len(names) >= 95
    assert len(set(names)) == len(names)
