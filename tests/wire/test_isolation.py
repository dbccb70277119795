"""Each level and each wall of the sandbox has words, and a level's words do not promise more than the level does."""

import sys
from pathlib import Path

import pytest

from desktop_app.core.state import Check, Level
from desktop_app.wire import isolation, phrases
from desktop_app.wire.isolation import Remedy


@pytest.mark.parametrize("level", Level)
def test_each_level_says_what_it_is_what_it_promises_and_what_it_does_not(level: Level) -> None:
    said = [isolation.level(level), isolation.promise(level), isolation.limit(level)]
    assert all(said)
    assert len(set(said)) == 3


def test_only_the_isolated_level_promises_that_nothing_is_touched() -> None:
    promising = [level for level in Level if "none of your files" in isolation.promise(level)]
    assert promising == [Level.ISOLATED]


@pytest.mark.skipif(sys.platform != "linux", reason="walls exist on Linux only so far")
def test_each_wall_that_is_tried_has_words_and_no_other_has() -> None:
    from desktop_app.adapters.supervisor import selftest, walls

    tried = walls.QUICK | selftest.EXPECTED | {"sandbox_starts"}
    assert {f"wall.{name}" for name in tried} == {key for key in phrases.words() if key.startswith("wall.")}


def test_a_wall_without_words_is_named_as_it_is() -> None:
    assert isolation.wall(Check("no_tcp", True)) == "No way to this computer by TCP"
    assert isolation.wall(Check("something\nnew", True)) == "something new"


@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes exist on Linux only so far")
@pytest.mark.parametrize(
    ("place", "value", "complaint", "begins", "ends"),
    [
        ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "", "sudo apt install bubblewrap", "/bwrap-userns-restrict"),
        ("proc/sys/kernel/unprivileged_userns_clone", "0", "", "echo kernel.unprivileged_userns_clone=1 |", "&& sudo sysctl --system"),
        ("etc/os-release", "ID=fedora", "Unknown option", "sudo dnf install bubblewrap", "sudo dnf install bubblewrap"),
        (".dockerenv", "", "", "--security-opt seccomp=unconfined", "--security-opt systempaths=unconfined"),
    ],
)
def test_the_command_of_each_advice_stands_alone(tmp_path: Path, place: str, value: str, complaint: str, begins: str, ends: str) -> None:
    from desktop_app.adapters.supervisor.advice import fix_for

    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(value)
    advice = fix_for(complaint, tmp_path)
    told = isolation.remedy(advice)
    assert told.command.startswith(begins) and told.command.endswith(ends)
    assert told.more == "" and f"{told.words} {told.command}" == advice


def test_a_remark_is_no_part_of_the_command() -> None:
    assert isolation.remedy("Install it with: sudo apt install bubblewrap, or however this system installs it") == Remedy(
        "Install it with:", "sudo apt install bubblewrap", "or however this system installs it"
    )
    install = "Install libseccomp and start again: sudo apt install libseccomp2 (ImportError)"
    assert isolation.remedy(install) == Remedy("Install libseccomp and start again:", "sudo apt install libseccomp2", "(ImportError)")


def test_advice_without_a_command_is_all_words_on_one_short_line() -> None:
    assert isolation.remedy("The sandbox did not start:\nit said nothing") == Remedy("The sandbox did not start: it said nothing")
    assert len(isolation.remedy("x" * 5_000).words) == phrases.MOST_ADVICE
